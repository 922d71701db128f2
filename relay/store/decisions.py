"""Verbs of the operator: hold, release, discard, requeue."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Final

from relay.guards import MOST_ROWS
from relay.lifecycle import DELIVERY, EXPORT, DeliveryEvent, ExportEvent
from relay.model import Cut, Decision, Delivery, DeliveryState, Export, ExportState, HoldReason, RelayError
from relay.store.gathering import INCOMPLETE, claim_all_gathered
from relay.store.journal import Transaction
from relay.store.moves import move_delivery, move_export
from relay.store.segments import give_names, newer_in_line, same_list_in_line, supersede_older
from relay.store.slices import bear_slices
from relay.store.verbs import Verbs, find_delivery, find_export, unknown

_COMMANDS: Final = {
    DeliveryEvent.HELD: "relay hold",
    DeliveryEvent.RELEASED: "relay release",
    DeliveryEvent.REQUEUED: "relay requeue",
    DeliveryEvent.DISCARDED: "relay discard",
    ExportEvent.REQUEUED: "relay requeue",
    ExportEvent.DISCARDED: "relay discard",
}
"""The events that an operator may cause, and by which command."""


class DecisionVerbs(Verbs):
    """What an operator decides. Each is recorded with who said so, and a decision that cannot be followed raises."""

    def hold(self, delivery_id: str, decision: Decision, now: datetime) -> Delivery:
        """Hold a list that waits to be sent (rule G7). It keeps the name it has.

        Raises:
            RelayError: there is no such delivery, or its state does not allow it.
        """
        with self._database.transaction(now) as transaction:
            delivery = _delivery(transaction, delivery_id, DeliveryEvent.HELD)
            return move_delivery(
                transaction,
                delivery,
                DeliveryEvent.HELD,
                facts={"operator": decision.operator},
                reason=HoldReason.OPERATOR,
                detail=decision.reason or f"held by {decision.operator}",
                hint="`relay release` or `relay discard` it.",
            )

    def release(
        self,
        delivery_id: str,
        decision: Decision,
        remote_date: date,
        stale_at: datetime,
        now: datetime,
        *,
        cuts: Sequence[Cut] = (),
    ) -> Delivery:
        """Release a held list: it enters `queued` with a name, or is recorded as a duplicate (rule D10).

        Args:
            delivery_id: the delivery.
            decision: who said so, and why.
            remote_date: today in the route's time zone, for the name; a list that has a name keeps it (rule D1).
            stale_at: when it is to be held again if it is still unsent (rule G8).
            now: the instant of the decision.
            cuts: how it is to be cut where it is to go out as several files (rule D13); what has its names already
                keeps them.

        Raises:
            RelayError: there is no such delivery, its state does not allow it, it has no rows or more than one file
                takes, or a newer list of its segment is on its way or sent.
        """
        with self._database.transaction(now) as transaction:
            delivery = _delivery(transaction, delivery_id, DeliveryEvent.RELEASED)
            _refuse_without_rows(delivery)
            day = delivery.remote_date or remote_date
            if twin := same_list_in_line(transaction.connection, delivery, day):
                facts: dict[str, object] = {"other": twin.id, "list_date": day}
                return move_delivery(transaction, delivery, DeliveryEvent.DUPLICATED, facts=facts)
            _refuse_if_overtaken(transaction, delivery)
            _refuse_if_too_long(delivery, cuts)
            return _release(transaction, delivery, decision, day, stale_at, cuts)

    def discard(self, subject_id: str, decision: Decision, now: datetime) -> Delivery | Export:
        """Discard a list that waits, a quarantined export, or one that waits for files.

        Raises:
            RelayError: there is no such delivery or export, or its state does not allow it.
        """
        said = _said(decision)
        with self._database.transaction(now) as transaction:
            if _names_an_export(transaction, subject_id):
                export = _export(transaction, subject_id, ExportEvent.DISCARDED)
                claim_all_gathered(transaction, export)
                return move_export(transaction, export, ExportEvent.DISCARDED, facts=said, waits_until=None)
            delivery = _delivery(transaction, subject_id, DeliveryEvent.DISCARDED)
            return move_delivery(transaction, delivery, DeliveryEvent.DISCARDED, facts=said, reason=decision.reason)

    def requeue(
        self,
        subject_id: str,
        decision: Decision,
        now: datetime,
        *,
        stale_at: datetime | None = None,
        as_whole: bool = False,
    ) -> Delivery | Export:
        """Have a quarantined export judged again, or a failed list sent again under the name it has.

        An export that is incomplete, or still waits for files, is taken as it is if a person says that it is whole.

        Args:
            subject_id: the export or the delivery.
            decision: who said so, and why.
            now: the instant of the decision.
            stale_at: when a delivery is to be held if it is still unsent (rule G8); None leaves that as it is.
            as_whole: the files of an export that are there are all of it (rule C8).

        Raises:
            RelayError: there is no such delivery or export, its state does not allow it, or a newer list of the
                delivery's segment is on its way or sent.
        """
        with self._database.transaction(now) as transaction:
            if _names_an_export(transaction, subject_id):
                return _requeue_export(
                    transaction, _export(transaction, subject_id, ExportEvent.REQUEUED), decision, as_whole=as_whole
                )
            delivery = _delivery(transaction, subject_id, DeliveryEvent.REQUEUED)
            _refuse_if_overtaken(transaction, delivery)
            return _requeue(transaction, delivery, decision, stale_at or delivery.stale_at)


def _release(
    transaction: Transaction,
    delivery: Delivery,
    decision: Decision,
    day: date,
    stale_at: datetime,
    cuts: Sequence[Cut],
) -> Delivery:
    if delivery.remote_name is None:
        names = give_names(transaction, delivery.upstream, delivery.client_domain, day, len(cuts) or 1)
        bear_slices(transaction, delivery, cuts, names)
        delivery = replace(delivery, remote_name=names[0], files=len(names))
    released = move_delivery(
        transaction,
        delivery,
        DeliveryEvent.RELEASED,
        facts=_said(decision),
        remote_name=delivery.remote_name,
        files=delivery.files,
        remote_date=day,
        queued_at=transaction.now,
        due_at=transaction.now,
        stale_at=stale_at,
        replaces_same_day=True,
    )
    supersede_older(transaction, released, replaces_same_day=True)
    return released


def _requeue_export(transaction: Transaction, export: Export, decision: Decision, *, as_whole: bool) -> Export:
    is_incomplete = export.state is ExportState.GATHERING or export.reason == INCOMPLETE
    if is_incomplete and not as_whole:
        raise RelayError(
            f"{export.id} is not complete: {export.detail}",
            hint="Have it sent again as a whole, which makes a new export. If the files that are there are all of it, "
            "say so with `relay requeue --as-whole`; to give it up, `relay discard` it.",
        )
    forgotten = {"reason": None, "detail": None, "hint": None, "attempts": 0, "as_whole": is_incomplete}
    return move_export(transaction, export, ExportEvent.REQUEUED, facts=_said(decision), **forgotten)


def _requeue(transaction: Transaction, delivery: Delivery, decision: Decision, stale_at: datetime) -> Delivery:
    requeued = move_delivery(
        transaction,
        delivery,
        DeliveryEvent.REQUEUED,
        facts=_said(decision),
        queued_at=transaction.now,
        due_at=transaction.now,
        stale_at=stale_at,
    )
    supersede_older(transaction, requeued, replaces_same_day=False)
    return requeued


def _said(decision: Decision) -> dict[str, object]:
    return {"operator": decision.operator, "reason": decision.reason}


def _names_an_export(transaction: Transaction, subject_id: str) -> bool:
    return find_export(transaction.connection, subject_id) is not None


def _delivery(transaction: Transaction, delivery_id: str, event: DeliveryEvent) -> Delivery:
    """Return the delivery if its state allows `event`, else raise with what it does allow."""
    delivery = find_delivery(transaction.connection, delivery_id)
    if delivery is None:
        raise unknown("delivery", delivery_id)
    if event not in DELIVERY[delivery.state]:
        raise _not_now(delivery.id, delivery.state, event, [_COMMANDS.get(it) for it in DELIVERY[delivery.state]])
    return delivery


def _export(transaction: Transaction, export_id: str, event: ExportEvent) -> Export:
    """Return the export if its state allows `event`, else raise with what it does allow."""
    export = find_export(transaction.connection, export_id)
    if export is None:
        raise unknown("export", export_id)
    if event not in EXPORT[export.state]:
        raise _not_now(export.id, export.state, event, [_COMMANDS.get(it) for it in EXPORT[export.state]])
    return export


def _not_now(
    subject_id: str,
    state: DeliveryState | ExportState,
    event: DeliveryEvent | ExportEvent,
    possible: list[str | None],
) -> RelayError:
    commands = sorted(f"`{command}`" for command in possible if command)
    if commands:
        hint = f"What {state} allows is {' or '.join(commands)}."
    elif state is DeliveryState.SENDING:
        hint = "It is being sent at this moment; see in a minute what came of it (`relay show`)."
    elif state is DeliveryState.SENT:
        hint = "The upstream has it. If it was wrong, `relay restore` sends the list before it again."
    elif state is ExportState.RECEIVED:
        hint = "It is about to be rewritten; see in a minute what came of it (`relay show`)."
    elif state is ExportState.ACCEPTED:
        hint = "Its lists are deliveries by now; decide on those (`relay show` names them)."
    else:
        hint = "That is final; have the list exported again if it is wanted."
    return RelayError(f"{subject_id} is {state}, so it cannot be {event}", hint=hint)


def _refuse_without_rows(delivery: Delivery) -> None:
    if not delivery.counts.rows_out:
        raise RelayError(
            f"{delivery.id} has no row left, and a file without rows cannot empty a segment",
            hint="Correct the export and have it sent again, then `relay discard` this one.",
        )


def _refuse_if_too_long(delivery: Delivery, cuts: Sequence[Cut]) -> None:
    """See that no file gets more rows than Attentive takes (rule A8)."""
    if delivery.remote_name is None and not cuts and delivery.counts.rows_out > MOST_ROWS:
        raise RelayError(
            f"{delivery.id} has {delivery.counts.rows_out:,} rows, and Attentive takes at most {MOST_ROWS:,} in a file",
            hint="Split the segment in Amperity, then `relay discard` this one. Or ask White Glove whether several "
            'files of one date make one list: if so, set oversize = "split" under [guards], and release it again.',
        )


def _refuse_if_overtaken(transaction: Transaction, delivery: Delivery) -> None:
    if newer := newer_in_line(transaction.connection, delivery):
        raise RelayError(
            f"{delivery.id} is older than {newer.id}, which is {newer.state} for the same segment",
            hint="An older list never follows a newer one. `relay discard` this one; if its content is wanted, have it "
            "exported again.",
        )
