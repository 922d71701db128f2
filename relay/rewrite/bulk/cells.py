"""The cells of one column, many rows at once: where each lies in a text, and its bytes side by side as whole words."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Positions = NDArray[np.int64]
Words = NDArray[np.uint64]
Items = NDArray[np.void]
"""Bytes that lie side by side, as many in each item."""

WORD: Final = 8
"""Bytes in a word."""

WIDEST: Final = 64
"""Bytes of a cell that can be looked at as words; a text is followed by as many of nought."""


@dataclass(frozen=True, slots=True)
class Cells:
    """One column's cells in `text`, which goes on for `WIDEST` bytes behind the last of them."""

    text: Bytes
    begins: Positions
    ends: Positions

    @classmethod
    def of(cls, texts: Sequence[str]) -> Self:
        """Return cells with these contents."""
        encoded = [text.encode() for text in texts]
        ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))
        begins = np.concatenate(([0], ends[:-1])) if encoded else ends
        return cls(padded(b"".join(encoded)), begins, ends)

    def __len__(self) -> int:
        return len(self.begins)

    @property
    def lengths(self) -> Positions:
        """Bytes in each cell."""
        return self.ends - self.begins

    def of_rows(self, rows: NDArray[np.intp]) -> "Cells":
        """Return the cells of some rows."""
        return Cells(self.text, self.begins[rows], self.ends[rows])

    def items(self, width: int) -> Items:
        """Return `width` bytes, at most `WIDEST`, from where each cell begins, whatever is behind it."""
        # Single items are gathered many times as fast as rows of a table.
        windows: Items = np.ndarray((len(self.text) - width + 1,), f"V{width}", self.text, strides=(1,))
        return windows[self.begins]

    def words(self, width: int) -> Words:
        """Return the first `width` bytes of each cell, as a row of words; what the cell does not have is nought.

        Args:
            width: bytes; a multiple of `WORD`, at most `WIDEST`.
        """
        words = as_words(self.items(width))
        words &= as_words(_masks(width)[np.minimum(self.lengths, width)])
        return words

    def at(self, row: int) -> bytes:
        """Return one cell."""
        return self.text[self.begins[row] : self.ends[row]].tobytes()


def padded(text: bytes) -> Bytes:
    """Return a text as an array that can be looked at as words up to its last byte."""
    return np.frombuffer(text + bytes(WIDEST), np.uint8)


def as_words(items: Items) -> Words:
    """Return items, whose bytes are a multiple of `WORD`, as rows of words."""
    return items.view(np.uint64).reshape(-1, items.itemsize // WORD)


def as_numbers(digits: Bytes) -> NDArray[np.int64]:
    """Return what rows of ASCII digits are as numbers."""
    numbers = np.zeros(len(digits), np.int64)
    for place in digits.T:
        numbers *= 10
        numbers += place - np.uint8(ord("0"))
    return numbers


def bytes_at(items: Items, places: tuple[int, ...]) -> NDArray[np.bytes_]:
    """Return the bytes at these places of each item, side by side."""
    source, target = _fields(places, items.itemsize)
    found = np.empty(len(items), target)
    for field in target.names or ():
        found[field] = items.view(source)[field]
    return found.view(f"S{len(places)}")


@cache
def _fields(places: tuple[int, ...], width: int) -> tuple[np.dtype[np.void], np.dtype[np.void]]:
    """Return where the runs of these places lie in an item, and the same runs side by side."""
    begins = [number for number, place in enumerate(places) if number == 0 or place != places[number - 1] + 1]
    lengths = [end - begin for begin, end in pairwise((*begins, len(places)))]
    names, runs = [f"run {begin}" for begin in begins], [f"V{length}" for length in lengths]
    offsets = [places[begin] for begin in begins]
    source = np.dtype({"names": names, "formats": runs, "offsets": offsets, "itemsize": width})
    return source, np.dtype(list(zip(names, runs, strict=True)))


@cache
def _masks(width: int) -> Items:
    """Return for every length up to `width` the bytes that keep so many."""
    kept = np.arange(width) < np.arange(width + 1)[:, np.newaxis]
    return (kept * np.uint8(0xFF)).view(f"V{width}")[:, 0]
