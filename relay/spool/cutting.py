"""Where a list is cut that goes out as several files (rule D13)."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from relay.model import Cut

_BLOCK: Final = 1 << 20


def cut(path: Path, rows: int) -> tuple[Cut, ...]:
    """Return the cuts that give each file of a list so many rows, and the last one what is left.

    Each begins where the one before ends, so that together they are the list; its order stays.
    """
    return tuple(_cuts(path, rows))


def _cuts(path: Path, rows: int) -> Iterator[Cut]:
    offset = size = taken = 0
    digest = hashlib.sha256()
    for piece, lines in _pieces(path, rows):
        digest.update(piece)
        size, taken = size + len(piece), taken + lines
        if taken == rows:
            yield Cut(taken, offset, size, digest.hexdigest())
            offset, size, taken, digest = offset + size, 0, 0, hashlib.sha256()
    if size:
        yield Cut(taken, offset, size, digest.hexdigest())


def _pieces(path: Path, rows: int) -> Iterator[tuple[bytes, int]]:
    """Yield the file piece by piece, each with how many lines end in it, and one ending after each `rows` lines."""
    left = rows
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            while (lines := block.count(b"\n")) >= left:
                rest = block.split(b"\n", left)[left]
                yield block[: len(block) - len(rest)], left
                block, left = rest, rows
            if block:
                yield block, lines
            left -= lines
