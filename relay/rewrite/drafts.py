"""The drafts: one file for each segment, written as rows come, without a person twice (rules A3 and S5)."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from relay.model import Draft
from relay.rewrite.bulk.judged import Identifiers, Values, lines
from relay.rewrite.bulk.seen import Keys, Seen
from relay.rewrite.durable import append, create, sync
from relay.rewrite.report import Tally
from relay.rewrite.unusable import Unusable, UnusableSource

_MOST_ROWS_IN_MEMORY: Final = 1 << 18
"""Rows of all drafts together. Each time, the drafts are written one after another, so that one file is open at once
however many segments there are, and the more rows are looked up at once, the quicker."""


class Drafts:
    """The drafts of one export under one directory, numbered from 1 in order of first appearance.

    What stays in memory is who is in each of them, and the last rows, at most `_MOST_ROWS_IN_MEMORY` of them.

    Args:
        directory: where they are written; it is made.
        limit: how many there may be.
        nobody: makes the set of identifiers that a segment has before its first row.
    """

    def __init__(self, directory: Path, limit: int, nobody: Callable[[], Seen]) -> None:
        directory.mkdir(mode=0o700)
        self._directory = directory
        self._limit = limit
        self._nobody = nobody
        self._drafts: dict[str, SegmentDraft] = {}
        self._rows_in_memory = 0

    def of(self, segment: str) -> "SegmentDraft":
        """Return a segment's draft, which exists from now on.

        Raises:
            UnusableSource: it is one segment too many.
        """
        known = self._drafts.get(segment)
        if known is not None:
            return known
        if len(self._drafts) == self._limit:
            raise UnusableSource(
                Unusable.TOO_MANY_SEGMENTS,
                f"there are more than {self._limit:,} segments",
                "See that the segment column is the right one. If there are that many, raise segment.limit.",
            )
        path = self._directory / f"{len(self._drafts) + 1}.csv"
        self._drafts[segment] = SegmentDraft(len(self._drafts) + 1, segment, path, self._nobody())
        return self._drafts[segment]

    def add(self, segment: str, identifiers: Identifiers, rows: NDArray[np.intp]) -> None:
        """Take rows of a segment, which can be sent; written are those whose identifier it does not have yet."""
        self.of(segment).add(identifiers, rows)
        self._rows_in_memory += len(rows)
        if self._rows_in_memory >= _MOST_ROWS_IN_MEMORY:
            self._write()

    def finish(self) -> tuple[Draft, ...]:
        """Make every draft durable and return them in their order."""
        self._write()
        drafts = tuple(draft.finish() for draft in self._drafts.values())
        sync(self._directory)
        return drafts

    def _write(self) -> None:
        for draft in self._drafts.values():
            draft.write()
        self._rows_in_memory = 0


class SegmentDraft:
    """One segment's draft while rows come. `tally` counts them; what is added is counted here, once it is written."""

    def __init__(self, ordinal: int, segment: str, path: Path, seen: Seen) -> None:
        self.tally = Tally()
        self._ordinal = ordinal
        self._segment = segment
        self._ending = f",{segment}\n"
        self._path = path
        self._seen = seen
        self._taken: list[tuple[Keys, NDArray[np.bool_], Values]] = []
        self._size = 0
        self._sha256 = hashlib.sha256()

    def add(self, identifiers: Identifiers, rows: NDArray[np.intp]) -> None:
        """Take rows, until they are written."""
        self._taken.append((identifiers.keys(rows), identifiers.suspects[rows], identifiers.values(rows)))

    def write(self) -> None:
        """Move the rows in memory to the file, which exists from the first line on."""
        if not self._taken:
            return
        keys, suspects, values = map(np.concatenate, zip(*self._taken, strict=True))
        self._taken.clear()
        new = np.flatnonzero(self._seen.add(keys))
        self.tally.rows_out += len(new)
        self.tally.duplicates += len(keys) - len(new)
        self.tally.suspect += int(np.count_nonzero(suspects[new]))
        content = lines(values[new], self._ending)
        if not content:
            return
        with append(self._path) if self._size else create(self._path) as file:
            file.write(content)
        self._size += len(content)
        self._sha256.update(content)

    def finish(self) -> Draft:
        """Make the file durable and return what it is."""
        if self._size:
            sync(self._path)
        return Draft(
            ordinal=self._ordinal,
            segment=self._segment,
            counts=self.tally.counts(),
            file=self._path.name if self._size else None,
            size=self._size,
            sha256=self._sha256.hexdigest(),
        )
