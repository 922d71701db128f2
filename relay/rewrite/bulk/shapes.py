"""The shapes of phone numbers: what the reference rules say of one number holds for all of its shape.

A shape is a cell with its digits blotted out. As long as nothing but digits and the usual punctuation is in it, the
reference rules look at the digits themselves only to tell a prefix, so the first digit settles what becomes of the
cell; what that is, they are asked once for each shape. Any cell of which this does not hold for certain is strange.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from relay.rewrite.bulk.cells import Mask, Words
from relay.rewrite.bulk.judged import SENT, STRANGE, code_of
from relay.rewrite.phone import fold, judge_phone, may_be_extended
from relay.rewrite.rules import PhoneRules
from relay.rewrite.verdict import Reason, Rejected

LONGEST: Final = 24
"""Bytes; a longer cell has no shape."""
LENGTH: Final = 10
"""Digits of a number."""

_BLOT: Final = 1
_DIGITS: Final = b"0123456789"
_BLOTS: Final = bytes.maketrans(bytes([*_DIGITS, _BLOT]), bytes([_BLOT] * len(_DIGITS) + [_BLOT + 1]))
"""A cell that has the blot itself must not look as if a digit were there."""
_HIGH: Final = 0x80
"""The highest bit of a byte."""

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
        length: of its cells, in bytes.
        digits: where its digits are.
        codes: what the cell is, by its first digit: 0, 1, or any other.
        pattern: for each word of a cell what it should be, its digits nought; what may be added to what it differs by;
            and which bits that must leave alone.
    """

    length: int
    digits: tuple[int, ...]
    codes: tuple[int, int, int]
    pattern: tuple[tuple[np.uint64, np.uint64, np.uint64], ...]

    def fits(self, cells: Words) -> Mask:
        """Say which of these cells, all as long as the shape is, have it."""
        wrong = np.zeros(len(cells), np.uint64)
        for word, (expected, slack, high) in zip(cells.T, self.pattern, strict=False):
            # A byte that is as expected differs by nought, and a digit from another by at most nine: with the slack
            # added, neither reaches its highest bit, and so none runs over into the next byte.
            differs = word ^ expected
            wrong |= ((differs + slack) | differs) & high
        fitting: Mask = wrong == 0
        return fitting


def _pattern(blotted: bytes) -> tuple[tuple[np.uint64, np.uint64, np.uint64], ...]:
    cell = np.frombuffer(blotted.ljust(LONGEST, b"\0"), np.uint8)
    expected = np.where(cell == _BLOT, np.uint8(ord("0")), cell)
    slack = np.where(cell == _BLOT, np.uint8(_HIGH - 1 - 9), np.uint8(_HIGH - 1))
    high = np.where(np.arange(LONGEST) < len(blotted), np.uint8(_HIGH), np.uint8(0))
    return tuple(zip(expected.view(np.uint64), slack.view(np.uint64), high.view(np.uint64), strict=True))


def shape_of(cell: bytes, rules: PhoneRules) -> Shape:
    """Return the shape of a cell and what becomes of all that have it."""
    return _shape(cell.translate(_BLOTS), rules)


@lru_cache(_SHAPES_REMEMBERED)
def _shape(blotted: bytes, rules: PhoneRules) -> Shape:
    digits = tuple(place for place, byte in enumerate(blotted) if byte == _BLOT)
    zero, one, other = (_code(blotted, first, rules) for first in "012")
    return Shape(len(blotted), digits, (zero, one, other), _pattern(blotted))


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
        return first != "1" or count <= LENGTH + 1
    # 00 and 011 may lead to another country, and 1 1 is a doubled country code; ten digits alone have no prefix.
    return count == LENGTH or first == "2" or (first == "1" and count <= LENGTH + 1)


def _is_settled_unusual(text: str, first: str, rules: PhoneRules) -> bool:
    """Say the same of a shape with letters or unusual signs in it."""
    if extended := _EXTENDED.fullmatch(text):
        return rules.extension == "reject" and first == "2" and extended[1].count(chr(_BLOT)) == LENGTH
    # Numbers in other notations, and letters, are refused for what they are; but of digits behind a letter the library
    # may say that they are an extension.
    example = text.replace(chr(_BLOT), "5")
    return judge_phone(example, PhoneRules()) in _BY_NOTATION or (
        any(map(str.isalpha, text)) and not may_be_extended(example)
    )
