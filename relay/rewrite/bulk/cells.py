"""The cells of one column, many rows at once: where each lies in a text, and its bytes side by side as whole words."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Positions = NDArray[np.int64]
Words = NDArray[np.uint64]

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

    def words(self, width: int) -> Words:
        """Return the first `width` bytes of each cell, as a row of words; what the cell does not have is nought.

        Args:
            width: bytes; a multiple of `WORD`, at most `WIDEST`.
        """
        rows: Words = np.ascontiguousarray(sliding_window_view(self.text, width)[self.begins]).view(np.uint64)
        rows &= _masks(width)[np.minimum(self.lengths, width)]
        return rows

    def at(self, row: int) -> bytes:
        """Return one cell."""
        return self.text[self.begins[row] : self.ends[row]].tobytes()


def padded(text: bytes) -> Bytes:
    """Return a text as an array that can be looked at as words up to its last byte."""
    return np.frombuffer(text + bytes(WIDEST), np.uint8)


@cache
def _masks(width: int) -> Words:
    """Return for every length up to `width` the words that keep so many bytes."""
    kept = np.arange(width) < np.arange(width + 1)[:, np.newaxis]
    return (kept * np.uint8(0xFF)).view(np.uint64)
