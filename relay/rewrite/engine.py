"""The rewrite of one export: its sources in, one draft for each segment, a reject report and a report out.

Rows stream, a batch at a time; only the keys by which duplicates are found stay in memory (rule S5). Every row is
counted once (rule S6).
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relay.model import IdentifierKind, Report
from relay.rewrite.bulk import judged
from relay.rewrite.bulk.blocks import BLOCK, Batch, Block, Rows, read_blocks
from relay.rewrite.bulk.judge import BatchJudge, JudgedBatch
from relay.rewrite.bulk.row_numbers import RowNumbers
from relay.rewrite.bulk.seen import SeenHashes, SeenNumbers
from relay.rewrite.bulk.segments import NOBODY
from relay.rewrite.drafts import Drafts
from relay.rewrite.durable import create, sync
from relay.rewrite.endings import Ending, ending_of, last_cells
from relay.rewrite.filenames import segment_in_names
from relay.rewrite.files import DRAFTS, REJECTS, REPORT, SourceFile
from relay.rewrite.formats import read_batches
from relay.rewrite.layout import Format, Layout
from relay.rewrite.packing import Unpacked, unpack
from relay.rewrite.progress import Progress
from relay.rewrite.report import RejectReport, Tally, dump_report
from relay.rewrite.row import RowJudge
from relay.rewrite.rules import Rules
from relay.rewrite.source import Bare, recognise
from relay.rewrite.unusable import Unusable, UnusableSource
from relay.rewrite.verdict import Reason

_UNPACKED: Final = "unpacked"

_OTHER_SEGMENT: Final = (
    "See that segment.column is the right one; segment.rename replaces names that Attentive does not take."
)
_OTHER_WIDTH: Final = (
    "The rows have more or fewer cells than the header, or than most. Have every row written with as many, and see "
    "that source.delimiter, source.quotes and source.escape say how it is written."
)
_SEND_AGAIN: Final = "Have the export sent again, as a whole. If it is whole, have its last line end as the others do."
_SMALL: Final = 1 << 15
"""Numbers below this sort quickly."""


def rewrite(
    sources: Sequence[SourceFile],
    rules: Rules,
    into: Path,
    *,
    progress: Callable[[Progress], None] = lambda _: None,
    at_once: int = BLOCK,
) -> Report:
    """Rewrite an export into `into/drafts/<ordinal>.csv`, `into/rejects.csv` and `into/report.json`, all durable.

    Args:
        sources: the export's files in their order.
        rules: the route's rules.
        into: a directory for this rewrite alone; it is made if it is not there.
        progress: is told how far it is: now and then while something is unpacked, when the first source was
            recognised, and after each batch of rows.
        at_once: bytes of text that are read at once.

    Raises:
        UnusableSource: the export cannot be used; what is in `into` means nothing then.
    """
    into.mkdir(mode=0o700, exist_ok=True)
    unpacked = unpack(sources, into / _UNPACKED, rules, progress=lambda: progress(Progress()))
    with RejectReport(into / REJECTS) as rejects:
        gauge = _Gauge(progress, unpacked)
        work = _Rewrite(rules, _drafts(into, rules), rejects, gauge, at_once)
        of_one = Counter(source.name for source in unpacked.sources)
        for source in unpacked.sources:
            try:
                work.read(source, is_alone=of_one[source.name] == 1)
            except UnusableSource as unusable:
                raise (unusable.within(source.shown) if len(unpacked.sources) > 1 else unusable) from None
        report = work.finish(unpacked.recognised)
    shutil.rmtree(into / _UNPACKED, ignore_errors=True)
    with create(into / REPORT) as file:
        file.write(dump_report(report))
    sync(into / REPORT)
    sync(into)
    return report


def _drafts(into: Path, rules: Rules) -> Drafts:
    nobody = SeenNumbers if rules.identifier is IdentifierKind.PHONE else SeenHashes
    return Drafts(into / DRAFTS, rules.segment.limit, nobody)


class _Gauge:
    """Counts the rows and bytes that were read, and tells whoever watches."""

    def __init__(self, tell: Callable[[Progress], None], unpacked: Unpacked) -> None:
        self.rows = 0
        self._tell = tell
        self._packing = unpacked.recognised
        self._size = sum(source.path.stat().st_size for source in unpacked.sources)
        self._recognised: dict[str, Any] | None = None
        self._read = self._read_of_this = 0

    def recognised(self, layout: Layout) -> None:
        """Take note of what a source was taken for; the first one is told."""
        if self._recognised is None:
            self._recognised = self._packing | layout.recognised()
            self.tell()

    def took(self, batch: Batch) -> None:
        """Take note of how far into its source a batch goes."""
        if isinstance(batch, Block):
            self._read_of_this = batch.after.offset

    def ended(self, source: SourceFile) -> None:
        """Take note that a source was read whole."""
        self._read += source.path.stat().st_size
        self._read_of_this = 0

    def tell(self) -> None:
        """Say how far it is."""
        self._tell(Progress(self.rows, self._recognised, self._size, self._read + self._read_of_this))


class _Rewrite:
    """One rewrite under way."""

    def __init__(self, rules: Rules, drafts: Drafts, rejects: RejectReport, gauge: _Gauge, at_once: int) -> None:
        self._rules = rules
        self._drafts = drafts
        self._rejects = rejects
        self._gauge = gauge
        self._at_once = at_once
        self._unattributed = Tally()
        self._refused_names: set[str] = set()
        self._row_numbers = RowNumbers()
        self._layout: Layout | None = None
        self._sources_with_rows = 0
        self._endings: list[tuple[str, Ending]] = []
        self._bare = Bare.EMPTY

    def read(self, source: SourceFile, *, is_alone: bool) -> None:
        """Take every row of a source in; `is_alone` says that nothing else came out of what landed."""
        layout = recognise(source.path, self._rules, self._layout)
        if isinstance(layout, Bare):
            self._bare = layout if layout is Bare.HEADER_ONLY else self._bare
            self._gauge.ended(source)
            return
        self._layout = self._layout or layout
        self._gauge.recognised(layout)
        self._sources_with_rows += 1
        last = partial(last_cells, source.path, layout)
        rows = RowJudge(self._rules, layout, self._name_of_all(source, is_alone=is_alone), last)
        judge = BatchJudge(self._rules, layout, rows)
        for batch in _batches(source.path, layout, self._at_once):
            self._gauge.took(batch)
            self._take(judge.judge(batch), judge.names, source)
            if layout.row_number is not None:
                self._row_numbers.take(batch, layout.row_number.position)
        self._gauge.ended(source)
        if layout.format is Format.CSV:
            self._see_ending(source)
        self._row_numbers.end_part(source.shown)
        self._refused_names |= rows.refused_names

    def finish(self, packing: dict[str, Any]) -> Report:
        """Make everything durable and return the report; `packing` is what the sources came out of.

        Raises:
            UnusableSource: there is nothing that could be sent to any segment, or rows are missing.
        """
        self._gauge.tell()
        if self._layout is None:
            raise _nothing_in(self._bare)
        self._row_numbers.check()
        self._check_endings()
        drafts = self._drafts.finish()
        if not drafts:
            raise self._no_usable_segment()
        self._rejects.finish()
        return Report(
            drafts=drafts,
            unattributed=self._unattributed.counts(),
            reasons=dict(self._rejects.reasons),
            first_lines=self._rejects.first_lines,
            refused_segments=len(self._refused_names),
            recognised=packing | self._layout.recognised() | {"sources": self._sources_with_rows},
        )

    def _see_ending(self, source: SourceFile) -> None:
        """Note what a source ends in; half a line end is a cut (rule S8)."""
        ending = ending_of(source.path)
        self._endings.append((source.shown, ending))
        if ending is Ending.HALF_A_LINE_END:
            raise UnusableSource(Unusable.TRUNCATED, "its last line ends in half a line end: CR, not CRLF", _SEND_AGAIN)

    def _check_endings(self) -> None:
        """See that no part but the last lacks the line end that other parts have: one writer wrote them all."""
        cut_off = [shown for shown, ending in self._endings[:-1] if ending is Ending.NOTHING]
        if cut_off and any(ending is Ending.LINE_END for _, ending in self._endings):
            raise UnusableSource(
                Unusable.TRUNCATED, f"{cut_off[0]}: its last line has no line end, as other parts have", _SEND_AGAIN
            )

    def _name_of_all(self, source: SourceFile, *, is_alone: bool) -> str | None:
        """Return the segment of every row, where the route or the file's name tells it."""
        rules = self._rules.segment
        return rules.name if rules.pattern is None else segment_in_names(source, rules, is_alone=is_alone)

    def _take(self, batch: JudgedBatch, names: Sequence[str], source: SourceFile) -> None:
        """Count the rows of a batch, write those that are to be sent, and report those that are not."""
        is_row = batch.codes != judged.NONE
        self._gauge.rows += int(np.count_nonzero(is_row))
        for segment, rows in _by_segment(batch.segments, is_row):
            tally = self._unattributed if segment == NOBODY else self._drafts.of(names[segment]).tally
            codes = batch.codes[rows]
            tally.rows_in += len(rows)
            tally.empty += int(np.count_nonzero(codes == judged.EMPTY))
            tally.control += int(np.count_nonzero(codes == judged.CONTROL))
            tally.rejected += int(np.count_nonzero(judged.are_rejected(codes)))
            sent = rows[codes == judged.SENT]
            if len(sent):
                self._drafts.add(names[segment], batch.identifiers, sent)
        self._rejects.add(source.shown, batch.rejects)
        self._gauge.tell()

    def _no_usable_segment(self) -> UnusableSource:
        found = ", ".join(f"{rows:,} {reason}" for reason, rows in self._rejects.reasons.most_common())
        return UnusableSource(
            Unusable.NO_USABLE_SEGMENT,
            f"of {self._gauge.rows:,} rows none names a segment that could be sent{f': {found}' if found else ''}",
            _OTHER_WIDTH if Reason.WRONG_COLUMN_COUNT in dict(self._rejects.reasons.most_common(1)) else _OTHER_SEGMENT,
        )


def _batches(path: Path, layout: Layout, at_once: int) -> Iterator[Batch]:
    """Yield the rows of a source, without its header."""
    if layout.format is Format.CSV:
        yield from read_blocks(path, layout, at_once)
        return
    for rows in read_batches(path, layout.format, layout.columns, layout.of_concern):
        yield Rows(rows, layout.width)


def _by_segment(segments: NDArray[np.int32], is_row: NDArray[np.bool_]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Yield each segment's number with its rows, in the order in which the segments appear."""
    rows = np.flatnonzero(is_row)
    if not len(rows):
        return
    # One segment is the usual case, and sorting by a small number is quick.
    found = segments[rows]
    if (found == found[0]).all():
        yield int(found[0]), rows
        return
    order = np.argsort(found.astype(np.int16) if found.max() < _SMALL else found, kind="stable")
    begins = np.flatnonzero(np.diff(found[order], prepend=NOBODY - 1))
    groups = np.split(rows[order], begins[1:])
    for group in sorted(groups, key=lambda group: int(group[0])):
        yield int(segments[group[0]]), group


def _nothing_in(bare: Bare) -> UnusableSource:
    found = "a header and nothing below it" if bare is Bare.HEADER_ONLY else "nothing in it"
    return UnusableSource(
        Unusable(bare.value),
        f"there is {found}; rows of people were expected",
        "A file cannot empty a segment. If the segment has members, have the export sent again.",
    )
