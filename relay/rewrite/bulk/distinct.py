"""The different contents of a column that has few, such as the segment's: each gets a number when it first appears."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from relay.rewrite.bulk.cells import WIDEST, WORD, Cells, Words

_MOST: Final = 4096
"""Contents that are told apart; a column with more is not what it was taken for."""

_FEW: Final = 8
"""So many are found sooner by comparing with each."""

Numbers = NDArray[np.int32]

UNKNOWN: Final = -1

_FACTORS: Final[Words] = np.array(
    [int(0x9E3779B97F4A7C15 * (2 * place + 1)) & 0xFFFFFFFFFFFFFFFF | 1 for place in range(WIDEST // WORD + 1)],
    np.uint64,
)
"""Odd numbers, by which the words of a cell are weighed in its fingerprint."""


class Distinct:
    """Numbers the contents of a column. `contents` has them by number."""

    def __init__(self) -> None:
        self.contents: list[bytes] = []
        self._words: Words = np.zeros((0, WIDEST // WORD), np.uint64)
        self._fingerprints: Words = np.zeros(0, np.uint64)
        self._numbers: Numbers = np.zeros(0, np.int32)

    def numbers(self, cells: Cells) -> Numbers:
        """Return the number of each cell's content, `UNKNOWN` where it is too long or one too many."""
        lengths = cells.lengths
        width = min(WIDEST, -(-int(lengths.max(initial=1)) // WORD) * WORD)
        words = cells.words(width)
        prints = lengths.astype(np.uint64) * _FACTORS[-1]
        for place in range(width // WORD):
            prints += words[:, place] * _FACTORS[place]
        found = self._find(prints)
        if (found == UNKNOWN).any():
            self._learn(cells, prints, (found == UNKNOWN) & (lengths <= WIDEST))
            found = self._find(prints)
        if not self.contents:
            return found
        # Different contents may have the same fingerprint: the words decide.
        kept = self._words[:1] if len(self.contents) == 1 else self._words[found]
        found[(kept[:, : width // WORD] != words).any(axis=1) | (lengths > WIDEST)] = UNKNOWN
        return found

    def _find(self, prints: Words) -> Numbers:
        found: Numbers
        if len(self._fingerprints) <= _FEW:
            found = np.full(len(prints), UNKNOWN, np.int32)
            for known, number in zip(self._fingerprints, self._numbers, strict=True):
                found[prints == known] = number
            return found
        places = np.minimum(np.searchsorted(self._fingerprints, prints), len(self._fingerprints) - 1)
        found = np.where(self._fingerprints[places] == prints, self._numbers[places], np.int32(UNKNOWN))
        return found

    def _learn(self, cells: Cells, prints: Words, rows: NDArray[np.bool_]) -> None:
        """Number what was not there before, in order of appearance."""
        where = np.flatnonzero(rows)
        _, first = np.unique(prints[where], return_index=True)
        new = where[np.sort(first)][: max(0, _MOST - len(self.contents))]
        if not len(new):
            return
        begin = len(self.contents)
        self.contents += map(cells.at, new.tolist())
        self._words = np.concatenate((self._words, cells.of_rows(new).words(WIDEST)))
        fingerprints = np.concatenate((self._fingerprints, prints[new]))
        numbers = np.concatenate((self._numbers, np.arange(begin, len(self.contents), dtype=np.int32)))
        order = np.argsort(fingerprints)
        self._fingerprints, self._numbers = fingerprints[order], numbers[order]
