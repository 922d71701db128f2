"""What a rewrite found: the counts, the report as JSON, and the reject report as CSV."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pydantic import TypeAdapter

from relay.model import Report, SegmentCounts
from relay.rewrite.durable import create, sync
from relay.rewrite.verdict import Reason

REJECT_COLUMNS: Final = ("file", "line", "column", "reason", "masked")
"""The columns of the reject report, which has a header (rule S9)."""

_FIRST_LINES: Final = 5

_REPORT: Final = TypeAdapter(Report)


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that is not sent: its line, the column that its reason is about, and what may be shown of the cell."""

    line: int
    column: str
    reason: Reason
    masked: str


@dataclass(slots=True)
class Tally:
    """Counts while rows come in; `SegmentCounts` says what each means."""

    rows_in: int = 0
    rows_out: int = 0
    duplicates: int = 0
    rejected: int = 0
    empty: int = 0
    control: int = 0
    suspect: int = 0

    def counts(self) -> SegmentCounts:
        """Return the counts as they stand."""
        return SegmentCounts(**asdict(self))


class RejectReport:
    """The reject report while rows come in: each rejected row with its place, its reason and a masked value."""

    def __init__(self, path: Path) -> None:
        self.reasons: Counter[str] = Counter()
        self.first_lines: dict[str, tuple[int, ...]] = {}
        self._path = path
        self._file = io.TextIOWrapper(create(path), encoding="utf-8", newline="")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(REJECT_COLUMNS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, file: str, rejects: Sequence[Reject]) -> None:
        """Write rejected rows of a file down. Nothing but what is masked comes from them."""
        self._rows.writerows((file, it.line, it.column, it.reason, it.masked) for it in rejects)
        self.reasons.update([it.reason.value for it in rejects])
        for reject in rejects:
            lines = self.first_lines.get(reject.reason, ())
            if len(lines) < _FIRST_LINES:
                self.first_lines[reject.reason.value] = (*lines, reject.line)

    def finish(self) -> None:
        """Make what was written durable."""
        self._file.flush()
        sync(self._path)


def dump_report(report: Report) -> bytes:
    """Return a report as JSON."""
    return _REPORT.dump_json(report, indent=1) + b"\n"


def load_report(content: bytes | str) -> Report:
    """Return the report that `dump_report` wrote.

    Raises:
        ValueError: it is not one.
    """
    return _REPORT.validate_json(content)
