"""Who was there before: sets of keys that take whole arrays at once and keep the first of each key (rule S5).

What a list keeps in memory is this alone, so it is small: ten-digit numbers are kept in four bytes each, and a large
table is between three and six eighths full. It grows in quarters, so that no copy of the whole is ever made. What it
costs is mostly waiting for memory: keys by the hundred thousand, sorted, wait half as long as some thousands.
"""

from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

_SMALLEST: Final = 1 << 6
_FULL: Final = 0.75
_LARGE: Final = 1 << 22
"""Places. Smaller tables grow by more, so that fewer keys are moved; what they hold in vain is little."""
_QUARTERS: Final = 4
_MOVED_AT_ONCE: Final = 1 << 16

Keys = NDArray[np.integer[Any]]
Mask = NDArray[np.bool_]


class Seen(Protocol):
    """The keys that one segment has so far."""

    def add(self, keys: Keys) -> Mask:
        """Put keys in and say of each whether it is new: there neither before nor further ahead in `keys`."""


class SeenNumbers:
    """A set of numbers below 4 × 2^32 − 4, which all ten-digit ones are."""

    def __init__(self) -> None:
        self._quarters = [_Table(np.dtype(np.uint32)) for _ in range(_QUARTERS)]

    def add(self, numbers: Keys) -> Mask:
        """Put numbers in and say of each whether it is new: seen neither before nor further ahead in `numbers`."""
        new = np.zeros(len(numbers), np.bool_)
        quarter = (numbers & (_QUARTERS - 1)).astype(np.uint8)
        # Nought marks a free place, so every key is one more than what it stands for.
        keys = ((numbers >> 2) + 1).astype(np.uint32)
        for number, table in enumerate(self._quarters):
            rows = np.flatnonzero(quarter == number)
            new[rows] = table.add(keys[rows])
        return new


class SeenHashes:
    """A set of 64-bit hashes."""

    def __init__(self) -> None:
        self._table = _Table(np.dtype(np.uint64))

    def add(self, hashes: Keys) -> Mask:
        """Put hashes in and say of each whether it is new: seen neither before nor further ahead in `hashes`."""
        return self._table.add(np.maximum(hashes, np.uint64(1)))


class _Table:
    """Open addressing with triangular probing over unsigned keys; 0 is a free place.

    Kept is each key times an odd number, which scatters keys that are neighbours (Fibonacci hashing) and maps no two to
    one. Its highest bits say where it lies, so keys in their order visit the table from its beginning to its end.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._bits = dtype.itemsize * 8
        self._spread = dtype.type(int(2**self._bits / 1.6180339887498949) | 1)
        self._places: NDArray[Any] = np.zeros(_SMALLEST, dtype)
        self._taken = 0

    def add(self, keys: NDArray[Any]) -> Mask:
        self._make_room(len(keys))
        new = np.zeros(len(keys), np.bool_)
        if len(keys):
            spread, rows = _sorted(keys * self._spread)
            first = np.concatenate(([True], spread[1:] != spread[:-1]))
            new[rows[first]] = self._put(spread[first])
        self._taken += int(np.count_nonzero(new))
        return new

    def _make_room(self, more: int) -> None:
        """Grow so that all of the keys that come may be new."""
        size = len(self._places)
        while self._taken + more > _FULL * size:
            size *= 2 if size >= _LARGE else 4
        if size > len(self._places):
            kept = np.sort(self._places[self._places != 0])
            self._places = np.zeros(size, self._places.dtype)
            for begin in range(0, len(kept), _MOVED_AT_ONCE):
                self._put(kept[begin : begin + _MOVED_AT_ONCE])

    def _put(self, keys: NDArray[Any]) -> Mask:
        """Put keys in, which are all different and in their order, and say of each whether it is new."""
        new = np.zeros(len(keys), np.bool_)
        places, last = self._places, len(self._places) - 1
        rows = np.arange(len(keys))
        at = (keys >> places.dtype.type(self._bits - last.bit_length())).astype(np.intp)
        step = 0
        while len(rows):
            found = places[at]
            # Of keys that want one free place, which follow on each other, the first gets it.
            wins = found == 0
            wins[1:] &= at[1:] != at[:-1]
            winners = np.flatnonzero(wins)
            places[at[winners]] = keys[winners]
            new[rows[winners]] = True
            # A place that has the key ends the search; any other leads on to the next.
            on = np.flatnonzero(~wins & (found != keys))
            step += 1
            rows, keys, at = rows[on], keys[on], (at[on] + step) & last
        return new


def _sorted(keys: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return keys in their order, equal ones as they came, and which of them each is."""
    if keys.itemsize > np.uint32().itemsize:
        rows = np.argsort(keys, kind="stable")
        return keys[rows], rows
    # With its number behind it a key fits in a word, and words are sorted several times as fast as by their places.
    half = np.uint64(32)
    words = (keys.astype(np.uint64) << half) | np.arange(len(keys), dtype=np.uint64)
    words.sort()
    return (words >> half).astype(keys.dtype), words.astype(np.uint32).astype(np.intp)
