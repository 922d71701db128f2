"""Everything that is known of one export or one delivery, as text for people or as a document for programs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from relay.cli.deliveries import how_far, in_common, outgoing, print_deliveries, why_it_waits
from relay.cli.documents import (
    Document,
    arrival_document,
    delivery_document,
    export_document,
    slice_document,
    transition_document,
)
from relay.cli.exports import export_remarks
from relay.cli.figures import change, moment, recognised, size
from relay.cli.listing import ListedRow, print_heading, print_listing, print_wrapped
from relay.cli.pasting import ways_out
from relay.cli.rejects import print_rejects, rejects_document
from relay.cli.tables import as_text
from relay.log import Event
from relay.model import Arrival, ArrivalState, Delivery, Export, Report, SegmentCounts, Slice, Transition
from relay.naming import natural_order

_FILES_NAMED: Final = 6


@dataclass(frozen=True, slots=True)
class ExportDossier:
    """An export, the files that it came from, its lists and its history; `directory` holds its files."""

    export: Export
    directory: Path
    arrivals: Sequence[Arrival]
    deliveries: Sequence[Delivery]
    history: Sequence[Transition]

    def document(self) -> Document:
        """Return what `relay show --json` prints."""
        report = self.export.report
        return {
            "kind": "export",
            **export_document(self.export),
            "recognised": None if report is None else report.recognised,
            "rejects": None if report is None else rejects_document(report),
            "arrivals": [arrival_document(arrival) for arrival in self.arrivals],
            "files": [str(path) for path in _files_in(self.directory)],
            "deliveries": [delivery_document(delivery) for delivery in self.deliveries],
            "history": [transition_document(transition) for transition in self.history],
        }

    def print(self, config: Path) -> None:
        """Print it as text."""
        export, report = self.export, self.export.report
        _print_facts(
            ("export", export.id),
            ("state", export.state),
            ("route", export.route),
            *_came_from(self.arrivals),
            ("received", f"{moment(export.received_at)} UTC"),
            ("sha256", export.source_sha256),
            ("for the date", export.list_date),
            *_report_facts(report),
            ("lies in", self.directory),
            ("files", _names(_files_in(self.directory), self.directory) or None),
        )
        _print_remarks(export_remarks(export), ways_out(export, config))
        if report is not None:
            print_rejects(report)
        if self.deliveries:
            print_heading("Lists")
            print_deliveries(self.deliveries, config, indent=2)
        _print_history(self.history)


@dataclass(frozen=True, slots=True)
class DeliveryDossier:
    """A delivery and its history; `file` is its list, `slices` are the files that it goes out as where several."""

    delivery: Delivery
    file: Path
    slices: Sequence[Slice]
    history: Sequence[Transition]

    def document(self) -> Document:
        """Return what `relay show --json` prints."""
        return {
            "kind": "delivery",
            **delivery_document(self.delivery),
            "files": [str(self.file)] if self.file.exists() else [],
            "outgoing": [slice_document(it) for it in self.slices],
            "history": [transition_document(transition) for transition in self.history],
        }

    def print(self, config: Path) -> None:
        """Print it as text."""
        it = self.delivery
        _print_facts(
            ("delivery", it.id),
            ("state", it.state),
            ("segment", it.segment),
            ("route", f"{it.route}, to {it.upstream} as {it.client_domain}"),
            ("remote name", outgoing(it)),
            ("for the date", it.list_date),
            *_count_facts(it.counts),
            ("change", change(it.counts.rows_out, it.previous_rows)),
            ("people", (people := in_common(it)) and f"{people} since the list sent before"),
            ("size", f"{it.size:,} bytes"),
            ("sha256", it.sha256),
            ("landed", f"{moment(it.landed_at)} UTC"),
            ("sent", it.sent_at and f"{moment(it.sent_at)} UTC, {_seen(it)}"),
            ("file", self.file if self.file.exists() else None),
        )
        remarks = [words for words in (why_it_waits(it), it.hint, how_far(it)) if words]
        _print_remarks(remarks, ways_out(it, config))
        if self.slices:
            _print_slices(self.slices)
        _print_history(self.history)


def _print_slices(slices: Sequence[Slice]) -> None:
    print_heading("Files")
    print_listing(
        ["file", "rows", "size", "sent (UTC)", "remote name"],
        [ListedRow((it.number, it.rows, size(it.size), moment(it.sent_at), it.remote_name)) for it in slices],
        right=["file", "rows", "size"],
        indent=2,
    )


def _seen(delivery: Delivery) -> str:
    return "seen there in full size" if delivery.verified else "gone at once: picked up, as far as anyone can tell"


def _print_facts(*facts: tuple[str, object]) -> None:
    """Print what is known, one fact a line; what is not is left out."""
    known = [(name, value) for name, value in facts if value is not None]
    width = max(len(name) for name, _ in known)
    for name, value in known:
        click.echo(f"{name:<{width}}  {as_text(value)}")


def _report_facts(report: Report | None) -> Iterator[tuple[str, object]]:
    if report is not None:
        yield "recognised", recognised(report.recognised)
        yield from _count_facts(report.totals)


def _count_facts(counts: SegmentCounts) -> Iterator[tuple[str, object]]:
    """Say what became of the rows (rule S6)."""
    yield (
        "rows",
        (
            f"{counts.rows_in:,} in = {counts.rows_out:,} to send + {counts.duplicates:,} duplicates"
            f" + {counts.rejected:,} rejected + {counts.empty:,} empty + {counts.control:,} control"
        ),
    )
    if counts.suspect:
        yield "suspect", f"{counts.suspect:,} of the rows to send: no such number is in use"


def _came_from(arrivals: Sequence[Arrival]) -> Iterator[tuple[str, object]]:
    """Name the first few files that an export came from, in their order, and the markers of its end."""
    parts = [it for it in arrivals if it.part is not None or it.state is ArrivalState.LANDED]
    for it in sorted(parts, key=lambda it: (it.part or 0, natural_order(it.path)))[:_FILES_NAMED]:
        yield "from", f"{it.path}, account {it.account}, {size(it.size)}"
    if len(parts) > _FILES_NAMED:
        yield "from", f"{len(parts) - _FILES_NAMED:,} more files"
    for it in arrivals:
        if it.state is ArrivalState.CLAIMED and it.part is None:
            yield "marked by", it.path


def _files_in(directory: Path) -> list[Path]:
    """Return the export's files that are still there, in their order."""
    return sorted(path for path in directory.rglob("*") if path.is_file())


def _names(files: Sequence[Path], directory: Path) -> str:
    """Name the first few of an export's files; one with many segments has as many."""
    named = ", ".join(str(path.relative_to(directory)) for path in files[:_FILES_NAMED])
    return named if len(files) <= _FILES_NAMED else f"{named} and {len(files) - _FILES_NAMED:,} more"


def _print_remarks(remarks: Sequence[str], commands: Sequence[str]) -> None:
    """Print why it is where it is, and what can be done."""
    if remarks or commands:
        click.echo()
    for remark in remarks:
        print_wrapped(remark)
    for command in commands:
        click.echo(f"    {command}")


def _print_history(history: Iterable[Transition]) -> None:
    print_heading("History")
    print_listing(
        ["when (UTC)", "event", ""],
        [
            ListedRow((moment(it.at), it.event, _circumstances(it)), remarks=[why] if (why := _reason(it)) else [])
            for it in history
        ],
        indent=2,
    )


def _circumstances(transition: Transition) -> str:
    fields = transition.fields
    told = (
        ("by {operator}", "operator"),
        ("attempt {attempt}", "attempt"),
        ("file {slice} of {slices}", "slice"),
        ("{remote_name}", "remote_name"),
        ("see {other}", "other"),
    )
    whose = [f"“{fields['segment']}”"] if transition.event == Event.SEGMENT_DISAPPEARED else []
    return ", ".join([*whose, *(words.format_map(fields) for words, name in told if fields.get(name))])


def _reason(transition: Transition) -> str:
    """Why it happened: a guard's or a failure's reason and figures, or what the operator gave."""
    return ": ".join(str(transition.fields[name]) for name in ("reason", "detail") if transition.fields.get(name))
