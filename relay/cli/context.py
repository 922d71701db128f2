"""What commands have in common: which configuration they work with, and how trouble is shown."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from relay.model import RelayError

CONFIG_VARIABLE: Final = "RELAY_CONFIG"
DEFAULT_CONFIG: Final = Path("/etc/relay/relay.toml")

_Command = TypeVar("_Command", bound=Callable[..., Any])


def config_option(command: _Command) -> _Command:
    """Give a command `--config FILE`, and pass it `config: Path`.

    The option may stand before or after the command's name; else `$RELAY_CONFIG` and the default place count.
    """
    option = click.option(
        "--config",
        type=click.Path(path_type=Path),
        callback=_chosen,
        metavar="FILE",
        help=f"The configuration: FILE, else ${CONFIG_VARIABLE}, else {DEFAULT_CONFIG}.",
    )
    return option(command)


def _chosen(ctx: click.Context, _parameter: click.Parameter, given: Path | None) -> Path:
    return given or ctx.find_root().params.get("config") or DEFAULT_CONFIG


def show_error(error: RelayError) -> int:
    """Say on standard error what was wrong and what to do about it; return the exit status that this means."""
    from relay.config import ConfigError

    click.echo(click.style("relay: ", fg="red", bold=True) + error.message, err=True)
    if error.hint:
        click.echo(click.style("hint: ", bold=True) + error.hint, err=True)
    return 2 if isinstance(error, ConfigError) else 1
