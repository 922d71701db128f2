"""Verbs of the outbox: what is due, who has it in hand, and what came of it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, bindparam, exists, func, or_, select, update

from relay.lifecycle import LONGEST_RETRY, DeliveryEvent
from relay.model import Delivery, DeliveryState, HoldReason, Receipt
from relay.store.journal import Transaction
from relay.store.moves import DeliveryMove, move_deliveries, move_delivery
from relay.store.rows import delivery_of
from relay.store.schema import deliveries, exports
from relay.store.segments import older, same_segment, supersede_if_overtaken
from relay.store.slices import are_verified, begin_slice, note_sent
from relay.store.verbs import Verbs, deliveries_by_id, the_delivery, was_taken_over

_DUE: Final = (DeliveryState.QUEUED, DeliveryState.DEFERRED)
"""A delivery in one of these waits for its turn or its next attempt."""

_STALE_HINT: Final = (
    "Find out why it could not be sent (`relay show`), then `relay release` it, or `relay discard` it and have a newer "
    "list sent."
)


@dataclass(frozen=True, slots=True)
class Sent:
    """A list that the upstream has under its final name; of several files, the last one.

    `delays` are the seconds that the outbox spent, by stage; the log gets them with those of the stages before.
    `attempt` says which attempt it was: one that was taken over counts no more, and the next finds the list there.
    """

    delivery_id: str
    receipt: Receipt
    delays: dict[str, float]
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """What a sender can take besides what it has in hand: so many lists at `upstream`, each claimed for `lease`.

    It takes no more after one that is larger than `small`: that one fills a connection by itself. `after_route` is as
    in `claim_due`.
    """

    upstream: str
    lists: int
    small: int
    lease: timedelta
    after_route: str = ""


class SendingVerbs(Verbs):
    """What the outbox asks and reports."""

    def claim_due(
        self, now: datetime, lease: timedelta, upstreams: Collection[str], *, after_route: str = ""
    ) -> Delivery | None:
        """Claim the next list that is due at one of `upstreams`, and count the attempt; None if there is none.

        It is the oldest of the route whose name follows `after_route`, beginning again behind the last: who always
        names the route served last has the routes take turns (rule D11). A list waits while an older one of its
        segment waits or any other is being sent (rule D8). One that has become stale is left to `hold_stale` (rule G8).
        """
        with self._database.transaction(now) as transaction:
            return next(iter(_claim_next(transaction, upstreams, after_route, now + lease)), None)

    def sent(self, lists: Sequence[Sent], now: datetime, *, room: Room | None = None) -> list[Delivery]:
        """Record lists that were sent and, where there is `room`, claim what is due next as `claim_due` would.

        All in one transaction: a disk makes it durable in the time that it takes for one list alone.

        Raises:
            IllegalTransitionError: one of them is not `sending`; nothing is recorded then.
        """
        with self._database.transaction(now) as transaction:
            _record_sent(transaction, lists)
            if room is None:
                return []
            return _claim_next(transaction, [room.upstream], room.after_route, now + room.lease, room.lists, room.small)

    def begin_directly(self, delivery_id: str, remote_name: str, now: datetime) -> None:
        """Record that a file is about to be written under its final name, where it may be cut off (rule U9)."""
        with self._database.transaction(now) as transaction:
            _set_while_sending(transaction, delivery_id, unanswered=remote_name)

    def renew(self, delivery_id: str, lease_until: datetime, now: datetime) -> None:
        """Have the claim on a list hold longer: it makes progress."""
        with self._database.transaction(now) as transaction:
            _set_while_sending(transaction, delivery_id, lease_until=lease_until)

    def defer(
        self,
        delivery_id: str,
        reason: str,
        detail: str,
        hint: str,
        due_at: datetime,
        now: datetime,
        *,
        unanswered: str | None = None,
        attempt: int | None = None,
    ) -> None:
        """Record that an attempt failed and when there will be another.

        A list that was overtaken while it was in hand is superseded instead of being tried again (rule D7).
        `unanswered` is the name at the upstream under which the attempt may have left the list nevertheless; `attempt`
        is as in `sent`.

        Raises:
            IllegalTransitionError: the delivery is not `sending`.
        """
        with self._database.transaction(now) as transaction:
            delivery = the_delivery(transaction, delivery_id)
            if was_taken_over(delivery, attempt):
                return
            why: dict[str, Any] = {"reason": reason, "detail": detail, "hint": hint}
            deferred = move_delivery(
                transaction, delivery, DeliveryEvent.DEFERRED, due_at=due_at, unanswered=unanswered, **why
            )
            supersede_if_overtaken(transaction, deferred)

    def fail(
        self,
        delivery_id: str,
        reason: str,
        detail: str,
        hint: str,
        now: datetime,
        *,
        unanswered: str | None = None,
        attempt: int | None = None,
    ) -> None:
        """Record that the upstream refused this list for good. An overtaken one is superseded at once (rule D7).

        `unanswered` and `attempt` are as in `defer`.

        Raises:
            IllegalTransitionError: the delivery is not `sending`.
        """
        with self._database.transaction(now) as transaction:
            delivery = the_delivery(transaction, delivery_id)
            if was_taken_over(delivery, attempt):
                return
            why: dict[str, Any] = {"reason": reason, "detail": detail, "hint": hint}
            failed = move_delivery(transaction, delivery, DeliveryEvent.FAILED, **why, unanswered=unanswered)
            supersede_if_overtaken(transaction, failed)

    def expired(self, now: datetime) -> set[str]:
        """Return the ids of the lists whose claim has run out: whoever has them in hand makes no progress."""
        query = select(deliveries.c.id).where(
            deliveries.c.state == DeliveryState.SENDING, deliveries.c.lease_until <= now
        )
        with self._database.reading() as connection:
            return set(connection.scalars(query))

    def recover(self, now: datetime, *, everything: bool = False) -> list[str]:
        """Take back claims whose lease has run out, or all of them after a start; they are due again at once.

        Returns:
            The ids of the deliveries whose attempt was cut off.
        """
        cut_off = select(deliveries).where(deliveries.c.state == DeliveryState.SENDING)
        if not everything:
            cut_off = cut_off.where(deliveries.c.lease_until <= now)
        with self._database.transaction(now) as transaction:
            claimed = _in_order(transaction, cut_off)
            for delivery in claimed:
                recovered = move_delivery(transaction, delivery, DeliveryEvent.RECOVERED, due_at=now)
                supersede_if_overtaken(transaction, recovered)
            return [delivery.id for delivery in claimed]

    def hold_stale(self, now: datetime) -> list[str]:
        """Hold every list that is unsent too long after it landed (rule G8), and return their ids."""
        overdue = select(deliveries).where(deliveries.c.state.in_(_DUE), deliveries.c.stale_at <= now)
        with self._database.transaction(now) as transaction:
            stale = _in_order(transaction, overdue)
            for delivery in stale:
                move_delivery(
                    transaction,
                    delivery,
                    DeliveryEvent.HELD,
                    reason=HoldReason.STALE,
                    detail=_how_stale(delivery),
                    hint=_STALE_HINT,
                )
            return [delivery.id for delivery in stale]


def _set_while_sending(transaction: Transaction, delivery_id: str, **columns: Any) -> None:
    """Set columns of a list that is being sent; one that is not any more stays as it is."""
    sending = deliveries.c.state == DeliveryState.SENDING
    transaction.run(update(deliveries).where(deliveries.c.id == delivery_id, sending).values(**columns))


def _must_wait() -> ColumnElement[bool]:
    """Whether another list of the segment is being sent, or an older one waits (rule D8)."""
    other = deliveries.alias("other")
    before = other.c.state.in_(_DUE) & older(other, deliveries)
    return exists().where(same_segment(other, deliveries), or_(other.c.state == DeliveryState.SENDING, before))


# Put together once: that takes longer than to run it, and it is asked for every few lists. What is put in order are
# ids and not whole lists, of which there may be thousands.
_DUE_NOW: Final = (
    select(
        deliveries.c.id,
        func.row_number()
        .over(partition_by=deliveries.c.route, order_by=(deliveries.c.last_arrival, deliveries.c.place))
        .label("turn"),
    )
    .where(
        deliveries.c.upstream.in_(bindparam("upstreams", expanding=True)),
        deliveries.c.state.in_(_DUE),
        # No retry is due later than that, unless the clock was set back meanwhile.
        or_(deliveries.c.due_at <= bindparam("now"), deliveries.c.due_at > bindparam("now_and_longest")),
        deliveries.c.stale_at > bindparam("now"),
        ~_must_wait(),
    )
    .subquery()
)
# Each route has its first turn before any has its second.
_BY_TURNS: Final = (
    select(deliveries)
    .join(_DUE_NOW, _DUE_NOW.c.id == deliveries.c.id)
    .where(_DUE_NOW.c.turn <= bindparam("most"))
    .order_by(_DUE_NOW.c.turn, deliveries.c.route <= bindparam("after_route"), deliveries.c.route)
)
_NEXT: Final = _BY_TURNS.limit(bindparam("most"))


def _claim_next(
    transaction: Transaction,
    upstreams: Collection[str],
    after_route: str,
    lease_until: datetime,
    most: int = 1,
    small: int = 0,
) -> list[Delivery]:
    """Claim what is due next, each route in its turn: up to `most` lists, and none after one that is not `small`.

    No two are of one segment, as each waits for an older one.
    """
    asked = {
        "upstreams": list(upstreams),
        "now": transaction.now,
        "now_and_longest": transaction.now + LONGEST_RETRY,
        "after_route": after_route,
        "most": most,
    }
    due = [delivery_of(row) for row in transaction.connection.execute(_NEXT, asked).mappings()]
    large = next((number for number, it in enumerate(due, start=1) if not it.is_small(small)), most)
    claims = [DeliveryMove(it, {"attempts": it.attempts + 1, "lease_until": lease_until}) for it in due[:large]]
    claimed = move_deliveries(transaction, DeliveryEvent.CLAIMED, claims)
    for it in claimed:
        if it.files > 1:
            begin_slice(transaction, it, it.files_sent + 1)
    return claimed


def _record_sent(transaction: Transaction, lists: Sequence[Sent]) -> None:
    by_id = deliveries_by_id(transaction.connection, [it.delivery_id for it in lists])
    ours = [it for it in lists if not was_taken_over(by_id[it.delivery_id], it.attempt)]
    delays = _delays(transaction.connection, {by_id[it.delivery_id].export_id for it in ours})
    moves: list[DeliveryMove] = []
    for it in ours:
        delivery, verified = by_id[it.delivery_id], it.receipt.verified
        if delivery.files > 1:
            note_sent(transaction, delivery, delivery.files, it.receipt)
            verified = are_verified(transaction.connection, delivery.id)
        columns = {
            "sent_at": transaction.now,
            "unanswered": None,
            "verified": verified,
            "files_sent": delivery.files,
            "publish": it.receipt.publish,
        }
        facts: dict[str, object] = {"publish": it.receipt.publish, "delays": delays[delivery.export_id] | it.delays}
        moves.append(DeliveryMove(delivery, columns, facts))
    move_deliveries(transaction, DeliveryEvent.SENT, moves)


_DELAYS: Final = select(exports.c.id, exports.c.delays).where(exports.c.id.in_(bindparam("its_ids", expanding=True)))


def _delays(connection: Connection, export_ids: Collection[str]) -> dict[str, dict[str, float]]:
    rows = connection.execute(_DELAYS, {"its_ids": list(export_ids)})
    return {export_id: delays or {} for export_id, delays in rows}


def _in_order(transaction: Transaction, query: Select[Any]) -> list[Delivery]:
    return [delivery_of(row) for row in transaction.run(query.order_by(deliveries.c.place)).mappings()]


def _how_stale(delivery: Delivery) -> str:
    attempts = "1 attempt" if delivery.attempts == 1 else f"{delivery.attempts} attempts"
    last = f", the last of which ended in {delivery.reason}" if delivery.reason else ""
    partly = f", but for {delivery.files_sent} of {delivery.files} files," if delivery.is_partly_sent else ""
    return f"landed {delivery.landed_at:%Y-%m-%d %H:%M} UTC and{partly} unsent after {attempts}{last}"
