"""Exports, deliveries and their history as plain data: what `--json` prints. The keys are an interface."""

from dataclasses import asdict
from datetime import UTC, datetime

from relay.model import Arrival, Delivery, Export, Slice, Transition

Document = dict[str, object]


def instant(at: datetime | None) -> str | None:
    """Write an instant as ISO 8601 in UTC: `2026-11-23T06:22:10Z`."""
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def export_document(export: Export) -> Document:
    """Everything that a list of exports says of one; counts are None before the rewrite."""
    report = export.report
    return {
        "id": export.id,
        "route": export.route,
        "state": export.state.value,
        "account": export.account,
        "path": export.path,
        "received_at": instant(export.received_at),
        "waits_until": instant(export.waits_until),
        "list_date": export.list_date and export.list_date.isoformat(),
        "source_bytes": export.source_bytes,
        "source_sha256": export.source_sha256,
        "attempts": export.attempts,
        "segments": None if report is None else len(report.drafts),
        "counts": None if report is None else asdict(report.totals),
        "reason": export.reason,
        "detail": export.detail,
        "hint": export.hint,
        "original_id": export.original_id,
    }


def delivery_document(delivery: Delivery) -> Document:
    """Everything that a list of deliveries says of one."""
    return {
        "id": delivery.id,
        "export_id": delivery.export_id,
        "route": delivery.route,
        "upstream": delivery.upstream,
        "client_domain": delivery.client_domain,
        "segment": delivery.segment,
        "state": delivery.state.value,
        "list_date": delivery.list_date.isoformat(),
        "remote_name": delivery.remote_name,
        "slices": delivery.files,
        "slices_sent": delivery.files_sent,
        "counts": asdict(delivery.counts),
        "previous_rows": delivery.previous_rows,
        "kept": delivery.kept,
        "lost": delivery.lost,
        "gained": delivery.gained,
        "bytes": delivery.size,
        "sha256": delivery.sha256,
        "attempts": delivery.attempts,
        "verified": delivery.verified,
        "landed_at": instant(delivery.landed_at),
        "planned_at": instant(delivery.planned_at),
        "queued_at": instant(delivery.queued_at),
        "due_at": instant(delivery.due_at),
        "sent_at": instant(delivery.sent_at),
        "stale_at": instant(delivery.stale_at),
        "reason": delivery.reason,
        "detail": delivery.detail,
        "hint": delivery.hint,
    }


def slice_document(it: Slice) -> Document:
    """One of the several files that a list goes out as."""
    return {
        "number": it.number,
        "remote_name": it.remote_name,
        "rows": it.rows,
        "bytes": it.size,
        "sha256": it.sha256,
        "sent_at": instant(it.sent_at),
        "verified": it.verified,
    }


def arrival_document(arrival: Arrival) -> Document:
    """One landed file of an export."""
    return {
        "account": arrival.account,
        "path": arrival.path,
        "state": arrival.state.value,
        "part": arrival.part,
        "bytes": arrival.size,
        "landed_at": instant(arrival.landed_at),
        "confirmed": arrival.confirmed,
        "session": arrival.session,
    }


def transition_document(transition: Transition) -> Document:
    """One change of state, with the fields of its line in the log."""
    return {
        "seq": transition.seq,
        "at": instant(transition.at),
        "event": transition.event,
        "from_state": transition.from_state,
        "to_state": transition.to_state,
        "fields": transition.fields,
    }
