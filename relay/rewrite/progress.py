"""How far a rewrite is, for whoever watches it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known at one moment.

    Args:
        rows: how many rows were read.
        recognised: what the first of the sources was taken for, in words and numbers that may be shown; None before
            that is told, as while something is unpacked.
        size: how many bytes the sources have, unpacked; None before they are.
        read: how many of those bytes were read; of a source that is no CSV text, that is told when it was read whole.
    """

    rows: int = 0
    recognised: Mapping[str, Any] | None = None
    size: int | None = None
    read: int = 0
