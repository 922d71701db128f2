"""Verbs of restoring: an earlier list once more, the only undo that a replacing platform offers (rule D12)."""

from collections.abc import Callable
from datetime import date, datetime

from sqlalchemy import func, select

from relay.log import Event
from relay.model import Decision, Delivery, DeliveryState, RelayError
from relay.naming import delivery_id
from relay.store.journal import Transaction
from relay.store.moves import bear_delivery, facts_of_delivery
from relay.store.rows import delivery_of
from relay.store.schema import deliveries
from relay.store.segments import NEWEST_FIRST, give_names, next_arrival, of_segment, supersede_older
from relay.store.slices import bear_slices, cuts_of
from relay.store.verbs import Verbs, the_delivery, the_export


class RestoringVerbs(Verbs):
    """What brings an earlier list back."""

    def sent_lists(self, upstream: str, client_domain: str, segment: str) -> list[Delivery]:
        """Return every list of a segment that was sent, the last sent first."""
        query = (
            select(deliveries)
            .where(
                of_segment(upstream, client_domain, segment),
                deliveries.c.state == DeliveryState.SENT,
            )
            .order_by(*NEWEST_FIRST)
        )
        with self._database.reading() as connection:
            return [delivery_of(row) for row in connection.execute(query).mappings()]

    def restore(
        self,
        delivery_id: str,
        decision: Decision,
        remote_date: date,
        stale_at: datetime,
        now: datetime,
        *,
        keep: Callable[[Delivery, Delivery], None],
    ) -> Delivery:
        """Have the list of a sent delivery sent again, as a new delivery with a new name (rule D12).

        It counts as come now, so it takes the place of everything unsent of its segment, and no guard judges it. What
        went out as several files does so again, cut as it was (rule D13).

        Args:
            delivery_id: the delivery whose list is wanted again.
            decision: who said so, and why.
            remote_date: today in the route's time zone, for the name.
            stale_at: when it is to be held if it is still unsent (rule G8).
            now: the instant of the decision.
            keep: gives the new delivery, its second argument, the bytes of the first; called before anything is noted,
                so that a kill in between leaves bytes without a row, and never a row without bytes.

        Raises:
            RelayError: there is no such delivery, or it was not sent.
        """
        with self._database.transaction(now) as transaction:
            source = the_delivery(transaction, delivery_id)
            if source.state is not DeliveryState.SENT:
                raise RelayError(
                    f"{source.id} is {source.state}, and only what was sent can be restored",
                    hint="`relay show` says what became of it; `relay release` sends a held list.",
                )
            names = give_names(transaction, source.upstream, source.client_domain, remote_date, source.files)
            restored = _once_more(transaction, source, remote_date, stale_at, names[0])
            keep(source, restored)
            bear_delivery(transaction, restored, replaces_same_day=True)
            bear_slices(transaction, restored, cuts_of(transaction.connection, source.id), names)
            said = {"operator": decision.operator, "reason": decision.reason, "other": source.id}
            facts = facts_of_delivery(restored) | said
            transaction.record(Event.DELIVERY_RESTORED, restored.id, restored.state, facts)
            supersede_older(transaction, restored, replaces_same_day=True)
            return restored


def _once_more(transaction: Transaction, source: Delivery, day: date, stale_at: datetime, remote_name: str) -> Delivery:
    ordinal = _next_ordinal(transaction, source.export_id)
    last_sent = (
        select(deliveries.c.rows_out)
        .where(
            of_segment(source.upstream, source.client_domain, source.segment),
            deliveries.c.state == DeliveryState.SENT,
        )
        .order_by(*NEWEST_FIRST)
    )
    return Delivery(
        id=delivery_id(source.export_id, ordinal),
        export_id=source.export_id,
        route=source.route,
        upstream=source.upstream,
        client_domain=source.client_domain,
        segment=source.segment,
        ordinal=ordinal,
        state=DeliveryState.QUEUED,
        counts=source.counts,
        size=source.size,
        sha256=source.sha256,
        planned_at=transaction.now,
        planned_on=day,
        landed_at=transaction.now,
        # Behind everything that has landed, and before what lands next, which is planned later.
        last_arrival=next_arrival(transaction.connection),
        stale_at=stale_at,
        remote_name=remote_name,
        files=source.files,
        remote_date=day,
        queued_at=transaction.now,
        due_at=transaction.now,
        previous_rows=transaction.connection.scalar(last_sent.limit(1)),
    )


def _next_ordinal(transaction: Transaction, export_id: str) -> int:
    """Return the number behind all lists of an export, those included of which no delivery was made."""
    report = the_export(transaction, export_id).report
    delivered = transaction.connection.scalar(
        select(func.max(deliveries.c.ordinal)).where(deliveries.c.export_id == export_id)
    )
    return max(delivered or 0, len(report.drafts) if report else 0) + 1
