"""How the text of a source ends, and what stood at the ends of its lines before (rule S8)."""

from collections.abc import Iterator
from enum import Enum, auto
from pathlib import Path
from typing import Final

from relay.rewrite.layout import Layout

_TAIL: Final = 1 << 16
"""Bytes at the end of a file that are looked at for the line end before the last one."""


class Ending(Enum):
    """What the last line of a file ends in; half a line end is a CR where lines end in CRLF."""

    LINE_END = auto()
    HALF_A_LINE_END = auto()
    NOTHING = auto()


def ending_of(path: Path) -> Ending:
    """Say what the last line of a file ends in."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - _TAIL))
        before, _, last = file.read().rpartition(b"\n")
    if not last:
        return Ending.LINE_END
    if not last.endswith(b"\r"):
        return Ending.NOTHING
    alone = before.endswith(b"\r") and last.count(b"\r") == 1
    return Ending.HALF_A_LINE_END if alone else Ending.LINE_END


def last_cells(path: Path, layout: Layout) -> Iterator[str]:
    """Yield what stands behind the last delimiter of each line that has an end, read plainly, without the header."""
    delimiter = layout.dialect.delimiter
    with path.open("rb") as lines:
        if layout.has_header:
            next(lines, None)
        for raw in lines:
            if raw.endswith(b"\n"):
                yield raw.decode(errors="replace").rpartition(delimiter)[2].strip(' "\r\n')
