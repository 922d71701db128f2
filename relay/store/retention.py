"""Verbs of retention: who has waited too long, which lists must stay, and which history may go (rules R4 to R6)."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Connection, Select, delete, exists, func, or_, select

from relay.lifecycle import IN_EFFECT, WAITING, DeliveryEvent, ExportEvent
from relay.log import Event
from relay.model import DeliveryState, ExportState
from relay.store.gathering import claim_all_gathered
from relay.store.journal import Transaction, subject_of_arrival
from relay.store.moves import move_delivery, move_export
from relay.store.reminders import Waiting, may_go, waiting_since
from relay.store.schema import arrivals, deliveries, exports, freshness, slices, transitions
from relay.store.segments import NEWEST_FIRST
from relay.store.verbs import Verbs, the_delivery, the_export

KEPT_LISTS: Final = 2
"""How many of each segment's sent lists stay, however old: the live one and the one to go back to (rule R4)."""

UNFINISHED: Final = WAITING | (IN_EFFECT - {DeliveryState.SENT})
"""A delivery in one of these still needs its list."""

_SAID: Final[dict[str, object]] = {"operator": "retention", "reason": "retention"}
_AT_ONCE: Final = 200


class RetentionVerbs(Verbs):
    """What may go."""

    def waiting_since_before(self, before: datetime) -> list[str]:
        """Return the ids of what has waited for a person since `before` or longer."""
        with self._database.reading() as connection:
            return [it.id for it in _expired(connection, before)]

    def discard_expired(self, before: datetime, now: datetime) -> list[str]:
        """Discard every held or failed list, and every export in trouble, that has waited since `before` (rule R5).

        Their bytes go after this, never before: a kill in between leaves bytes that the next sweep takes.
        """
        with self._database.transaction(now) as transaction:
            expired = _expired(transaction.connection, before)
            for it in expired:
                _discard(transaction, it.id, it.began_by)
            return [it.id for it in expired]

    def kept_lists(self) -> frozenset[str]:
        """Return the ids of the deliveries whose lists must stay: the last two sent of each segment (rule R4)."""
        with self._database.reading() as connection:
            return frozenset(connection.scalars(_kept()))

    @contextmanager
    def unchanging(self) -> Iterator[None]:
        """Have nobody else change the state while the block runs, in whatever process."""
        with self._database.writing():
            yield

    def is_finished(self, export_id: str) -> bool:
        """Say whether nothing more can become of an export or of any of its lists."""
        query = select(exports.c.id).where(exports.c.id == export_id, _finished())
        with self._database.reading() as connection:
            return connection.scalar(query) is not None

    def forgettable(self, before: datetime) -> int:
        """Return how many exports the history would lose."""
        with self._database.reading() as connection:
            return connection.scalar(select(func.count()).select_from(_doomed(before).subquery())) or 0

    def forget(self, before: datetime, now: datetime) -> int:
        """Remove the history of every export received before `before` that is finished (rule R6).

        Those whose list is kept stay, and so do those that a later one refers to. What has no export, such as the
        verdicts on a route, or a file that no route wanted and that is gone, goes by its own date.

        Returns:
            How many exports are gone.
        """
        gone = 0
        while forgotten := self._forget_some(before, now):
            gone += forgotten
        while self._forget_some_arrivals(before, now):
            pass
        with self._database.writing() as connection:
            connection.execute(delete(freshness).where(freshness.c.day < before.date()))
            loose = or_(*(transitions.c.subject.like(f"{kind}/%") for kind in ("freshness", "upstream", "source")))
            connection.execute(delete(transitions).where(loose, transitions.c.at < before))
        return gone

    def _forget_some(self, before: datetime, now: datetime) -> int:
        """Remove a few, so that nobody waits long for the writer's turn."""
        with self._database.transaction(now) as transaction:
            ids = list(transaction.connection.scalars(_doomed(before).limit(_AT_ONCE)))
            of_arrivals = select("arrival/" + arrivals.c.id.cast(transitions.c.subject.type))
            subjects = (
                select(deliveries.c.id).where(deliveries.c.export_id.in_(ids)),
                of_arrivals.where(arrivals.c.export_id.in_(ids)),
            )
            transaction.run(delete(transitions).where(transitions.c.subject.in_(ids)))
            for subject in subjects:
                transaction.run(delete(transitions).where(transitions.c.subject.in_(subject)))
            transaction.run(delete(arrivals).where(arrivals.c.export_id.in_(ids)))
            of_lists = select(deliveries.c.id).where(deliveries.c.export_id.in_(ids))
            transaction.run(delete(slices).where(slices.c.delivery_id.in_(of_lists)))
            transaction.run(delete(deliveries).where(deliveries.c.export_id.in_(ids)))
            transaction.run(delete(exports).where(exports.c.id.in_(ids)))
            return len(ids)

    def _forget_some_arrivals(self, before: datetime, now: datetime) -> int:
        """Remove a few files' rows that became part of no export; one that still lies there is known for longer."""
        query = select(arrivals.c.id).where(
            arrivals.c.export_id.is_(None), arrivals.c.cleared_at.is_not(None), arrivals.c.landed_at < before
        )
        with self._database.transaction(now) as transaction:
            ids = list(transaction.connection.scalars(query.limit(_AT_ONCE)))
            transaction.run(delete(transitions).where(transitions.c.subject.in_(map(subject_of_arrival, ids))))
            transaction.run(delete(arrivals).where(arrivals.c.id.in_(ids)))
            return len(ids)


def _expired(connection: Connection, before: datetime) -> list[Waiting]:
    return [it for it, since in waiting_since(connection) if since <= before and may_go(connection, it)]


def _discard(transaction: Transaction, it: str, began_by: Event) -> None:
    if began_by in {Event.EXPORT_QUARANTINED, Event.EXPORT_GATHERING}:
        export = the_export(transaction, it)
        claim_all_gathered(transaction, export)
        move_export(transaction, export, ExportEvent.DISCARDED, facts=_SAID, waits_until=None)
    else:
        delivery = the_delivery(transaction, it)
        move_delivery(transaction, delivery, DeliveryEvent.DISCARDED, facts=_SAID, reason="retention")


def _kept() -> Select[tuple[str]]:
    newest_first = func.row_number().over(
        partition_by=(deliveries.c.upstream, deliveries.c.client_domain, deliveries.c.segment),
        order_by=NEWEST_FIRST,
    )
    ranked = (
        select(deliveries.c.id, newest_first.label("rank")).where(deliveries.c.state == DeliveryState.SENT).subquery()
    )
    return select(ranked.c.id).where(ranked.c.rank <= KEPT_LISTS)


def _finished() -> ColumnElement[bool]:
    unfinished = exists().where(deliveries.c.export_id == exports.c.id, deliveries.c.state.in_(UNFINISHED))
    return exports.c.state.in_((ExportState.ACCEPTED, ExportState.DUPLICATED, ExportState.DISCARDED)) & ~unfinished


def _doomed(before: datetime) -> Select[tuple[str]]:
    keeps_a_list = exists().where(deliveries.c.export_id == exports.c.id, deliveries.c.id.in_(_kept()))
    later = exports.alias("later")
    is_referred_to = exists().where(later.c.original_id == exports.c.id)
    return select(exports.c.id).where(exports.c.received_at < before, _finished(), ~keeps_a_list, ~is_referred_to)
