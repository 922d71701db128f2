"""The rewrite of one export: its sources in, one draft for each segment, a reject report and a report out.

Rows stream; only the keys by which duplicates are found stay in memory (rule S5). Every row is counted once (rule S6).
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from relay.model import Report
from relay.rewrite.drafts import Drafts
from relay.rewrite.durable import create, sync
from relay.rewrite.files import SourceFile
from relay.rewrite.formats import read_batches
from relay.rewrite.layout import Format, Layout
from relay.rewrite.packing import unpack
from relay.rewrite.report import RejectReport, Tally, dump_report
from relay.rewrite.row import Omission, OmittedRow, RejectedRow, Row, RowJudge
from relay.rewrite.rules import Rules
from relay.rewrite.source import Bare, recognise
from relay.rewrite.text import SourceRow, read_rows
from relay.rewrite.unusable import Unusable, UnusableSource

__all__ = ["DRAFTS", "REJECTS", "REPORT", "SourceFile", "rewrite"]

DRAFTS: Final = "drafts"
REJECTS: Final = "rejects.csv"
REPORT: Final = "report.json"

_UNPACKED: Final = "unpacked"

_PROGRESS_EVERY: Final = 10_000


def rewrite(
    sources: Sequence[SourceFile], rules: Rules, into: Path, *, progress: Callable[[int], None] | None = None
) -> Report:
    """Rewrite an export into `into/drafts/<ordinal>.csv`, `into/rejects.csv` and `into/report.json`, all durable.

    Args:
        sources: the export's files in their order.
        rules: the route's rules.
        into: a directory for this rewrite alone; it is made if it is not there.
        progress: is told how many rows were read, now and then and at the end.

    Raises:
        UnusableSource: the export cannot be used; what is in `into` means nothing then.
    """
    into.mkdir(mode=0o700, exist_ok=True)
    unpacked = unpack(sources, into / _UNPACKED, rules)
    with RejectReport(into / REJECTS) as rejects:
        work = _Rewrite(rules, Drafts(into / DRAFTS, rules.segment.limit), rejects, progress or (lambda _: None))
        for source in unpacked.sources:
            try:
                work.read(source)
            except UnusableSource as unusable:
                raise (unusable.within(source.shown) if len(unpacked.sources) > 1 else unusable) from None
        report = work.finish(unpacked.recognised)
    shutil.rmtree(into / _UNPACKED, ignore_errors=True)
    with create(into / REPORT) as file:
        file.write(dump_report(report))
    sync(into / REPORT)
    sync(into)
    return report


class _Rewrite:
    """One rewrite under way."""

    def __init__(self, rules: Rules, drafts: Drafts, rejects: RejectReport, progress: Callable[[int], None]) -> None:
        self._rules = rules
        self._drafts = drafts
        self._rejects = rejects
        self._progress = progress
        self._unattributed = Tally()
        self._refused_names: set[str] = set()
        self._layout: Layout | None = None
        self._sources_with_rows = 0
        self._rows = 0
        self._bare = Bare.EMPTY

    def read(self, source: SourceFile) -> None:
        """Take every row of a source in."""
        layout = recognise(source.path, self._rules, self._layout)
        if isinstance(layout, Bare):
            self._bare = layout if layout is Bare.HEADER_ONLY else self._bare
            return
        self._layout = self._layout or layout
        self._sources_with_rows += 1
        judge = RowJudge(self._rules, layout)
        for row in _rows(source.path, layout):
            self._take(row, source, judge)
        self._refused_names |= judge.refused_names

    def finish(self, packing: dict[str, Any]) -> Report:
        """Make everything durable and return the report; `packing` is what the sources came out of.

        Raises:
            UnusableSource: there is nothing that could be sent to any segment.
        """
        self._progress(self._rows)
        if self._layout is None:
            raise _nothing_in(self._bare)
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

    def _take(self, row: SourceRow, source: SourceFile, judge: RowJudge) -> None:
        self._rows += 1
        if self._rows % _PROGRESS_EVERY == 0:
            self._progress(self._rows)
        if row.unfinished and judge.looks_cut_off(row.cells):
            raise UnusableSource(
                Unusable.TRUNCATED,
                f"line {row.line}, the last, has no line end and is only the beginning of a row",
                "Have the export sent again, as a whole. If it is whole, have its last line end as the others do.",
            )
        outcome = judge.judge(row.cells)
        tally = self._unattributed if outcome.segment is None else self._drafts.tally(outcome.segment)
        tally.rows_in += 1
        match outcome:
            case Row():
                self._send(outcome, tally)
            case RejectedRow():
                tally.rejected += 1
                self._reject(outcome, row, source, judge)
            case OmittedRow(why=Omission.EMPTY):
                tally.empty += 1
            case OmittedRow():
                tally.control += 1

    def _send(self, row: Row, tally: Tally) -> None:
        if self._drafts.add(row.segment, row.identifier):
            tally.rows_out += 1
            tally.suspect += row.identifier.suspect
        else:
            tally.duplicates += 1

    def _reject(self, rejected: RejectedRow, row: SourceRow, source: SourceFile, judge: RowJudge) -> None:
        shown = "" if rejected.column is None else rejected.column.name
        masked = judge.mask(row.cells, rejected.column)
        self._rejects.add(source.shown, row.line, shown, rejected.reason, masked)

    def _no_usable_segment(self) -> UnusableSource:
        found = ", ".join(f"{rows:,} {reason}" for reason, rows in self._rejects.reasons.most_common())
        return UnusableSource(
            Unusable.NO_USABLE_SEGMENT,
            f"of {self._rows:,} rows none names a segment that could be sent{f': {found}' if found else ''}",
            "See that segment.column is the right one; segment.rename replaces names that Attentive does not take.",
        )


def _rows(path: Path, layout: Layout) -> Iterator[SourceRow]:
    """Yield the rows of a source, without its header."""
    if layout.format is not Format.CSV:
        for batch in read_batches(path, layout.format, layout.columns, layout.of_concern):
            yield from batch
        return
    rows = read_rows(path, layout.delimiter, layout.escape)
    if layout.has_header:
        next(rows)
    yield from rows


def _nothing_in(bare: Bare) -> UnusableSource:
    found = "a header and nothing below it" if bare is Bare.HEADER_ONLY else "nothing in it"
    return UnusableSource(
        Unusable(bare.value),
        f"there is {found}; rows of people were expected",
        "A file cannot empty a segment. If the segment has members, have the export sent again.",
    )
