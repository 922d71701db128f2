"""How many people two rewritten lists have in common (rule G12).

Each list becomes one sorted array of 64-bit numbers: of phone numbers the numbers themselves, which lie at the same
place of every line; of anything else, hashes. So two lists take 16 bytes a row of memory together, and nothing is kept.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from relay.model import Overlap
from relay.rewrite.bulk.cells import as_numbers

_DIGITS: Final = 10
_BLOCK_ROWS: Final = 1 << 18

Keys = npt.NDArray[np.int64]


def compare(today: Path | None, before: Path) -> Overlap | None:
    """Return how many people of `before` are in `today`, too, and how many are not; None where `before` is gone.

    `today` is None for a list without rows.
    """
    try:
        old = _phones(before)
        new = _phones(today) if today else np.empty(0, np.int64)
        if old is None or new is None:
            # Two lists are comparable only if their keys were made in the same way.
            old, new = _hashes(before), _hashes(today) if today else np.empty(0, np.int64)
    except FileNotFoundError:
        return None
    kept = _in_common(new, old)
    return Overlap(kept=kept, lost=len(old) - kept, gained=len(new) - kept)


def _phones(path: Path) -> Keys | None:
    """Return the sorted phone numbers of a list, None if not every line has one at its beginning."""
    with path.open("rb") as file:
        width = len(file.readline())
        size = path.stat().st_size
        if not width or size % width:
            return None
        keys = np.empty(size // width, np.int64)
        file.seek(0)
        done = 0
        while done < len(keys):
            block = np.fromfile(file, np.uint8, _BLOCK_ROWS * width).reshape(-1, width)
            digits = block[:, :_DIGITS]
            if width <= _DIGITS or (digits - np.uint8(ord("0")) > 9).any() or (block[:, _DIGITS] != ord(",")).any():
                return None
            if (block[:, -1] != ord("\n")).any():
                return None
            keys[done : done + len(block)] = as_numbers(digits)
            done += len(block)
    keys.sort()
    return keys


def _hashes(path: Path) -> Keys:
    """Return the sorted hashes of a list's identifiers, without regard to case (rule E2)."""
    digests = bytearray()
    with path.open("rb") as file:
        for identifier in _identifiers(file):
            digests += hashlib.blake2b(identifier, digest_size=8).digest()
    keys = np.frombuffer(digests, np.int64).copy()
    keys.sort()
    return keys


def _identifiers(lines: Iterator[bytes]) -> Iterator[bytes]:
    for line in lines:
        yield line.partition(b",")[0].lower()


def _in_common(new: Keys, old: Keys) -> int:
    """Return how many numbers are in both, block by block, so that nothing of their size is made once more."""
    if not len(old):
        return 0
    common = 0
    for start in range(0, len(new), _BLOCK_ROWS):
        block = new[start : start + _BLOCK_ROWS]
        places = np.searchsorted(old, block)
        places[places == len(old)] = 0
        common += int(np.count_nonzero(old[places] == block))
    return common
