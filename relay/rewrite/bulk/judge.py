"""The rows of a batch, judged: the plain ones by whole columns, the strange ones by the reference rules, one by one.

Both give the same answer for every row; which of them a row is given to is only a matter of time.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relay.model import IdentifierKind
from relay.rewrite.bulk import judged
from relay.rewrite.bulk.blocks import Batch
from relay.rewrite.bulk.cells import Cells
from relay.rewrite.bulk.distinct import UNKNOWN, Distinct
from relay.rewrite.bulk.emails import Domains, Emails
from relay.rewrite.bulk.judged import Codes, Identifiers
from relay.rewrite.bulk.phones import Phones
from relay.rewrite.bulk.segments import NOBODY, Namings, Numbers
from relay.rewrite.layout import Column, Layout
from relay.rewrite.report import Reject
from relay.rewrite.row import Omission, OmittedRow, RejectedRow, Row, RowJudge, is_in_control
from relay.rewrite.rules import Rules
from relay.rewrite.text import SourceRow
from relay.rewrite.unusable import Unusable, UnusableSource

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class JudgedBatch:
    """What became of the rows of a batch.

    `codes` and `segments` go by row; a segment's number is its place in the `names` of the judge, `NOBODY` none.
    """

    codes: Codes
    segments: Numbers
    identifiers: Identifiers
    rejects: list[Reject]


class BatchJudge:
    """Judges the rows of one source. `names` has the segments that they name, by number."""

    def __init__(self, rules: Rules, layout: Layout, rows: RowJudge) -> None:
        self._layout = layout
        self._rows = rows
        self._namings = Namings(layout, rows)
        self._flags = Distinct()
        self._identifiers = identifiers_by(rules)
        self.names = self._namings.names

    def judge(self, batch: Batch) -> JudgedBatch:
        """Say what becomes of each row.

        Raises:
            UnusableSource: the last row is cut off.
        """
        identifiers = self._identifiers(batch.column(self._layout.identifier.position))
        codes = identifiers.codes
        namings = self._namings.of(batch)
        if self._layout.width == 1:
            codes[codes == judged.EMPTY] = judged.STRANGE  # A blank line is no row at all.
        refusals = self._namings.codes[namings]
        refused = (refusals != judged.SENT) & (codes != judged.EMPTY) & (codes != judged.STRANGE)
        codes[refused] = refusals[refused]
        self._see_control(batch, codes)
        codes[(namings == UNKNOWN) | ~batch.plain] = judged.STRANGE
        segments = self._namings.segments[namings]
        rejects = [
            *self._refused_names(batch, codes, namings, refused),
            *self._refused_identifiers(batch, codes, refused, identifiers),
            *self._judge_strange(batch, codes, segments, identifiers),
        ]
        rejects.sort(key=lambda reject: reject[0])
        return JudgedBatch(codes, segments, identifiers, [reject for _, reject in rejects])

    def _see_control(self, batch: Batch, codes: Codes) -> None:
        """Leave out the rows of a control group, whatever else is in them (rule S11)."""
        if self._layout.control is None:
            return
        numbers = self._flags.numbers(batch.column(self._layout.control.position))
        meant = {True: judged.CONTROL, False: judged.NONE, None: judged.STRANGE}
        flags = [meant[is_in_control(content.decode())] for content in self._flags.contents]
        found = np.array([*flags, judged.STRANGE], np.uint8)[numbers]
        codes[found != judged.NONE] = found[found != judged.NONE]

    def _refused_names(
        self, batch: Batch, codes: Codes, namings: Numbers, refused: NDArray[np.bool_]
    ) -> list[tuple[int, Reject]]:
        rows = np.flatnonzero(refused & judged.are_rejected(codes))
        shown = [self._namings.shown[naming] for naming in namings[rows].tolist()]
        return _rejects(batch, codes, rows, self._rows.segment_column, shown)

    def _refused_identifiers(
        self, batch: Batch, codes: Codes, refused: NDArray[np.bool_], identifiers: Identifiers
    ) -> list[tuple[int, Reject]]:
        rows = np.flatnonzero(~refused & judged.are_rejected(codes))
        return _rejects(batch, codes, rows, self._layout.identifier, identifiers.masked(rows))

    def _judge_strange(
        self, batch: Batch, codes: Codes, segments: Numbers, identifiers: Identifiers
    ) -> list[tuple[int, Reject]]:
        """Have the strange rows judged by the reference rules, and note what they say."""
        rejects = []
        for number in np.flatnonzero(codes == judged.STRANGE).tolist():
            row = batch.row(number)
            if row is None:
                codes[number], segments[number] = judged.NONE, NOBODY
                continue
            outcome = self._judge_row(row)
            segments[number] = NOBODY if outcome.segment is None else self._namings.number_of(outcome.segment)
            match outcome:
                case Row():
                    identifiers.put(number, outcome.identifier)
                case RejectedRow():
                    codes[number] = judged.code_of(outcome.reason)
                    shown = "" if outcome.column is None else outcome.column.name
                    masked = self._rows.mask(row.cells, outcome.column)
                    rejects.append((number, Reject(row.line, shown, outcome.reason, masked)))
                case OmittedRow():
                    codes[number] = judged.EMPTY if outcome.why is Omission.EMPTY else judged.CONTROL
        return rejects

    def _judge_row(self, row: SourceRow) -> Row | RejectedRow | OmittedRow:
        if row.unfinished and self._rows.looks_cut_off(row.cells):
            raise UnusableSource(
                Unusable.TRUNCATED,
                f"line {row.line}, the last, has no line end and is only the beginning of a row",
                "Have the export sent again, as a whole. If it is whole, have its last line end as the others do.",
            )
        return self._rows.judge(row.cells)


def identifiers_by(rules: Rules) -> Callable[[Cells], Identifiers]:
    """Return what judges a column of the route's identifiers."""
    if rules.identifier is IdentifierKind.PHONE:
        return lambda cells: Phones(cells, rules.phone)
    domains = Domains(rules.email)
    return lambda cells: Emails(cells, rules.email, domains)


def _rejects(
    batch: Batch, codes: Codes, rows: Rows, column: Column | None, shown: list[str]
) -> list[tuple[int, Reject]]:
    name = "" if column is None else column.name
    lines, reasons = batch.lines[rows].tolist(), map(judged.reason_of, codes[rows].tolist())
    found = zip(rows.tolist(), lines, reasons, shown, strict=True)
    return [(row, Reject(line, name, reason, masked)) for row, line, reason, masked in found]
