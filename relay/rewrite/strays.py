"""Rows that stand within a row: what a stray quote swallows, or an escape character before a line end (rule S13). Pure.

In an export that does not quote, a quote at the beginning of one cell and another at the end of a later one make a
single cell of all the rows between them, as CSV has it. Nothing is wrong with such a cell but what is in it.
"""

import re
from collections.abc import Sequence
from typing import Final

from relay.rewrite.dialect import Dialect
from relay.rewrite.layout import Layout
from relay.rewrite.mask import looks_like_identifier
from relay.rewrite.unusable import Unusable, UnusableSource

_LINE_END: Final = re.compile(r"\r\n|\n|\r")


def refuse_swallowed_rows(line: int, cells: Sequence[str], layout: Layout) -> None:
    """See that a row of several lines is one row, as far as its lines tell.

    Args:
        line: the row's first line.
        cells: its cells.
        layout: how its source lies.

    Raises:
        UnusableSource: its lines are rows by themselves.
    """
    if layout.dialect.trusted or not holds_rows(cells, layout):
        return
    last = line + sum(cell.count("\n") for cell in cells)
    what, hint = _explained(layout.dialect)
    raise UnusableSource(
        Unusable.SWALLOWED_ROWS,
        f"the row that begins in line {line} goes on to line {last} by {what}, but its lines are rows by themselves",
        hint,
    )


def holds_rows(cells: Sequence[str], layout: Layout) -> bool:
    """Say whether lines of a row of several lines, split plainly at the delimiter, are rows by themselves.

    Such a line has as many cells as a row has. That alone may be chance where cells are texts, as addresses are. It is
    none if the line has an identifier in its place that is not the row's own, or if two of them name the row's segment
    in its place; nor, in a row of another width, if there are two of them.
    """
    delimiter = layout.dialect.delimiter
    lines = [line.split(delimiter) for line in _LINE_END.split(delimiter.join(cells))]
    whole = [line for line in lines if len(line) == layout.width]
    place = layout.identifier.position
    people = [line[place] for line in whole if looks_like_identifier(line[place])]
    if len(cells) != layout.width:
        return len(whole) > 1 or bool(people and people != lines[0][place : place + 1])
    if people and people != [cells[place]]:
        return True
    segment = [cells[column.position] for column in layout.segment]
    named = [line for line in whole if [line[column.position] for column in layout.segment] == segment]
    return any(segment) and len(named) > 1


def _explained(dialect: Dialect) -> tuple[str, str]:
    """Return what made one row of several lines, and which settings say otherwise."""
    causes = [("quotes", _OTHER_QUOTES)] if dialect.quotes else []
    causes += [("an escape character before a line end", _OTHER_ESCAPE)] if dialect.escape is not None else []
    return " or ".join(what for what, _ in causes), " ".join(hint for _, hint in causes)


_OTHER_QUOTES: Final = (
    'If the export does not quote its cells, set source.quotes = "none". If its cells really have line ends and '
    'delimiters like these, set source.quotes = "standard".'
)
_OTHER_ESCAPE: Final = (
    'If the escape character has no meaning before a line end in this export, set source.escape = "none".'
)
