"""A column of phone numbers, judged by the shapes of its cells; see `relay.rewrite.bulk.shapes`."""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from relay.rewrite.bulk.cells import WORD, Cells, Items, as_numbers, as_words, bytes_at
from relay.rewrite.bulk.existence import existing
from relay.rewrite.bulk.judged import EMPTY, SENT, STRANGE, Codes, code_of
from relay.rewrite.bulk.shapes import LENGTH, LONGEST, Shape, shape_of
from relay.rewrite.mask import FEWEST_PHONE_DIGITS
from relay.rewrite.phone import is_possible
from relay.rewrite.rules import PhoneRules
from relay.rewrite.verdict import Identifier, Reason

_SHOWN: Final = 4
"""So many digits of a rejected number may be shown (rule S9)."""
_LAST: Final = tuple(range(LENGTH - _SHOWN, LENGTH))
_MOST_SHAPES: Final = 32
"""Shapes told apart among the cells of a block that are as long; what is left then is strange."""


class Phones:
    """A column of phone numbers, judged; see `relay.rewrite.bulk.judged.Identifiers`."""

    def __init__(self, cells: Cells, rules: PhoneRules) -> None:
        count = len(cells)
        self.codes: Codes = np.full(count, STRANGE, np.uint8)
        self.suspects: NDArray[np.bool_] = np.zeros(count, np.bool_)
        self.numbers: NDArray[np.int64] = np.zeros(count, np.int64)
        self._digits: NDArray[np.bytes_] = np.zeros(count, f"S{LENGTH}")
        self._shown: NDArray[np.bytes_] = np.zeros(count, f"S{_SHOWN}")
        self.codes[cells.lengths == 0] = EMPTY
        self._judge(cells, rules)
        self._look_up(rules)

    def put(self, row: int, identifier: Identifier) -> None:
        """Note what the reference rules found in a strange cell."""
        self.codes[row] = SENT
        self.suspects[row] = identifier.suspect
        self.numbers[row] = int(identifier.value)
        self._digits[row] = identifier.value.encode()

    def masked(self, rows: NDArray[np.intp]) -> list[str]:
        """Return what may be shown of rejected cells (rule S9)."""
        return [f"***-***-{four.decode()}" if four else "***" for four in self._shown[rows].tolist()]

    def keys(self, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """Return these rows' numbers (rule P6)."""
        return self.numbers[rows]

    def values(self, rows: NDArray[np.intp]) -> NDArray[np.bytes_]:
        """Return the ten digits of these rows, which are `SENT` (rule A5)."""
        return self._digits[rows]

    def _judge(self, cells: Cells, rules: PhoneRules) -> None:
        """Take the cells of one length after another: few shapes have the same."""
        lengths = cells.lengths
        rows = np.flatnonzero((lengths > 0) & (lengths <= LONGEST))
        lengths = lengths[rows].astype(np.uint8)
        by_length = rows[np.argsort(lengths, kind="stable")]
        counts = np.bincount(lengths, minlength=LONGEST + 1)
        for length, alike in enumerate(np.split(by_length, np.cumsum(counts)[:-1])):
            if len(alike):
                self._judge_alike(alike, cells.of_rows(alike), length, rules)

    def _judge_alike(self, rows: NDArray[np.intp], cells: Cells, length: int, rules: PhoneRules) -> None:
        """Take one shape after another, each with all cells that have it; the cells are all as long."""
        items = cells.items(-(-length // WORD) * WORD)
        for _ in range(_MOST_SHAPES):
            shape = shape_of(items[0].tobytes()[:length], rules)
            alike = shape.fits(as_words(items))
            if any(shape.codes):
                self._take(rows[alike], items[alike], shape)
            alike[0] = True  # The first cell was looked at, and is strange if it does not have its own shape.
            if alike.all():
                return
            rows, items = rows[~alike], items[~alike]

    def _take(self, rows: NDArray[np.intp], cells: Items, shape: Shape) -> None:
        """Note what the cells of one shape are."""
        first = cells.view(np.uint8).reshape(-1, cells.itemsize)[:, shape.digits[0] if shape.digits else 0]
        codes = np.array(shape.codes, np.uint8)[np.minimum(first - np.uint8(ord("0")), 2)]
        self.codes[rows] = codes
        for taken, into, places in (
            (codes == SENT, self._digits, shape.digits[-LENGTH:]),
            (codes > SENT, self._shown, shape.digits[-_SHOWN:]),
        ):
            if into is self._shown and len(shape.digits) < FEWEST_PHONE_DIGITS:
                continue
            if taken.all():
                into[rows] = bytes_at(cells, places)
            elif taken.any():
                into[rows[taken]] = bytes_at(cells[taken], places)

    def _look_up(self, rules: PhoneRules) -> None:
        """See which of the numbers exist, and refuse what the route does not take (rules P2 and P3)."""
        rows = np.flatnonzero(self.codes == SENT)
        digits = self._digits[rows]
        numbers = as_numbers(digits.view(np.uint8).reshape(-1, LENGTH))
        self.numbers[rows] = numbers
        exist = existing(numbers)
        self.suspects[rows] = ~exist
        if rules.validation != "format":
            refused = ~(exist if rules.validation == "valid" else _are_possible(numbers))
            self.codes[rows[refused]] = code_of(Reason.INVALID_NUMBER)
            self._shown[rows[refused]] = bytes_at(digits[refused].view(f"V{LENGTH}"), _LAST)


def _are_possible(numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which numbers have an area code and an exchange as the numbering plan has them (rule P2)."""
    areas, exchanges = _possible_parts()
    possible: NDArray[np.bool_] = areas[numbers // 10**7] & exchanges[numbers // 10**4 % 1000]
    return possible


@cache
def _possible_parts() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which area codes and which exchanges are possible; the one has no say in the other."""
    parts = [f"{part:03}" for part in range(1000)]
    good = "222"
    areas = np.array([is_possible(f"{part}{good}0000") for part in parts])
    return areas, np.array([is_possible(f"{good}{part}0000") for part in parts])
