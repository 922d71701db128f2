"""Verbs of freshness: the verdict of each date, given once, and kept so that no restart repeats or forgets one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, and_, exists, or_, select, union_all
from sqlalchemy.dialects.sqlite import insert

from relay.freshness import SENT_LATELY, Expectation, Outlook
from relay.log import Event
from relay.model import DeliveryState, ExportState, Freshness
from relay.store.journal import Transaction
from relay.store.schema import deliveries, exports, freshness
from relay.store.segments import same_segment
from relay.store.verbs import Verbs

_LOOK_BACK: Final = timedelta(days=7)
"""Of how many dates the verdict is made up for after the service was down."""

_LINES: Final = {it: Event(f"freshness.{it}") for it in Freshness}
_HINTS: Final = {
    Freshness.LATE: "It may still come: `relay status` shows whether a list waits or is held.",
    Freshness.MISSING: "`relay status` shows whether a list waits or is held; if none came, ask why.",
}


@dataclass(frozen=True, slots=True)
class DayVerdict:
    """How a date stands: of the route as a whole and of each segment expected. None where it is not judged yet."""

    day: date
    deadline: datetime
    route: Freshness | None
    segments: Mapping[str, Freshness]


class FreshnessVerbs(Verbs):
    """Whether lists went out in time."""

    def judge_freshness(self, route: str, expectation: Expectation, now: datetime) -> int:
        """Give every verdict on a route that is due and was not given before, and return how many there were.

        A route that was never watched is watched from now on: its first verdict is that of the next deadline. After a
        time without the service, the dates of the last week are made up for.
        """
        with self._database.reading() as connection:
            watched = _newest_day(connection, route)
            if watched is not None and not any(_due(connection, route, expectation, watched, now)):
                return 0
        with self._database.transaction(now) as transaction:
            watched = _newest_day(transaction.connection, route)
            if watched is None:
                _write(transaction, route, expectation.due(now), None, None)
                return 0
            given = list(_due(transaction.connection, route, expectation, watched, now))
            for outlook, segment, verdict in given:
                _give(transaction, route, outlook, segment, verdict)
            return len(given)

    def freshness(self, route: str, expectation: Expectation, now: datetime) -> DayVerdict | None:
        """Return how the newest date stands whose deadline has come; None if the route was not watched by then.

        What would be said now counts as said, so that the answer is right while no service runs, too.
        """
        with self._database.reading() as connection:
            watched = _newest_day(connection, route)
            if watched is None:
                return None
            day = max(expectation.due(now), watched)
            verdicts = _given(connection, route, day)
            verdicts |= {
                segment: verdict
                for outlook, segment, verdict in _due(connection, route, expectation, watched, now)
                if outlook.day == day
            }
        segments = {segment: verdict for segment, verdict in verdicts.items() if segment is not None and verdict}
        return DayVerdict(day, expectation.deadline(day), verdicts.get(None), segments)

    def freshness_since(self, route: str, day: date) -> dict[date, Freshness]:
        """Return the route's verdicts from `day` on, by their date."""
        query = select(freshness.c.day, freshness.c.verdict).where(
            freshness.c.route == route,
            freshness.c.segment == "",
            freshness.c.day >= day,
            freshness.c.verdict.is_not(None),
        )
        with self._database.reading() as connection:
            return {row.day: row.verdict for row in connection.execute(query.order_by(freshness.c.day))}


def _due(
    connection: Connection, route: str, expectation: Expectation, watched: date, now: datetime
) -> Iterator[tuple[Outlook, str | None, Freshness]]:
    """Yield what is to be said of a route, from the last date that was looked at on."""
    newest = expectation.due(now)
    day = max(watched, newest - _LOOK_BACK)
    while day <= newest:
        before = _given(connection, route, day)
        settled = None in before and before[None] in {None, Freshness.OK}
        if not settled:
            outlook = _outlook(connection, route, expectation, day, {it: was for it, was in before.items() if was})
            for segment, verdict in outlook.verdicts(now):
                yield outlook, segment, verdict
        day += timedelta(days=1)


def _outlook(
    connection: Connection,
    route: str,
    expectation: Expectation,
    day: date,
    before: Mapping[str | None, Freshness],
) -> Outlook:
    since, until = expectation.window(day)
    deadline = expectation.deadline(day)
    lately = deadline - SENT_LATELY
    # What is expected of a date is settled by its first verdict; where that was nothing, by what comes after all.
    expected = (
        {segment for segment in before if segment is not None}
        or set(expectation.segments)
        or _went_out(connection, route, lately, deadline)
        or _went_out(connection, route, lately, until)
    )
    fresh = _went_out(connection, route, since, until)
    segments = {segment: segment in fresh for segment in sorted(expected)}
    return Outlook(day, deadline, expectation.grace, segments, before)


def _newest_day(connection: Connection, route: str) -> date | None:
    newest = select(freshness.c.day).where(freshness.c.route == route).order_by(freshness.c.day.desc())
    return connection.scalar(newest.limit(1))


def _given(connection: Connection, route: str, day: date) -> dict[str | None, Freshness | None]:
    """Return the verdicts of a date so far; that of the date from which on the route is watched is None."""
    query = select(freshness.c.segment, freshness.c.verdict).where(freshness.c.route == route, freshness.c.day == day)
    return {row.segment or None: row.verdict for row in connection.execute(query)}


_original: Final = deliveries.alias("original")
_REPEATS_WHAT_WAS_SENT: Final = and_(
    deliveries.c.state == DeliveryState.DUPLICATED,
    exists().where(
        same_segment(_original, deliveries),
        _original.c.sha256 == deliveries.c.sha256,
        _original.c.state == DeliveryState.SENT,
    ),
)
"""The condition that a list was found identical to one that went out; one that is merely held does not count."""


def _went_out(connection: Connection, route: str, since: datetime, until: datetime) -> set[str]:
    """Return the segments of which, after `since` and up to `until`, a list was sent or found to be the one sent."""
    sent = select(deliveries.c.segment).where(
        deliveries.c.route == route, deliveries.c.sent_at > since, deliveries.c.sent_at <= until
    )
    repeated = select(deliveries.c.segment).where(
        deliveries.c.route == route,
        deliveries.c.planned_at > since,
        deliveries.c.planned_at <= until,
        _REPEATS_WHAT_WAS_SENT,
    )
    exported_again = (
        select(deliveries.c.segment)
        .join(exports, exports.c.original_id == deliveries.c.export_id)
        .where(
            exports.c.route == route,
            exports.c.state == ExportState.DUPLICATED,
            exports.c.received_at > since,
            exports.c.received_at <= until,
            or_(deliveries.c.state == DeliveryState.SENT, _REPEATS_WHAT_WAS_SENT),
        )
    )
    return set(connection.scalars(union_all(sent, repeated, exported_again)))


def _give(transaction: Transaction, route: str, outlook: Outlook, segment: str | None, verdict: Freshness) -> None:
    _write(transaction, route, outlook.day, segment, verdict)
    facts = {
        "route": route,
        "segment": segment,
        "state": verdict,
        "list_date": outlook.day,
        "expected_at": outlook.deadline,
        "detail": _detail(outlook) if segment is None else None,
        "hint": _HINTS.get(verdict),
    }
    subject = f"freshness/{route}/{segment}" if segment else f"freshness/{route}"
    transaction.record(_LINES[verdict], subject, outlook.before.get(segment), facts)


def _detail(outlook: Outlook) -> str:
    if not outlook.segments:
        return f"nothing was sent for {SENT_LATELY.days} days"
    unfresh = [segment for segment, fresh in outlook.segments.items() if not fresh]
    count = f"{len(outlook.segments) - len(unfresh)} of {len(outlook.segments)} segments are fresh"
    return f"{count}, and not: {', '.join(f'“{it}”' for it in unfresh)}" if unfresh else count


def _write(transaction: Transaction, route: str, day: date, segment: str | None, verdict: Freshness | None) -> None:
    values = {"verdict": verdict, "judged_at": transaction.now}
    row = insert(freshness).values(route=route, day=day, segment=segment or "", **values)
    transaction.run(row.on_conflict_do_update(index_elements=freshness.primary_key, set_=values))
