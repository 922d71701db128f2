"""What commands print for people and for programs: tables and JSON."""

import json
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Final

import click

_WIDE: Final = 1000
"""Columns of a table that goes into a file or a pipe: nothing is cut off or wrapped there."""


def print_json(document: object) -> None:
    """Print one JSON document; instants, paths and the like are written as text."""
    click.echo(json.dumps(document, indent=2, default=str))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, right: Collection[str] = ()) -> None:
    """Print a table: in colour and as wide as the terminal, or plain and unwrapped where there is none.

    Args:
        headings: the columns' names.
        rows: a cell for each column; None is shown as a dash, a whole number with its thousands apart.
        right: the columns that are aligned to the right.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(as_text(cell)) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def as_text(cell: object) -> str:
    """Write a cell for people. What a client chose, such as a path, cannot steer the terminal."""
    if cell is None:
        return "–"
    if isinstance(cell, int) and not isinstance(cell, bool):
        return f"{cell:,}"
    text = str(cell)
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
