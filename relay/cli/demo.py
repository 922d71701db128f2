"""`relay demo`: the main job on this machine, with both ends played."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from relay.cli.listing import ListedRow, print_heading, print_listing
from relay.cli.pasting import command_line

if TYPE_CHECKING:
    from relay.demo.run import Actor, Outcome, Tell

_ACTOR_STYLES: Final[dict["Actor", str]] = {"Amperity": "magenta", "relay": "bold", "stand-in": "cyan"}
_MOST_ROWS: Final = 5_000_000


@click.command()
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Put everything here, in a new or an empty directory; else in a new temporary one, which is kept.",
)
@click.option(
    "--rows",
    type=click.IntRange(1, _MOST_ROWS),
    default=50_000,
    show_default=True,
    metavar="N",
    help="How many rows the export has.",
)
def demo(directory: Path | None, *, rows: int) -> None:
    """Show the whole way of an export on this machine, in under a minute.

    \b
    Example:
      relay demo
      relay demo --directory ./demo --rows 200000

    The relay is the real one. Amperity is played, and Attentive's SFTP server is a stand-in on the loopback interface;
    nothing leaves this machine. The customers are invented, their phone numbers are ones kept free for fiction.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped
    from relay.demo.run import run

    directory = directory or Path(tempfile.mkdtemp(prefix="relay-demo-"))
    click.echo(f"A demo of the relay in {directory.absolute()}\n")
    with _stage() as tell:
        outcome = run(directory, rows, tell)
    _show(outcome)


@contextmanager
def _stage() -> Iterator["Tell"]:
    """Show steps as they are told, each with the seconds since the start; on a terminal, also that more will come."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    began = time.monotonic()

    def tell(actor: "Actor", words: str) -> None:
        seconds = f"{time.monotonic() - began:5.1f} s  "
        line = Text.assemble((seconds, "dim"), (f"{actor:<10}", _ACTOR_STYLES[actor]), words)
        console.print(line, soft_wrap=not console.is_terminal)

    if console.is_terminal:
        with console.status("", spinner="dots"):
            yield tell
    else:
        yield tell


def _show(outcome: "Outcome") -> None:
    """Show what came of it, and where to look further."""
    scene = outcome.scene
    print_heading(f"What the stand-in for Attentive received, in {scene.received}")
    print_listing(
        ["segment", "rows", "file, with its first lines"],
        [ListedRow((it.segment, it.rows, it.name), commands=[*it.first_lines, "…"]) for it in outcome.received],
        right=["rows"],
        indent=2,
    )
    counts = outcome.counts
    click.echo(
        f"\n{counts['rows_in']:,} rows in = {counts['rows_out']:,} sent + {counts['duplicates']:,} duplicates"
        f" + {counts['rejected']:,} rejected + {counts['empty']:,} without a number"
    )
    print_heading("The reject report begins")
    for line in outcome.first_rejects:
        click.echo(f"  {line}")
    print_heading("Where everything lies")
    print_listing(
        ["what", "where"],
        [
            ListedRow(("configuration", scene.configuration)),
            ListedRow(("state", scene.state)),
            ListedRow(("log", scene.log)),
            ListedRow(("the export", scene.sample)),
            ListedRow(("received files", scene.received)),
            ListedRow(("reject report", outcome.rejects)),
        ],
        indent=2,
    )
    status = command_line(scene.configuration, "status")
    show = command_line(scene.configuration, "show", outcome.export)
    print_heading("Did it go out? Ask the relay")
    click.echo(f"  {status}\n  {show}")
