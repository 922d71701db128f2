"""The rewrite as plainly as it can be: row by row, by the reference rules. What the engine writes must be the same."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from relay.rewrite.endings import Ending, ending_of, last_cells
from relay.rewrite.engine import rewrite
from relay.rewrite.files import DRAFTS, REJECTS, SourceFile
from relay.rewrite.report import REJECT_COLUMNS
from relay.rewrite.row import Omission, OmittedRow, RejectedRow, Row, RowJudge
from relay.rewrite.rules import Rules
from relay.rewrite.source import Bare, recognise
from relay.rewrite.strays import refuse_swallowed_rows
from relay.rewrite.text import SourceRow, read_rows
from relay.rewrite.unusable import UnusableSource


@dataclass(slots=True)
class Plain:
    """What came of an export: lines by segment in the order of the segments, rejects, and counts by segment."""

    drafts: dict[str, list[str]] = field(default_factory=dict)
    rejects: list[tuple[str, int, str, str, str]] = field(default_factory=list)
    counts: dict[str | None, Counter[str]] = field(default_factory=dict)
    refused_names: set[str] = field(default_factory=set)

    @property
    def reject_report(self) -> str:
        """The reject report."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([REJECT_COLUMNS, *self.rejects])
        return text.getvalue()


def rewrite_plainly(sources: Sequence[SourceFile], rules: Rules) -> Plain | None:
    """Rewrite an export of CSV text; None where its last row is cut off.

    Raises:
        UnusableSource: it cannot be read.
    """
    plain, seen, earlier = Plain(), set[tuple[str, str | int]](), None
    for source in sources:
        layout = recognise(source.path, rules, earlier)
        if isinstance(layout, Bare):
            continue
        earlier = earlier or layout
        if ending_of(source.path) is Ending.HALF_A_LINE_END:
            return None
        judge = RowJudge(rules, layout, rules.segment.name, partial(last_cells, source.path, layout))
        rows = read_rows(source.path, layout.dialect, partial(refuse_swallowed_rows, layout=layout))
        if layout.has_header:
            next(rows)
        for row in rows:
            if row.unfinished and judge.looks_cut_off(row.cells):
                return None
            _take(plain, seen, judge, row, source.name)
        plain.refused_names |= judge.refused_names
    return plain


def _take(plain: Plain, seen: set[tuple[str, str | int]], judge: RowJudge, row: SourceRow, file: str) -> None:
    outcome = judge.judge(row.cells)
    counts = plain.counts.setdefault(outcome.segment, Counter())
    if outcome.segment is not None:
        plain.drafts.setdefault(outcome.segment, [])
    counts["rows_in"] += 1
    match outcome:
        case OmittedRow():
            counts["empty" if outcome.why is Omission.EMPTY else "control"] += 1
        case RejectedRow():
            counts["rejected"] += 1
            shown = "" if outcome.column is None else outcome.column.name
            masked = judge.mask(row.cells, outcome.column)
            plain.rejects.append((file, row.line, shown, outcome.reason.value, masked))
        case Row() if (outcome.segment, outcome.identifier.key) in seen:
            counts["duplicates"] += 1
        case Row():
            seen.add((outcome.segment, outcome.identifier.key))
            plain.drafts[outcome.segment].append(f"{outcome.identifier.value},{outcome.segment}\n")
            counts["rows_out"] += 1
            counts["suspect"] += outcome.identifier.suspect


def assert_same(sources: Sequence[SourceFile], rules: Rules, into: Path, *, at_once: int) -> None:
    """See that the engine makes of an export, byte by byte and count by count, what the plain rewrite makes of it."""
    try:
        plain = rewrite_plainly(sources, rules)
    except UnusableSource:
        plain = None
    try:
        report = rewrite(sources, rules, into, at_once=at_once)
    except UnusableSource:
        assert plain is None or not plain.drafts
        return
    assert plain is not None
    assert [draft.segment for draft in report.drafts] == list(plain.drafts)
    for draft in report.drafts:
        written = (into / DRAFTS / draft.file).read_bytes().decode() if draft.file else ""
        assert written == "".join(plain.drafts[draft.segment])
        assert +Counter(asdict(draft.counts)) == +plain.counts[draft.segment]
    assert +Counter(asdict(report.unattributed)) == +plain.counts.get(None, Counter[str]())
    assert (into / REJECTS).read_bytes().decode() == plain.reject_report
    assert report.refused_segments == len(plain.refused_names)
    assert report.reasons == dict(Counter(reason for _, _, _, reason, _ in plain.rejects))
