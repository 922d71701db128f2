"""Verbs that remind: what waits for a person is said again, for as long as nobody decides (rule G14)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select

from relay.log import Event
from relay.model import DeliveryState, ExportState
from relay.store.journal import Transaction
from relay.store.moves import facts_of_delivery, facts_of_export
from relay.store.rows import delivery_of, export_of
from relay.store.schema import deliveries, exports, transitions
from relay.store.verbs import Verbs

_HELD: Final = select(deliveries).where(deliveries.c.state == DeliveryState.HELD).order_by(deliveries.c.place)
_QUARANTINED: Final = select(exports).where(exports.c.state == ExportState.QUARANTINED).order_by(exports.c.received_at)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Something that waits for a person: its id, its route, how it is said, and what the log may say of it."""

    id: str
    route: str
    state: DeliveryState | ExportState
    began_by: Event
    reminder: Event
    facts: Mapping[str, object]


class ReminderVerbs(Verbs):
    """What is said again."""

    def remind(self, after: Mapping[str, Sequence[timedelta]], now: datetime) -> list[str]:
        """Say of each held list and quarantined export that it still waits, once when each of its times has come.

        What fell due while nobody looked is said once.

        Args:
            after: by route, how long after the beginning of the wait, in ascending order.
            now: the instant.

        Returns:
            The ids of what was said again.
        """
        with self._database.transaction(now) as transaction:
            return [it.id for it in _waiting(transaction) if _remind(transaction, it, after.get(it.route, ()))]


def _waiting(transaction: Transaction) -> list[_Waiting]:
    held = [delivery_of(row) for row in transaction.run(_HELD).mappings()]
    quarantined = [export_of(row) for row in transaction.run(_QUARANTINED).mappings()]
    return [
        *(
            _Waiting(it.id, it.route, it.state, Event.DELIVERY_HELD, Event.DELIVERY_OVERDUE, facts_of_delivery(it))
            for it in held
        ),
        *(
            _Waiting(it.id, it.route, it.state, Event.EXPORT_QUARANTINED, Event.EXPORT_OVERDUE, facts_of_export(it))
            for it in quarantined
        ),
    ]


def _remind(transaction: Transaction, it: _Waiting, after: Sequence[timedelta]) -> bool:
    """Say that `it` still waits, if that is due and has not been said; return whether it was."""
    since = _last(transaction, it.id, it.began_by)
    due = (
        None
        if since is None
        else max((since + wait for wait in after if since + wait <= transaction.now), default=None)
    )
    if due is None:
        return False
    said = _last(transaction, it.id, it.reminder)
    if said is not None and said >= due:
        return False
    transaction.record(it.reminder, it.id, it.state, {**it.facts, "since": since})
    return True


def _last(transaction: Transaction, subject: str, event: Event) -> datetime | None:
    said = select(transitions.c.at).where(transitions.c.subject == subject, transitions.c.event == event.value)
    return transaction.connection.scalar(said.order_by(transitions.c.seq.desc()).limit(1))
