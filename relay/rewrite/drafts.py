"""The drafts: one file for each segment, written as rows come, without a person twice (rules A3 and S5)."""

import hashlib
from pathlib import Path
from typing import Final

from relay.model import Draft
from relay.rewrite.durable import append, create, sync
from relay.rewrite.report import Tally
from relay.rewrite.unusable import Unusable, UnusableSource
from relay.rewrite.verdict import Identifier

_MOST_LINES_IN_MEMORY: Final = 50_000
"""Lines of all drafts together. Each time, the drafts are written one after another, so that one file is open at once
however many segments there are."""


class Drafts:
    """The drafts of one export under one directory, numbered from 1 in order of first appearance.

    What stays in memory is a key for each row written, and at most `_MOST_LINES_IN_MEMORY` lines.
    """

    def __init__(self, directory: Path, limit: int) -> None:
        directory.mkdir(mode=0o700)
        self._directory = directory
        self._limit = limit
        self._segments: dict[str, _Segment] = {}
        self._lines_in_memory = 0

    def tally(self, segment: str) -> Tally:
        """Return the counts of a segment, which exists from now on, to be counted up.

        Raises:
            UnusableSource: it is one segment too many.
        """
        return self._segment(segment).tally

    def add(self, segment: str, identifier: Identifier) -> bool:
        """Write a row, unless its segment has that identifier already; return whether it was written."""
        if not self._segment(segment).add(identifier):
            return False
        self._lines_in_memory += 1
        if self._lines_in_memory >= _MOST_LINES_IN_MEMORY:
            self._write()
        return True

    def finish(self) -> tuple[Draft, ...]:
        """Make every draft durable and return them in their order."""
        self._write()
        drafts = tuple(segment.finish() for segment in self._segments.values())
        sync(self._directory)
        return drafts

    def _segment(self, name: str) -> "_Segment":
        known = self._segments.get(name)
        if known is not None:
            return known
        if len(self._segments) == self._limit:
            raise UnusableSource(
                Unusable.TOO_MANY_SEGMENTS,
                f"there are more than {self._limit:,} segments",
                "See that the segment column is the right one. If there are that many, raise segment.limit.",
            )
        ordinal = len(self._segments) + 1
        self._segments[name] = _Segment(ordinal, name, self._directory / f"{ordinal}.csv")
        return self._segments[name]

    def _write(self) -> None:
        for segment in self._segments.values():
            segment.write()
        self._lines_in_memory = 0


class _Segment:
    """One segment's draft while rows come."""

    def __init__(self, ordinal: int, name: str, path: Path) -> None:
        self.tally = Tally()
        self._ordinal = ordinal
        self._name = name
        self._path = path
        self._keys: set[str | int] = set()
        self._lines: list[str] = []
        self._size = 0
        self._sha256 = hashlib.sha256()

    def add(self, identifier: Identifier) -> bool:
        if identifier.key in self._keys:
            return False
        self._keys.add(identifier.key)
        self._lines.append(f"{identifier.value},{self._name}\n")
        return True

    def write(self) -> None:
        """Move the lines in memory to the file, which exists from the first line on."""
        if not self._lines:
            return
        content = "".join(self._lines).encode()
        with append(self._path) if self._size else create(self._path) as file:
            file.write(content)
        self._size += len(content)
        self._sha256.update(content)
        self._lines.clear()

    def finish(self) -> Draft:
        if self._size:
            sync(self._path)
        return Draft(
            ordinal=self._ordinal,
            segment=self._name,
            counts=self.tally.counts(),
            file=self._path.name if self._size else None,
            size=self._size,
            sha256=self._sha256.hexdigest(),
        )
