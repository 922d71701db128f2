"""Where what is unpacked is written to, and how much there may be of it (rule K3)."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from relay.rewrite.durable import create
from relay.rewrite.rules import Rules, UnpackRules
from relay.rewrite.unusable import Unusable, UnusableSource
from relay.settings import format_size

PIECE: Final = 1024 * 1024
"""How many bytes are in memory at once."""

_RATIO_COUNTS_FROM: Final = 64 * 1024 * 1024
"""Bytes. What unpacks to less is no bomb, however small it was packed."""


def pieces_of(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield what `read` returns until that is nothing."""
    while piece := read(PIECE):
        yield piece


def check_size(unpacked: int, packed: int, rules: UnpackRules) -> None:
    """Compare the size of what came out, or is about to, with that of what it comes out of; both in bytes.

    Raises:
        UnusableSource: it is more than the limits allow.
    """
    if unpacked > rules.size:
        raise UnusableSource(
            Unusable.TOO_LARGE,
            f"it unpacks to more than {format_size(rules.size)}, the limit that unpack.size sets",
            "If an export of this route is that large, raise unpack.size; see that the disk has room for it.",
        )
    if unpacked > max(rules.ratio * packed, _RATIO_COUNTS_FROM):
        raise UnusableSource(
            Unusable.TOO_LARGE,
            f"it unpacks to more than {rules.ratio} times its {packed:,} bytes, the limit that unpack.ratio sets",
            "No list of people packs that well. If this one does, raise unpack.ratio.",
        )


class Room:
    """The room that one landed file has for what comes out of it.

    `members` counts what its archives have, `files` the files made; `accept_gaps` says whether parts may be missing.

    Args:
        into: the directory for the files, whose names are numbers: no member's name ever becomes a path.
        first: the number of the first one.
        rules: the route's rules, with the limits.
        landed_size: how large the landed file is, in bytes.
        progress: is called after each piece that is written.
    """

    def __init__(self, into: Path, first: int, rules: Rules, landed_size: int, progress: Callable[[], None]) -> None:
        self.members = 0
        self.files = first
        self._into = into
        self._rules = rules.unpack
        self.accept_gaps = rules.source.gaps == "accept"
        self._landed_size = landed_size
        self._progress = progress
        self._written: dict[int, int] = {}

    def write(self, pieces: Iterator[bytes], depth: int) -> Path:
        """Write what was unpacked from under `depth` layers to a new file and return its path.

        Raises:
            UnusableSource: it is more than the limits allow.
        """
        path = self.reserve()
        with create(path) as file:
            for piece in pieces:
                self.count(len(piece), depth)
                file.write(piece)
                self._progress()
        return path

    def reserve(self) -> Path:
        """Return the path of a file that is still to be made."""
        self.files += 1
        return self._into / f"{self.files:04}"

    def count(self, size: int, depth: int) -> None:
        """Take note of `size` more bytes that came out from under `depth` layers.

        Raises:
            UnusableSource: there are more than the limits allow.
        """
        written = self._written[depth] = self._written.get(depth, 0) + size
        check_size(written, self._landed_size, self._rules)

    def left(self, depth: int) -> int:
        """Return how many bytes more may come out from under `depth` layers."""
        most = min(self._rules.size, max(self._rules.ratio * self._landed_size, _RATIO_COUNTS_FROM))
        return most - self._written.get(depth, 0)

    @property
    def most_members(self) -> int:
        """How many entries the archives may have."""
        return self._rules.members

    def count_members(self, members: int) -> None:
        """Take note of `members` more entries of an archive, whatever they are.

        Raises:
            UnusableSource: there are more than the limit allows.
        """
        self.members += members
        if self.members > self._rules.members:
            raise UnusableSource(
                Unusable.TOO_MANY_MEMBERS,
                f"its archives have more than {self._rules.members:,} members, the limit that unpack.members sets",
                "If an export of this route has that many parts, raise unpack.members.",
            )
