"""The lists of one segment: their order, who overtakes whom, and their names.

A segment belongs to an upstream and a client domain (rule D3). Its lists stand in the order of their arrivals' numbers,
and those of one arrival in the order in which they were planned; "newer" and "older" mean that order (rule D8). It is
no order of instants: the host's clock may be set back.
"""

from collections.abc import Collection
from datetime import date
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Date,
    FromClause,
    Integer,
    Select,
    String,
    and_,
    column,
    func,
    literal_column,
    or_,
    select,
    table,
    true,
)
from sqlalchemy.dialects.sqlite import insert

from relay.guards import Earlier, History
from relay.lifecycle import IN_EFFECT, WAITING, DeliveryEvent
from relay.model import Acceptance, Delivery, DeliveryState
from relay.naming import folded_segment, remote_name
from relay.store.journal import Transaction
from relay.store.moves import move_delivery
from relay.store.rows import delivery_of
from relay.store.schema import FOLDED_SEGMENT, arrivals, deliveries, file_numbers

NEWEST_FIRST: Final = (deliveries.c.last_arrival.desc(), deliveries.c.place.desc())
"""The lists of one segment, the newest first. Those of them that were sent were sent in that order, too."""

IN_LINE: Final = IN_EFFECT - {DeliveryState.HELD}
"""A list in one of these is on its way to the upstream, or there."""

_numbers: Final = table("sqlite_sequence", column("name", String), column("seq", Integer))
"""Where SQLite keeps the last number that it gave in a table, also if its row is no longer there."""

_list_date: Final = func.coalesce(deliveries.c.remote_date, deliveries.c.planned_on, type_=Date())


def same_segment(one: FromClause, other: FromClause) -> ColumnElement[bool]:
    """The condition that two rows are lists of the same segment."""
    return and_(
        one.c.upstream == other.c.upstream,
        one.c.client_domain == other.c.client_domain,
        one.c.segment == other.c.segment,
    )


def of_segment(upstream: str, client_domain: str, segment: str) -> ColumnElement[bool]:
    """The condition that a delivery is a list of this segment (rule D3)."""
    return and_(
        deliveries.c.upstream == upstream,
        deliveries.c.client_domain == client_domain,
        deliveries.c.segment == segment,
    )


def older(one: FromClause, other: FromClause) -> ColumnElement[bool]:
    """The condition that `one` comes before `other`."""
    return or_(
        one.c.last_arrival < other.c.last_arrival,
        and_(one.c.last_arrival == other.c.last_arrival, one.c.place < other.c.place),
    )


def history_of(
    connection: Connection, upstream: str, client_domain: str, segment: str, *, day: date, last_arrival: int
) -> History:
    """Return what is known of a segment to a list whose last arrival has that number, and which is judged on `day`.

    Of the lists in effect it has those of that date and those that came later (rules D4, D5 and D7), newest first; no
    other can matter.
    """
    of_it = of_segment(upstream, client_domain, segment)
    last_sent = connection.execute(
        select(deliveries.c.rows_out, deliveries.c.id)
        .where(of_it, deliveries.c.state == DeliveryState.SENT)
        .order_by(*NEWEST_FIRST)
        .limit(1)
    ).first()
    earlier = _deliveries(
        connection,
        select(deliveries)
        .where(
            of_it,
            deliveries.c.state.in_(IN_EFFECT),
            or_(_list_date == day, deliveries.c.last_arrival > last_arrival),
        )
        .order_by(*NEWEST_FIRST),
    )
    is_new = connection.scalar(select(deliveries.c.id).where(of_it, deliveries.c.state.in_(IN_LINE))) is None
    return History(
        last_sent.rows_out if last_sent else None,
        tuple(map(_earlier, earlier)),
        is_new=is_new,
        similar=_similar(connection, upstream, client_domain, segment) if is_new else (),
        last_sent_id=last_sent.id if last_sent else None,
    )


def _similar(connection: Connection, upstream: str, client_domain: str, segment: str) -> tuple[str, ...]:
    """Return the known names that equal `segment` but for case, blanks, `_` and `-`; a held one is known (rule G10)."""
    known = select(deliveries.c.segment).where(
        deliveries.c.upstream == upstream,
        deliveries.c.client_domain == client_domain,
        literal_column(FOLDED_SEGMENT.text, String) == folded_segment(segment),
        deliveries.c.segment != segment,
        deliveries.c.state.in_(IN_EFFECT),
    )
    return tuple(connection.scalars(known.distinct().order_by(deliveries.c.segment)))


def next_arrival(connection: Connection) -> int:
    """Return the number that the next arrival will have: what came so far is older, and what comes then newer."""
    last = connection.scalar(select(_numbers.c.seq).where(_numbers.c.name == arrivals.name))
    return (last or 0) + 1


def came_before(
    connection: Connection, acceptance: Acceptance, route: str, segments: Collection[str]
) -> list[Delivery]:
    """Return every list of the newest earlier exports of the route in which any of `segments` came."""
    before = {_export_before(connection, acceptance, route, segment) for segment in segments} - {None}
    return _deliveries(connection, select(deliveries).where(deliveries.c.export_id.in_(before)))


def _export_before(connection: Connection, acceptance: Acceptance, route: str, segment: str) -> str | None:
    newest = (
        select(deliveries.c.export_id)
        .where(
            of_segment(acceptance.upstream, acceptance.client_domain, segment),
            deliveries.c.route == route,
            # The export itself has no lists yet: those with its arrival's number were planned, and so came, before.
            deliveries.c.last_arrival <= acceptance.last_arrival,
        )
        .order_by(*NEWEST_FIRST)
    )
    return connection.scalar(newest.limit(1))


def give_names(transaction: Transaction, upstream: str, client_domain: str, day: date, count: int = 1) -> list[str]:
    """Return so many names in a row that were never given before (rules D1, D3 and D13)."""
    numbers = insert(file_numbers).values(upstream=upstream, client_domain=client_domain, day=day, last=count)
    last = transaction.run(
        numbers.on_conflict_do_update(
            index_elements=file_numbers.primary_key, set_={"last": file_numbers.c.last + count}
        ).returning(file_numbers.c.last)
    ).scalar_one()
    return [remote_name(client_domain, day, number) for number in range(last - count + 1, last + 1)]


def supersede_older(transaction: Transaction, queued: Delivery, *, replaces_same_day: bool) -> None:
    """Let `queued`, which has just entered the queue, take the place of its segment's unsent older lists (rule D7)."""
    overtaken = _others(queued).where(
        older(deliveries, _it),
        deliveries.c.state.in_(WAITING),
        true() if replaces_same_day else _list_date != queued.list_date,
    )
    for delivery in _deliveries(transaction.connection, overtaken):
        move_delivery(transaction, delivery, DeliveryEvent.SUPERSEDED, facts={"other": queued.id})


def supersede_if_overtaken(transaction: Transaction, delivery: Delivery) -> Delivery:
    """Let a list whose attempt has just failed yield to one that entered the queue in the meantime (rule D7)."""
    overtaking = _others(delivery).where(
        older(_it, deliveries),
        deliveries.c.state.in_(IN_LINE),
        or_(
            _list_date != delivery.list_date,
            deliveries.c.replaces_same_day,
        ),
    )
    for newer in _deliveries(transaction.connection, overtaking.limit(1)):
        return move_delivery(transaction, delivery, DeliveryEvent.SUPERSEDED, facts={"other": newer.id})
    return delivery


def newer_in_line(connection: Connection, delivery: Delivery) -> Delivery | None:
    """Return a newer list of the segment that is on its way or sent, so that `delivery` must not follow it."""
    newer = _others(delivery).where(older(_it, deliveries), deliveries.c.state.in_(IN_LINE))
    return next(iter(_deliveries(connection, newer.limit(1))), None)


def same_list_in_line(connection: Connection, delivery: Delivery, day: date) -> Delivery | None:
    """Return the newest list in line for `day` if its content is `delivery`'s, so that nothing is to be sent."""
    in_line = _others(delivery).where(deliveries.c.state.in_(IN_LINE), _list_date == day)
    newest = next(iter(_deliveries(connection, in_line.limit(1))), None)
    return newest if newest is not None and newest.sha256 == delivery.sha256 else None


_it: Final = deliveries.alias("it")


def _others(delivery: Delivery) -> Select[Any]:
    """The other lists of the delivery's segment, newest first; in the conditions it is `_it` itself."""
    return (
        select(deliveries)
        .where(_it.c.id == delivery.id, same_segment(deliveries, _it), deliveries.c.id != _it.c.id)
        .order_by(*NEWEST_FIRST)
    )


def _deliveries(connection: Connection, query: Select[Any]) -> list[Delivery]:
    return [delivery_of(row) for row in connection.execute(query).mappings()]


def _earlier(delivery: Delivery) -> Earlier:
    return Earlier(
        delivery_id=delivery.id,
        state=delivery.state,
        list_date=delivery.list_date,
        last_arrival=delivery.last_arrival,
        sha256=delivery.sha256,
        remote_name=delivery.remote_name,
    )
