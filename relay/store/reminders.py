"""Verbs that remind: what waits for a person is said again, for as long as nobody decides (rule G14)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, select

from relay.log import Event
from relay.model import DeliveryState, ExportState
from relay.store.journal import Transaction
from relay.store.moves import facts_of_delivery, facts_of_export
from relay.store.rows import delivery_of, export_of
from relay.store.schema import deliveries, exports, transitions
from relay.store.verbs import Verbs

_BEGAN_BY: Final = {DeliveryState.HELD: Event.DELIVERY_HELD, DeliveryState.FAILED: Event.DELIVERY_FAILED}
_UNDECIDED: Final = select(deliveries).where(deliveries.c.state.in_(_BEGAN_BY)).order_by(deliveries.c.place)
_QUARANTINED: Final = select(exports).where(exports.c.state == ExportState.QUARANTINED).order_by(exports.c.received_at)
_GATHERING: Final = select(exports).where(exports.c.state == ExportState.GATHERING, exports.c.waits_until.is_not(None))
_STRANDED: Final = {
    "reason": "stranded",
    "hint": "its route or account is not in the configuration any more: put it back, or `relay discard` the export",
}
"""What the log says of an export that nothing looks at any more: otherwise it would be taken, or given up, in time."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that waits for a person: its id, its route, how it is said, and what the log may say of it."""

    id: str
    route: str
    state: DeliveryState | ExportState
    began_by: Event
    reminder: Event
    facts: Mapping[str, object]


class ReminderVerbs(Verbs):
    """What is said again."""

    def remind(
        self,
        after: Mapping[str, Sequence[timedelta]],
        now: datetime,
        *,
        otherwise: Sequence[timedelta] = (),
        kept: timedelta | None = None,
    ) -> list[str]:
        """Say of each held or failed list and each export in trouble that it still waits, once at each of its times.

        What fell due while nobody looked is said once.

        Args:
            after: by route, how long after the beginning of the wait.
            now: the instant.
            otherwise: how long after it where the route is not in `after`, as one that the configuration has lost.
            kept: how long after that beginning retention discards it, which is said with it.

        Returns:
            The ids of what was said again.
        """
        with self._database.transaction(now) as transaction:
            return [
                it.id
                for it, since in waiting_since(transaction.connection)
                if _remind(transaction, it, since, after.get(it.route, otherwise), kept)
            ]


def may_go(connection: Connection, it: Waiting) -> bool:
    """Say whether retention may decide: nobody has to know of an export that waits for files before it was said."""
    return it.began_by is not Event.EXPORT_GATHERING or _last(connection, it.id, it.reminder) is not None


def waiting_since(connection: Connection) -> list[tuple[Waiting, datetime]]:
    """Return what waits for a person, each with the instant since when it does; that may be one to come."""
    since = ((it, _last(connection, it.id, it.began_by)) for it in _waiting(connection))
    return [*((it, at) for it, at in since if at is not None), *_stranded(connection)]


def _stranded(connection: Connection) -> list[tuple[Waiting, datetime]]:
    gathering = [export_of(row) for row in connection.execute(_GATHERING).mappings()]
    return [
        (
            Waiting(
                it.id,
                it.route,
                it.state,
                Event.EXPORT_GATHERING,
                Event.EXPORT_OVERDUE,
                facts_of_export(it) | _STRANDED,
            ),
            it.waits_until,
        )
        for it in gathering
        if it.waits_until is not None
    ]


def _waiting(connection: Connection) -> list[Waiting]:
    undecided = [delivery_of(row) for row in connection.execute(_UNDECIDED).mappings()]
    quarantined = [export_of(row) for row in connection.execute(_QUARANTINED).mappings()]
    return [
        *(
            Waiting(it.id, it.route, it.state, _BEGAN_BY[it.state], Event.DELIVERY_OVERDUE, facts_of_delivery(it))
            for it in undecided
        ),
        *(
            Waiting(it.id, it.route, it.state, Event.EXPORT_QUARANTINED, Event.EXPORT_OVERDUE, facts_of_export(it))
            for it in quarantined
        ),
    ]


def _remind(
    transaction: Transaction, it: Waiting, since: datetime, after: Sequence[timedelta], kept: timedelta | None
) -> bool:
    """Say that `it` still waits, if that is due and has not been said; return whether it was."""
    due = max((since + wait for wait in after if since + wait <= transaction.now), default=None)
    if due is None:
        return False
    said = _last(transaction.connection, it.id, it.reminder)
    if said is not None and said >= due:
        return False
    facts = {**it.facts, "since": since, "discard_at": since + kept if kept else None}
    transaction.record(it.reminder, it.id, it.state, facts)
    return True


def _last(connection: Connection, subject: str, event: Event) -> datetime | None:
    said = select(transitions.c.at).where(transitions.c.subject == subject, transitions.c.event == event.value)
    return connection.scalar(said.order_by(transitions.c.seq.desc()).limit(1))
