"""Which segment each row of a source names, found once for each different content of the segment's columns."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from relay.rewrite.bulk.blocks import Batch
from relay.rewrite.bulk.distinct import UNKNOWN, Distinct
from relay.rewrite.bulk.judged import SENT, Codes, code_of
from relay.rewrite.layout import Layout
from relay.rewrite.row import RowJudge
from relay.rewrite.verdict import Rejected

NOBODY: Final = -1
"""The number of a row's segment where it has none."""

Numbers = NDArray[np.int32]


class Namings:
    """What the contents of the segment's columns mean. A naming is a number, for all contents that are alike.

    `names` has the segments' names by their number; `segments` the number of the segment, `codes` the rejection, and
    `shown` what may be shown, of each naming. The last entry of `segments` and `codes` is for `UNKNOWN`: it decides
    nothing.
    """

    def __init__(self, layout: Layout, judge: RowJudge) -> None:
        self._columns = [(column.position, Distinct()) for column in layout.segment]
        self._judge = judge
        self._namings: dict[tuple[int, ...], int] = {}
        self._numbers: dict[str, int] = {}
        self.names: list[str] = []
        self.segments: Numbers = np.array([NOBODY], np.int32)
        self.codes: Codes = np.array([SENT], np.uint8)
        self.shown: list[str] = []

    def of(self, batch: Batch) -> Numbers:
        """Return the naming of each row, `UNKNOWN` where the reference rules must look."""
        told = [distinct.numbers(batch.column(position)) for position, distinct in self._columns]
        if not told:
            return np.full(len(batch), self._naming(()), np.int32)
        if len(told) == 1:
            # Contents are numbered from nought as they appear, and so are namings.
            for number in range(len(self._namings), len(self._columns[0][1].contents)):
                self._naming((number,))
            return told[0]
        return self._together(np.stack(told, axis=1))

    def number_of(self, name: str) -> int:
        """Return the number of a segment, which is new if it was not named before."""
        if name not in self._numbers:
            self._numbers[name] = len(self.names)
            self.names.append(name)
        return self._numbers[name]

    def _together(self, told: Numbers) -> Numbers:
        found: Numbers = np.full(len(told), UNKNOWN, np.int32)
        known = (told != UNKNOWN).all(axis=1)
        contents, rows = np.unique(told[known], axis=0, return_inverse=True)
        namings = np.array([self._naming(tuple(row)) for row in contents.tolist()], np.int32)
        found[known] = namings[rows.reshape(-1)] if len(namings) else found[known]
        return found

    def _naming(self, contents: tuple[int, ...]) -> int:
        known = self._namings.get(contents)
        if known is None:
            known = self._namings[contents] = len(self._namings)
            pairs = zip(self._columns, contents, strict=True)
            self._learn([distinct.contents[number].decode() for (_, distinct), number in pairs])
        return known

    def _learn(self, texts: Sequence[str]) -> None:
        segment = self._judge.segment_of(texts)
        refused = isinstance(segment, Rejected)
        number = NOBODY if isinstance(segment, Rejected) else self.number_of(segment)
        code = code_of(segment.reason) if isinstance(segment, Rejected) else SENT
        self.segments = np.insert(self.segments, UNKNOWN, np.int32(number))
        self.codes = np.insert(self.codes, UNKNOWN, np.uint8(code))
        self.shown.append(self._judge.mask_segment(texts) if refused else "")
