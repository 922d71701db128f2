"""Tables whose rows say more than fits in a line: what belongs to a row stands under it, indented."""

import sys
import textwrap
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import click

from relay.cli.tables import as_text

PAGE_WIDTH: Final = 100
"""Columns that text is wrapped at."""

_NO_LIMIT: Final = 10_000
_STATE_STYLES: Final = {
    "sent": "green",
    "accepted": "green",
    "held": "red bold",
    "failed": "red bold",
    "quarantined": "red bold",
    "suspended": "red bold",
    "deferred": "yellow",
}


@dataclass(frozen=True, slots=True)
class ListedRow:
    """A row of a listing: a cell for each column, and the lines under it.

    Text in `remarks` is wrapped; what is in `commands` stays on one line, so that it can be pasted.
    """

    cells: Sequence[object]
    remarks: Sequence[str] = ()
    commands: Sequence[str] = ()


def print_listing(
    headings: Sequence[str], rows: Iterable[ListedRow], *, right: Collection[str] = (), indent: int = 0
) -> None:
    """Print a listing. On a terminal, words that are states have their colour."""
    rows = list(rows)
    first, *lines = _aligned(headings, [row.cells for row in rows], right)
    margin = " " * indent
    click.echo(margin + first)
    for line, row in zip(lines, rows, strict=True):
        click.echo(margin + line)
        for remark in row.remarks:
            print_wrapped(remark, indent=indent + 4)
        for command in row.commands:
            click.echo(" " * (indent + 4) + as_text(command))


def print_heading(words: str) -> None:
    """Print what the following, indented, is about."""
    click.echo(f"\n{click.style(words, bold=True)}")


def print_wrapped(text: str, *, indent: int = 0) -> None:
    """Print running text, wrapped at the page's width and indented."""
    margin = " " * indent
    click.echo(
        textwrap.fill(
            as_text(text),
            PAGE_WIDTH,
            initial_indent=margin,
            subsequent_indent=margin,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


def _aligned(headings: Sequence[str], rows: Iterable[Sequence[object]], right: Collection[str]) -> list[str]:
    """Lay out a line for the headings and exactly one for each row."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(text := as_text(cell), style=_STATE_STYLES.get(text, "")) for cell in row))
    console = Console(file=sys.stdout, width=_NO_LIMIT)
    with console.capture() as captured:
        console.print(table)
    return [line.rstrip() for line in captured.get().splitlines()]
