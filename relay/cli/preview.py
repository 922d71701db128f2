"""`relay preview`: what would become of a file, or of several as one export, without sending or keeping anything."""

import csv
import math
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import click

from relay.cli.context import config_option, unknown_route
from relay.cli.documents import Document
from relay.cli.figures import change, recognised
from relay.cli.listing import ListedRow, print_heading, print_listing, print_wrapped
from relay.cli.rejects import print_rejects, rejects_document
from relay.cli.state import has_state, read_state
from relay.cli.tables import as_text, print_json
from relay.cli.watching import watched
from relay.model import Draft, Duplicate, Hold, Overlap, Overtaken, Queue, RelayError, Report, Skip, Verdict
from relay.naming import folded_segment

if TYPE_CHECKING:
    from relay.config import Config, RouteSettings
    from relay.guards import History
    from relay.rewrite.unusable import UnusableSource

_REJECTS_SHOWN: Final = 10
_FIGURES: Final = ("rows", "last sent", "change", "kept", "lost", "gained", "rejected", "empty", "suspect")


@dataclass(frozen=True, slots=True)
class Judged:
    """One segment's list, what was last sent of the segment, and what would become of the list."""

    draft: Draft
    last_sent_rows: int | None
    overlap: Overlap | None
    verdict: Verdict
    files: int

    @property
    def word(self) -> str:
        """The verdict in a word."""
        words = {Queue: "send", Hold: "hold", Duplicate: "duplicate", Overtaken: "overtaken", Skip: "nothing to send"}
        return words[type(self.verdict)]


@click.command()
@config_option
@click.argument("paths", metavar="FILE...", type=click.Path(exists=True, path_type=Path), nargs=-1, required=True)
@click.option("--route", required=True, metavar="NAME", help="By whose rules and guards.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write the rewritten lists and the reject report into this new or empty directory.",
)
@click.option(
    "--in",
    "directory",
    metavar="DIRECTORY",
    help="The directory that it would land in, such as /uploads/summer; a segment.pattern with a / looks there.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
@click.pass_context
def preview(
    ctx: click.Context,
    config: Path,
    paths: Sequence[Path],
    route: str,
    output: Path | None,
    directory: str | None,
    *,
    as_json: bool,
) -> None:
    """Show what would be sent, rejected and held of FILE, compared with what was last sent.

    Several files, or a directory, are shown as one export.

    \b
    Example:
      relay preview export.csv --route sirendenim
      relay preview VIP.csv/ --route sirendenim
      relay preview export.csv --route sirendenim --output ./preview

    Nothing is sent and nothing is noted; the service need not run. Exit status 1 if rows would be rejected, a list
    held, or the export quarantined.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped
    from relay.cli.several import look_at
    from relay.config import load
    from relay.rewrite.engine import rewrite
    from relay.rewrite.unusable import UnusableSource

    loaded = load(config, with_files=False)
    settings = _route(loaded, route)
    _refuse_unless_empty(output)
    several = look_at(paths, settings, directory)
    if not as_json:
        for remark in several.remarks:
            print_wrapped(remark)
    with TemporaryDirectory(prefix="relay-preview-", dir=_where_it_is_swept(loaded)) as temporary:
        work = Path(temporary) / "rewrite"
        try:
            several.refuse_incomplete()
            with watched(_quiet if as_json else _print_recognised) as progress:
                report = rewrite(several.sources, settings.rules, work, progress=progress)
        except UnusableSource as unusable:
            if as_json:
                print_json(_unusable_document(unusable, several.remarks))
            else:
                _print_unusable(unusable)
            ctx.exit(1)
        judged = _judge(report, loaded, settings, work)
        if output is not None:
            _write(report, work, output)
        first_rejects = _first_rejects(work / "rejects.csv")
    if as_json:
        print_json({**_document(report, judged, first_rejects), "remarks": several.remarks})
    else:
        _print(report, judged, first_rejects, output)
    ctx.exit(1 if report.totals.rejected or any(isinstance(it.verdict, Hold) for it in judged) else 0)


def _route(loaded: "Config", name: str) -> "RouteSettings":
    if name not in loaded.routes:
        raise unknown_route(name, loaded.routes)
    return loaded.routes[name]


def _refuse_unless_empty(output: Path | None) -> None:
    if output is not None and output.exists() and any(output.iterdir()):
        raise RelayError(f"{output} is not empty", hint="Name a new or an empty directory.")


def _where_it_is_swept(loaded: "Config") -> Path | None:
    """Return where to rewrite, so that what a kill leaves of it is swept (rule R3); None where no service ever ran."""
    from relay.spool import Spool

    incoming = Spool(loaded.state_dir).incoming_zone
    return incoming if has_state(loaded) and incoming.is_dir() else None


def _judge(report: Report, loaded: "Config", settings: "RouteSettings", work: Path) -> list[Judged]:
    """Judge each list as the service would if the file had landed now; `work` holds what the rewrite wrote."""
    from relay.intake.plan import plan

    now = datetime.now(UTC)
    day = settings.day_of(now)
    judged: list[Judged] = []
    with _histories(loaded, settings, day, work) as (history_of, next_arrival):
        for draft in report.drafts:
            history = _beside(judged, draft, history_of(draft))
            verdict = plan(draft, report, history, next_arrival, day, settings.guards)
            judged.append(Judged(draft, history.last_sent_rows, history.overlap, verdict, _files(draft, settings)))
    return judged


def _files(draft: Draft, settings: "RouteSettings") -> int:
    """Say how many files a list goes out as (rule D13)."""
    rows = draft.counts.rows_out
    return math.ceil(rows / settings.guards.max_rows) if settings.guards.splits(rows) else 1


def _beside(judged: Sequence[Judged], draft: Draft, history: "History") -> "History":
    """Add the names that the service would know from the same export by then (rule G10)."""
    if not history.is_new:
        return history
    folded = folded_segment(draft.segment)
    names = (it.draft.segment for it in judged if isinstance(it.verdict, Queue | Hold))
    return replace(history, similar=[*history.similar, *(it for it in names if folded_segment(it) == folded)])


@contextmanager
def _histories(
    loaded: "Config", settings: "RouteSettings", day: date, work: Path
) -> "Iterator[tuple[Callable[[Draft], History], int]]":
    """Give a way to look up what is known of a list's segment, and the number that its arrival would have.

    Where the service never ran, nothing is known.
    """
    from relay.guards import History
    from relay.rewrite.overlap import compare
    from relay.spool import Spool

    if not has_state(loaded):
        yield lambda _: History(last_sent_rows=None, is_new=True), 1
        return
    spool = Spool(loaded.state_dir)
    with read_state(loaded) as store:
        last_sent = store.last_sent(settings.upstream, settings.client_domain)
        next_arrival = store.next_arrival()

        def history_of(draft: Draft) -> History:
            history = store.history(
                settings.upstream, settings.client_domain, draft.segment, day=day, last_arrival=next_arrival
            )
            if (last := last_sent.get(draft.segment)) is None:
                return history
            today = work / "drafts" / draft.file if draft.file else None
            return replace(history, overlap=compare(today, spool.draft(last)))

        yield history_of, next_arrival


def _write(report: Report, work: Path, output: Path) -> None:
    """Copy what the rewrite wrote. The names say what is in the files; a real one is given only when it is sent.

    Raises:
        RelayError: the directory or a file cannot be written.
    """
    try:
        output.mkdir(mode=0o700, parents=True, exist_ok=True)
        for draft in report.drafts:
            if draft.file is not None:
                shutil.copy(work / "drafts" / draft.file, output / f"{draft.ordinal}_{draft.segment}.csv")
        shutil.copy(work / "rejects.csv", output)
    except OSError as error:
        raise RelayError(f"{output} cannot be written: {error.strerror}", hint="Name another directory.") from error


def _first_rejects(rejects: Path) -> list[dict[str, str]]:
    with rejects.open(encoding="utf-8", newline="") as file:
        return list(islice(csv.DictReader(file), _REJECTS_SHOWN))


def _print(report: Report, judged: Sequence[Judged], first_rejects: list[dict[str, str]], output: Path | None) -> None:
    totals, sources = report.totals, report.recognised["sources"]
    of_several = f", in {sources:,} files" if sources > 1 else ""
    click.echo(
        f"{totals.rows_in:,} rows = {totals.rows_out:,} to send + {totals.duplicates:,} duplicates"
        f" + {totals.rejected:,} rejected + {totals.empty:,} empty + {totals.control:,} control{of_several}\n"
    )
    print_listing(
        ["segment", "verdict", *_FIGURES],
        [ListedRow(_cells(it), remarks=[*_split(it), *_remarks(it.verdict)]) for it in judged],
        right=_FIGURES,
    )
    print_rejects(report)
    if first_rejects:
        print_heading("The reject report begins")
        rows = [ListedRow(tuple(row.values())) for row in first_rejects]
        print_listing(list(first_rejects[0]), rows, indent=2)
    if output is not None:
        click.echo(f"\nThe lists and the reject report are in {output}.")


def _print_recognised(found: Mapping[str, Any]) -> None:
    """Say what the file was taken for, before all of it is read: whoever asked for the wrong one need not wait."""
    click.echo(f"recognised as {as_text(recognised(found))}")
    sys.stdout.flush()


def _quiet(_found: Mapping[str, Any]) -> None:
    """A document has it at its end."""


def _cells(judged: Judged) -> tuple[object, ...]:
    counts = judged.draft.counts
    compared = change(counts.rows_out, judged.last_sent_rows)
    return (
        judged.draft.segment,
        judged.word,
        counts.rows_out,
        judged.last_sent_rows,
        compared,
        judged.overlap and judged.overlap.kept,
        judged.overlap and judged.overlap.lost,
        judged.overlap and judged.overlap.gained,
        counts.rejected,
        counts.empty,
        counts.suspect,
    )


def _split(judged: Judged) -> list[str]:
    if judged.files == 1:
        return []
    return [f'goes out as {judged.files} files of the same date (oversize = "split"), each with its own number']


def _remarks(verdict: Verdict) -> list[str]:
    match verdict:
        case Hold(reason, detail, hint):
            return [f"{reason}: {detail}", hint]
        case Duplicate(other):
            return [f"the same list is already there for today: {other}"]
        case Queue(growth=str(growth)):
            return [f"grew: {growth}"]
        case Overtaken(other):
            return [f"a newer list is already there: {other}"]
        case _:
            return []


def _document(report: Report, judged: Sequence[Judged], first_rejects: list[dict[str, str]]) -> Document:
    return {
        "quarantine": None,
        "recognised": report.recognised,
        "counts": asdict(report.totals),
        "lists": [
            {
                "segment": it.draft.segment,
                "verdict": it.word,
                "slices": it.files,
                "counts": asdict(it.draft.counts),
                "last_sent_rows": it.last_sent_rows,
                "overlap": it.overlap and asdict(it.overlap),
                "sha256": it.draft.sha256,
                "why": asdict(it.verdict),
            }
            for it in judged
        ],
        "rejects": rejects_document(report),
        "first_rejects": first_rejects,
    }


def _unusable_document(unusable: "UnusableSource", remarks: Sequence[str]) -> Document:
    """The same keys, so that a program need not ask which there are."""
    return {
        "quarantine": {"reason": unusable.reason, "detail": unusable.detail, "hint": unusable.hint},
        "recognised": None,
        "counts": None,
        "lists": [],
        "rejects": [],
        "first_rejects": [],
        "remarks": remarks,
    }


def _print_unusable(unusable: "UnusableSource") -> None:
    click.echo(f"The export would be quarantined: {unusable.reason}")
    print_wrapped(unusable.detail, indent=4)
    print_wrapped(unusable.hint, indent=4)
