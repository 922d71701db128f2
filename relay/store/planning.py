"""An accepted export becomes deliveries: each verdict acted on, in the transaction that accepts the export."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from typing import Any

from relay.guards import History
from relay.lifecycle import ExportEvent
from relay.log import Event
from relay.model import (
    Acceptance,
    Cut,
    Delivery,
    DeliveryState,
    Draft,
    Duplicate,
    Export,
    Hold,
    Overlap,
    Overtaken,
    Queue,
    Report,
    Skip,
    Verdict,
)
from relay.naming import delivery_id
from relay.rewrite.report import dump_report
from relay.store.journal import Transaction
from relay.store.moves import bear_delivery, facts_of_delivery, facts_of_export, move_export
from relay.store.segments import came_before, give_names, history_of, supersede_older
from relay.store.slices import bear_slices


class ComparisonOutdatedError(Exception):
    """While a list was compared with the one last sent, another one was sent. Nothing was changed."""


def accept_export(
    transaction: Transaction,
    export: Export,
    report: Report,
    acceptance: Acceptance,
    plan: Callable[[Draft, History], Verdict],
) -> list[Delivery]:
    """Accept `export` and make a delivery of each draft that `plan` does not skip.

    Raises:
        IllegalTransitionError: the export is not `received`.
        ComparisonOutdatedError: a list was sent since the drafts were compared with those last sent.
    """
    accepted = move_export(
        transaction,
        export,
        ExportEvent.ACCEPTED,
        facts=asdict(report.totals)
        | {"segments": len(report.drafts), "recognised": report.recognised, "delays": acceptance.delays},
        accepted_at=transaction.now,
        settings_digest=acceptance.settings_digest,
        list_date=acceptance.list_date,
        report=dump_report(report),
        delays=acceptance.delays,
    )
    _miss_segments(transaction, accepted, report, acceptance)
    planned = (_plan_draft(transaction, export, draft, acceptance, plan) for draft in report.drafts)
    return [delivery for delivery in planned if delivery is not None]


def _miss_segments(transaction: Transaction, export: Export, report: Report, acceptance: Acceptance) -> None:
    """Warn of each segment that came together with one of these the last time, and now does not (rule G13)."""
    present = {draft.segment for draft in report.drafts}
    before = came_before(transaction.connection, acceptance, export.route, present)
    for missed in {it.segment: it for it in before if it.segment not in present}.values():
        facts = facts_of_export(export) | {"segment": missed.segment, "other": missed.id}
        transaction.record(Event.SEGMENT_DISAPPEARED, export.id, export.state, facts)


def _plan_draft(
    transaction: Transaction,
    export: Export,
    draft: Draft,
    acceptance: Acceptance,
    plan: Callable[[Draft, History], Verdict],
) -> Delivery | None:
    history = history_of(
        transaction.connection,
        acceptance.upstream,
        acceptance.client_domain,
        draft.segment,
        day=acceptance.list_date,
        last_arrival=acceptance.last_arrival,
    )
    history = replace(history, overlap=_overlap(acceptance, draft, history))
    new = partial(_new_delivery, export, draft, acceptance, history, transaction.now)
    match plan(draft, history):
        case Queue(replace_same_day, growth):
            cuts = acceptance.cuts.get(draft.ordinal, ())
            return _queue(transaction, new, acceptance, cuts, replaces_same_day=replace_same_day, growth=growth)
        case Hold(reason, detail, hint):
            return bear_delivery(transaction, new(DeliveryState.HELD, reason=reason, detail=detail, hint=hint))
        case Duplicate(other_id):
            return bear_delivery(transaction, new(DeliveryState.DUPLICATED), facts={"other": other_id})
        case Overtaken(other_id):
            return bear_delivery(transaction, new(DeliveryState.SUPERSEDED), facts={"other": other_id})
        case Skip():
            return None


def _overlap(acceptance: Acceptance, draft: Draft, history: History) -> Overlap | None:
    comparison = acceptance.comparisons.get(draft.ordinal)
    if comparison is None:
        return None
    if comparison.delivery_id != history.last_sent_id:
        raise ComparisonOutdatedError(f"another list than {comparison.delivery_id} was sent in the meantime")
    return comparison.overlap


def _queue(
    transaction: Transaction,
    new: Callable[..., Delivery],
    acceptance: Acceptance,
    cuts: Sequence[Cut],
    *,
    replaces_same_day: bool,
    growth: str | None,
) -> Delivery:
    """Make the delivery with its name, or names, and let it take the place of what it overtakes."""
    files = len(cuts) or 1
    names = give_names(transaction, acceptance.upstream, acceptance.client_domain, acceptance.list_date, files)
    queued = new(
        DeliveryState.QUEUED,
        remote_name=names[0],
        files=files,
        remote_date=acceptance.list_date,
        queued_at=transaction.now,
        due_at=transaction.now,
    )
    bear_delivery(transaction, queued, replaces_same_day=replaces_same_day)
    bear_slices(transaction, queued, cuts, names)
    if growth is not None:
        facts = facts_of_delivery(queued) | {"detail": growth}
        transaction.record(Event.DELIVERY_GROWN, queued.id, queued.state, facts)
    supersede_older(transaction, queued, replaces_same_day=replaces_same_day)
    return queued


def _new_delivery(
    export: Export,
    draft: Draft,
    acceptance: Acceptance,
    history: History,
    now: datetime,
    state: DeliveryState,
    **verdict: Any,
) -> Delivery:
    return Delivery(
        id=delivery_id(export.id, draft.ordinal),
        export_id=export.id,
        route=export.route,
        upstream=acceptance.upstream,
        client_domain=acceptance.client_domain,
        segment=draft.segment,
        ordinal=draft.ordinal,
        state=state,
        counts=draft.counts,
        size=draft.size,
        sha256=draft.sha256,
        planned_at=now,
        planned_on=acceptance.list_date,
        landed_at=acceptance.landed_at,
        last_arrival=acceptance.last_arrival,
        stale_at=acceptance.stale_at,
        previous_rows=history.last_sent_rows,
        **(asdict(history.overlap) if history.overlap else {}),
        **verdict,
    )
