"""`relay report`: one HTML file about the last 90 days."""

from datetime import UTC, datetime
from pathlib import Path

import click

from relay.cli.context import config_option
from relay.cli.state import read_state
from relay.model import RelayError


@click.command()
@config_option
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write it into this file; by default it is printed.",
)
def report(config: Path, output: Path | None) -> None:
    """Show the last 90 days in one HTML file: sizes, changes, rejected rows, holds and whether lists were on time.

    \b
    Example:
      relay report --output report.html

    It needs no server, no network and no script, and holds no phone number and no address. The service writes it every
    day by itself where `report` in relay.toml names a file.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped
    from relay.config import load
    from relay.report import report as write
    from relay.report import write_report

    loaded, now = load(config, with_files=False), datetime.now(UTC)
    with read_state(loaded) as store:
        if output is None:
            click.echo(write(loaded, store, now))
            return
        try:
            write_report(loaded, store, output, now)
        except OSError as error:
            raise RelayError(f"{output} cannot be written: {error.strerror}", hint="Name another file.") from error
    click.echo(f"The report is in {output}.")
