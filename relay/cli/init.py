"""`relay init`: a configuration to start from, with host keys, and what to send to Amperity's operator."""

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli.context import DEFAULT_CONFIG
from relay.model import RelayError

if TYPE_CHECKING:
    from relay.keys import HostKey


@click.command()
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_CONFIG.parent,
    show_default=True,
    metavar="DIR",
    help="Where to write it.",
)
def init(directory: Path) -> None:
    """Write a commented configuration with host keys, and say what to send to Amperity's operator.

    \b
    Example:
      relay init
      relay init --directory ./relay

    What is there already stays as it is.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped
    from relay import keys

    configuration, routes = directory / "relay.toml", directory / "routes.d"
    fresh = not configuration.exists()
    try:
        routes.mkdir(parents=True, exist_ok=True)
        _write_new(configuration, "relay.toml")
        if not any(routes.glob("*.toml")):
            _write_new(routes / "example.toml", "example.toml")
        host_keys = keys.generate_host_keys(directory)
    except OSError as error:
        raise RelayError(
            f"{error.filename or directory} cannot be written: {error.strerror}",
            hint="Run this as a user who may write there, or choose another place with --directory.",
        ) from None
    click.echo(f"Host keys are in {directory}; keep them, and keep them secret.")
    _say_what_to_send(host_keys, fresh=fresh)
    _say_what_is_next(directory)


def _write_new(path: Path, template: str) -> None:
    content = (resources.files("relay.cli") / "starting" / template).read_bytes()
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        click.echo(f"Kept {path}, which was there.")
    else:
        click.echo(f"Wrote {path}.")


def _say_what_to_send(host_keys: Iterable["HostKey"], *, fresh: bool) -> None:
    click.echo("\nSend this to Amperity's operator:\n")
    click.echo("  host      the name or address by which they reach this machine")
    click.echo("  port      " + ("2222" if fresh else "the one of landing.listen in relay.toml"))
    click.echo("  user      " + ("amperity" if fresh else "the account's name in relay.toml"))
    click.echo("  path      /uploads")
    for host_key in host_keys:
        click.echo(f"  host key  {host_key.public}")
        click.echo(f"            {host_key.fingerprint}")


def _say_what_is_next(directory: Path) -> None:
    option = "" if directory == DEFAULT_CONFIG.parent else f" --config {directory / 'relay.toml'}"
    click.echo("\nNext:\n")
    click.echo(f"  1. Fill in what is marked TO DO in {directory / 'relay.toml'} and in routes.d/example.toml,")
    click.echo("     and rename the latter after the tenant.")
    click.echo(f"  2. relay{option} check    says what is still wrong.")
    click.echo(f"  3. relay{option} serve    runs the service.")
