"""The column that numbers the rows of an export: a gap in it says that rows are missing (rule S12)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from relay.rewrite.bulk.blocks import Batch
from relay.rewrite.bulk.cells import Cells
from relay.rewrite.unusable import Unusable, UnusableSource

_MOST_DIGITS: Final = 16
"""A longer number counts no rows."""


@dataclass(slots=True)
class _Part:
    """What one source's numbers are: how many, between which, and the line before which the first one is missing."""

    rows: int = 0
    lowest: int = 0
    highest: int = -1
    gap_at: int | None = None

    def is_whole(self) -> bool:
        """Say whether every number between the lowest and the highest is there."""
        return self.highest - self.lowest + 1 == self.rows


class RowNumbers:
    """Sees that no number is missing. Where a row has none that can be read, the column is no evidence of anything."""

    def __init__(self) -> None:
        self._parts: list[tuple[str, _Part]] = []
        self._part = _Part()
        self._tells = True

    def take(self, batch: Batch, position: int) -> None:
        """Take in the numbers of a batch."""
        numbers = _numbers(batch.column(position))
        self._tells &= bool(batch.plain.all()) and numbers is not None
        if not self._tells or numbers is None or not len(numbers):
            return
        part = self._part
        before = np.concatenate(([part.highest if part.rows else numbers[0] - 1], numbers[:-1]))
        gaps = np.flatnonzero(numbers != before + 1)
        if part.gap_at is None and len(gaps):
            part.gap_at = int(batch.lines[gaps[0]])
        lowest, highest = int(numbers.min()), int(numbers.max())
        part.lowest = min(part.lowest, lowest) if part.rows else lowest
        part.highest = max(part.highest, highest)
        part.rows += len(numbers)

    def end_part(self, name: str) -> None:
        """Note that a source has ended; each may begin anew or go on where the one before ended."""
        if self._part.rows:
            self._parts.append((name, self._part))
        self._part = _Part()

    def check(self) -> None:
        """See that all rows are there.

        Raises:
            UnusableSource: some are missing.
        """
        if not self._tells:
            return
        end = 0
        for name, part in sorted(self._parts, key=lambda it: it[1].lowest):
            where = f"{name}: " if len(self._parts) > 1 else ""
            if not part.is_whole():
                raise _missing(where + _gap(part))
            if part.lowest > max(end + 1, 1):
                before = f"the rows before end at {end:,}" if end else "the first row is number 0 or 1"
                raise _missing(f"{where}the rows are numbered from {part.lowest:,} on, but {before}")
            end = max(end, part.highest)


def _numbers(cells: Cells) -> NDArray[np.int64] | None:
    """Return cells as whole numbers; None if one is anything else."""
    lengths = cells.lengths
    if not len(cells) or lengths.min() == 0 or lengths.max() > _MOST_DIGITS:
        return None if len(cells) else np.zeros(0, np.int64)
    digits = cells.words(_MOST_DIGITS).view(np.uint8).reshape(len(cells), _MOST_DIGITS)
    found = np.zeros(len(cells), np.int64)
    for place in range(int(lengths.max())):
        inside = place < lengths
        digit = digits[:, place] - np.int64(ord("0"))
        if ((digit < 0) | (digit > 9))[inside].any():
            return None
        found = np.where(inside, found * 10 + digit, found)
    return found


def _gap(part: _Part) -> str:
    line = f"; the first gap is before line {part.gap_at}" if part.gap_at is not None else ""
    return f"the rows are numbered from {part.lowest:,} to {part.highest:,}, but there are {part.rows:,} of them{line}"


def _missing(detail: str) -> UnusableSource:
    return UnusableSource(
        Unusable.TRUNCATED,
        detail,
        "Rows are missing or doubled: have the export sent again, as a whole. If the column does not number the rows, "
        "set source.row_number_column to [].",
    )
