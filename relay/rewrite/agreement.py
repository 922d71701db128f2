"""What the parts of one export must have in common, so that the same columns decide in each of them (rule S14)."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import mode
from typing import Final

from relay.rewrite.dialect import Dialect
from relay.rewrite.layout import Column, Format, Layout
from relay.rewrite.unusable import Unusable, UnusableSource

_NAME: Final = re.compile(r"[^\W\d][\w .-]*")
"""How columns are called."""

_ALL_ALIKE: Final = (
    "Have every part of the export written with the same columns, and with the same header or, but for the first, none."
)


def check_alike(earlier: Layout, later: Layout) -> None:
    """See that a later part with a header of its own has what decides in the columns that the first part has it in.

    Raises:
        UnusableSource: it does not.
    """
    by_place = not earlier.has_header
    columns = [("identifier", (earlier.identifier,), (later.identifier,)), ("segment", earlier.segment, later.segment)]
    if later.format in {Format.CSV, Format.PARQUET}:  # Of objects, all may lack a name that is null in each.
        columns.append(("control", _some(earlier.control), _some(later.control)))
    for what, first, its in columns:
        if [_key(column, by_place=by_place) for column in first] != [_key(column, by_place=by_place) for column in its]:
            raise _differs(f"its {what} column is {_shown(its)}, that of the first part {_shown(first)}")


def continued(
    earlier: Layout, dialect: Dialect, rows: Sequence[Sequence[str]], is_identifier: Callable[[str], bool]
) -> Layout:
    """Return the layout of a later part that has no header that is known: that of the first part.

    Raises:
        UnusableSource: its rows have other columns, or the first of them may be a header of unknown names.
    """
    width = mode(map(len, rows))
    if width != earlier.width:
        raise _differs(f"it has {width} columns without a header, the first part {earlier.width}")
    if len(rows[0]) == width and _may_be_header(rows, earlier.identifier, is_identifier):
        raise _differs("its first row has no identifier, and may be a header that names no column that is known")
    return replace(earlier, dialect=dialect, has_header=False)


def _may_be_header(rows: Sequence[Sequence[str]], identifier: Column, is_identifier: Callable[[str], bool]) -> bool:
    """Say whether a first row has nothing but names in it, none of which stands in its column again."""
    first, *others = rows
    if is_identifier(first[identifier.position]) or not all(_NAME.fullmatch(cell.strip()) for cell in first):
        return False
    return not any(cell == again for row in others for cell, again in zip(first, row, strict=False))


def _some(column: Column | None) -> tuple[Column, ...]:
    return () if column is None else (column,)


def _key(column: Column, *, by_place: bool) -> str | int:
    return column.position if by_place else column.name.casefold()


def _shown(columns: Sequence[Column]) -> str:
    return " and ".join(column.name for column in columns) or "missing"


def _differs(detail: str) -> UnusableSource:
    return UnusableSource(Unusable.PARTS_DIFFER, detail, _ALL_ALIKE)
