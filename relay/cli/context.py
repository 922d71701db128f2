"""What commands have in common: which configuration they work with, and how trouble is shown."""

from collections.abc import Callable, Iterable
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


def unknown_route(name: str, routes: Iterable[str]) -> click.BadParameter:
    """Return the refusal of a `--route` that is none of `routes`."""
    return click.BadParameter(f"there is no route {name}; there are: {', '.join(routes)}", param_hint="--route")


def show_error(error: RelayError) -> int:
    """Say on standard error what was wrong and what to do about it; return the exit status that this means."""
    from relay.config import ConfigError

    click.echo(click.style("relay: ", fg="red", bold=True) + error.message, err=True)
    if error.hint:
        click.echo(click.style("hint: ", bold=True) + error.hint, err=True)
    return 2 if isinstance(error, ConfigError) else 1


def show_defect(defect: Exception) -> int:
    """Say on standard error of which kind a defect is and where it was met (rule R1); return the exit status."""
    from relay.cli.tables import as_text
    from relay.defects import kind_of, place_of

    if isinstance(defect, OSError) and defect.strerror:
        what = f"{as_text(defect.filename)}: " if defect.filename else ""
        hint = "See that it is there, that this user may use it, and that its disk has room."
        return show_error(RelayError(f"{what}{defect.strerror}, met at {place_of(defect)}", hint=hint))
    hint = "What was said before was done, and nothing else. Report this line; it holds no customer's data."
    return show_error(RelayError(f"a defect: {kind_of(defect)} at {place_of(defect)}", hint=hint))
