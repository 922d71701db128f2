"""Phone numbers by the shape of their cells: what the reference rules say of one number holds for all of its shape.

A shape is a cell with its digits blotted out. As long as nothing but digits and the usual punctuation is in it, the
reference rules look at the digits themselves only to tell a prefix, so the first digit settles what becomes of the
cell; what that is, they are asked once for each shape. Any cell of which this does not hold for certain is strange.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from relay.rewrite.bulk.cells import Bytes, Cells, Words
from relay.rewrite.bulk.existence import existing
from relay.rewrite.bulk.judged import EMPTY, SENT, STRANGE, Codes, code_of
from relay.rewrite.mask import FEWEST_PHONE_DIGITS
from relay.rewrite.phone import fold, is_possible, judge_phone, may_be_extended
from relay.rewrite.rules import PhoneRules
from relay.rewrite.verdict import Identifier, Reason, Rejected

_WIDTH: Final = 24
"""Bytes; a longer cell is strange."""

_LENGTH: Final = 10
_MOST_SHAPES: Final = 64
"""Shapes told apart in one block; what is left then is strange."""

_BLOT: Final = 1
_BLOTS: Final = np.array([_BLOT if chr(byte).isdecimal() and byte < 128 else byte for byte in range(256)], np.uint8)
_FACTORS: Final = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)
"""Odd numbers, by which the words of a shape are weighed in its fingerprint."""
_PLACES: Final = 10.0 ** np.arange(_LENGTH - 1, -1, -1)

_USUAL: Final = re.compile(r"\+?[\x01 ().\-/]*")
_LIKE_DECIMAL: Final = re.compile(r"[+-]?\x01{7,}[.,]\x01{3,}")
"""Whether this is a decimal depends on whether noughts stand behind the point."""
_EXTENDED: Final = re.compile(r"([\x01 ().\-]*\x01) ?(?:x|ext\.?) ?\x01{1,6}")
_BY_NOTATION: Final = (Rejected(Reason.SCIENTIFIC_NOTATION), Rejected(Reason.DECIMAL_SUFFIX))
_SHAPES_REMEMBERED: Final = 4096


@dataclass(frozen=True, slots=True)
class Shape:
    """What becomes of the cells of a shape.

    Args:
        digits: where its digits are.
        codes: what the cell is, by its first digit: 0, 1, or any other.
    """

    digits: tuple[int, ...]
    codes: tuple[int, int, int]

    @property
    def number(self) -> slice | list[int]:
        """Where the ten digits of an accepted number are."""
        return _columns(self.digits[-_LENGTH:])

    @property
    def last(self) -> slice | list[int]:
        """Where the digits are that may be shown, if there are enough to be a number (rule S9)."""
        return _columns(self.digits[-4:])


def _columns(places: Sequence[int]) -> slice | list[int]:
    """Return places as a slice if they follow on each other, which is quicker to look up."""
    if len(places) and places[-1] - places[0] == len(places) - 1:
        return slice(places[0], places[-1] + 1)
    return list(places)


@lru_cache(_SHAPES_REMEMBERED)
def shape_of(blotted: bytes, rules: PhoneRules) -> Shape:
    """Return what becomes of the cells that look like this, their digits blotted out."""
    digits = tuple(place for place, byte in enumerate(blotted) if byte == _BLOT)
    zero, one, other = (_code(blotted, first, rules) for first in "012")
    return Shape(digits, (zero, one, other))


def _code(blotted: bytes, first: str, rules: PhoneRules) -> int:
    try:
        text = blotted.decode()
    except UnicodeDecodeError:
        return STRANGE
    if not _is_settled(text, first, rules):
        return STRANGE
    before, *parts = text.split(chr(_BLOT))
    judged = judge_phone(before + first + "5".join(parts), PhoneRules(extension=rules.extension))
    return code_of(judged.reason) if isinstance(judged, Rejected) else SENT


def _is_settled(blotted: str, first: str, rules: PhoneRules) -> bool:
    """Say whether all cells of a shape with this first digit (2 stands for 2 to 9) are judged, and shown, the same."""
    count = blotted.count(chr(_BLOT))
    plain = unicodedata.normalize("NFKC", blotted)
    if "@" in plain or any(map(str.isdecimal, plain)):
        return False
    text = fold(blotted)
    if _LIKE_DECIMAL.fullmatch(text.replace(" ", "")):
        return False
    if not _USUAL.fullmatch(text):
        return _is_settled_unusual(text, first, rules)
    if count == 0:
        return False  # Perhaps there is nothing to be seen at all.
    if "+" in text:
        return first != "1" or count <= _LENGTH + 1
    # 00 and 011 may lead to another country, and 1 1 is a doubled country code; ten digits alone have no prefix.
    return count == _LENGTH or first == "2" or (first == "1" and count <= _LENGTH + 1)


def _is_settled_unusual(text: str, first: str, rules: PhoneRules) -> bool:
    """Say the same of a shape with letters or unusual signs in it."""
    if extended := _EXTENDED.fullmatch(text):
        return rules.extension == "reject" and first == "2" and extended[1].count(chr(_BLOT)) == _LENGTH
    # Numbers in other notations, and letters, are refused for what they are; but of digits behind a letter the library
    # may say that they are an extension.
    example = text.replace(chr(_BLOT), "5")
    return judge_phone(example, PhoneRules()) in _BY_NOTATION or (
        any(map(str.isalpha, text)) and not may_be_extended(example)
    )


class Phones:
    """A column of phone numbers, judged; see `relay.rewrite.bulk.judged.Identifiers`."""

    def __init__(self, cells: Cells, rules: PhoneRules) -> None:
        count = len(cells)
        self.codes: Codes = np.full(count, STRANGE, np.uint8)
        self.suspects: NDArray[np.bool_] = np.zeros(count, np.bool_)
        self.numbers: NDArray[np.int64] = np.zeros(count, np.int64)
        self._digits: Bytes = np.zeros((count, _LENGTH), np.uint8)
        self._shown: Bytes = np.zeros((count, 4), np.uint8)
        self.codes[cells.lengths == 0] = EMPTY
        self._judge(cells, rules)
        self._look_up(rules)

    def put(self, row: int, identifier: Identifier) -> None:
        """Note what the reference rules found in a strange cell."""
        self.codes[row] = SENT
        self.suspects[row] = identifier.suspect
        self.numbers[row] = int(identifier.value)
        self._digits[row] = np.frombuffer(identifier.value.encode(), np.uint8)

    def masked(self, rows: NDArray[np.intp]) -> list[str]:
        """Return what may be shown of rejected cells (rule S9)."""
        shown = self._shown[rows].tobytes().decode("ascii")
        fours = (shown[place : place + 4] for place in range(0, len(shown), 4))
        return [f"***-***-{four}" if four[0] != "\0" else "***" for four in fours]

    def keys(self, rows: NDArray[np.intp]) -> NDArray[np.int64]:
        """Return these rows' numbers (rule P6)."""
        return self.numbers[rows]

    def lines(self, rows: NDArray[np.intp], ending: str) -> bytes:
        """Return the outgoing lines of these rows, which are `SENT`; `ending` is what follows each identifier."""
        behind = np.frombuffer(ending.encode(), np.uint8)
        lines = np.empty((len(rows), _LENGTH + len(behind)), np.uint8)
        lines[:, :_LENGTH] = self._digits[rows]
        lines[:, _LENGTH:] = behind
        return lines.tobytes()

    def _judge(self, cells: Cells, rules: PhoneRules) -> None:
        """Take one shape after another, each with all cells that have it."""
        lengths = cells.lengths
        text = cells.words(_WIDTH)
        blotted = _BLOTS[text.view(np.uint8)].view(np.uint64)
        prints = blotted @ _FACTORS
        rows = np.flatnonzero((lengths > 0) & (lengths <= _WIDTH))
        prints = prints[rows]
        for _ in range(_MOST_SHAPES):
            if not len(rows):
                return
            first, alike = rows[0], prints == prints[0]
            shape = shape_of(blotted[first].tobytes()[: lengths[first]], rules)
            if any(shape.codes):
                like_first = rows[alike]
                # Different shapes may have the same fingerprint: the words decide, and the other shape is strange.
                self._take(like_first[(blotted[like_first] == blotted[first]).all(axis=1)], text, shape)
            rows, prints = rows[~alike], prints[~alike]

    def _take(self, rows: NDArray[np.intp], text: Words, shape: Shape) -> None:
        """Note what the cells of one shape are."""
        cells = text.view(np.uint8)[rows]
        first = cells[:, shape.digits[0] if shape.digits else 0] - np.uint8(ord("0"))
        codes = np.array(shape.codes, np.uint8)[np.minimum(first, 2)]
        self.codes[rows] = codes
        for taken, into, places in (
            (codes == SENT, self._digits, shape.number),
            (codes > SENT, self._shown, shape.last),
        ):
            if into is self._shown and len(shape.digits) < FEWEST_PHONE_DIGITS:
                continue
            if taken.all():
                into[rows] = cells[:, places]
            elif taken.any():
                into[rows[taken]] = cells[taken][:, places]

    def _look_up(self, rules: PhoneRules) -> None:
        """See which of the numbers exist, and refuse what the route does not take (rules P2 and P3)."""
        rows = np.flatnonzero(self.codes == SENT)
        digits = self._digits[rows]
        numbers = (digits - np.uint8(ord("0"))).astype(np.float64) @ _PLACES
        self.numbers[rows] = numbers
        exist = existing(self.numbers[rows])
        self.suspects[rows] = ~exist
        if rules.validation != "format":
            refused = ~(exist if rules.validation == "valid" else _are_possible(self.numbers[rows]))
            self.codes[rows[refused]] = code_of(Reason.INVALID_NUMBER)
            self._shown[rows[refused]] = digits[refused][:, -4:]


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
