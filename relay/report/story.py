"""What the report tells: gathered from the configuration and the history, ready to be laid out."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median
from typing import Final

from relay.config import Config, RouteSettings
from relay.log import Event
from relay.model import Delivery, DeliveryState, ExportState, Freshness, Transition
from relay.standing import Standing, gather
from relay.store import Store

TOLD: Final = timedelta(days=90)

_DECISIONS: Final = (
    Event.DELIVERY_HELD,
    Event.DELIVERY_RELEASED,
    Event.DELIVERY_DISCARDED,
    Event.DELIVERY_RESTORED,
    Event.DELIVERY_REQUEUED,
    Event.DELIVERY_FAILED,
    Event.EXPORT_QUARANTINED,
    Event.EXPORT_REQUEUED,
    Event.EXPORT_DISCARDED,
)
_MOST_DECISIONS: Final = 200


@dataclass(frozen=True, slots=True)
class SegmentStory:
    """One segment: every list of it that was sent, the oldest first."""

    name: str
    sent: tuple[Delivery, ...]

    @property
    def most(self) -> int:
        """The rows of the longest list."""
        return max((it.counts.rows_out for it in self.sent), default=0)

    @property
    def last(self) -> Delivery:
        """The list last sent."""
        return self.sent[-1]


@dataclass(frozen=True, slots=True)
class RouteStory:
    """One route: its segments, what was rejected by which reason, which dates were fresh, and how long lists took."""

    name: str
    client_domain: str
    segments: tuple[SegmentStory, ...]
    rejects: tuple[tuple[str, int], ...]
    rows_in: int
    calendar: tuple[tuple[date, Freshness | None], ...]
    usual_minutes: float | None
    longest_minutes: float | None


@dataclass(frozen=True, slots=True)
class Story:
    """Everything, as of one moment."""

    at: datetime
    since: date
    standing: Standing
    routes: tuple[RouteStory, ...]
    decisions: tuple[Transition, ...]


def tell(config: Config, store: Store, now: datetime) -> Story:
    """Gather what happened in the last 90 days, and how things stand now."""
    since = now - TOLD
    return Story(
        at=now,
        since=since.date(),
        standing=gather(config, store, now),
        routes=tuple(_route(route, store, since, now) for route in config.routes.values()),
        decisions=tuple(store.happened([it.value for it in _DECISIONS], since, limit=_MOST_DECISIONS)),
    )


def _route(route: RouteSettings, store: Store, since: datetime, now: datetime) -> RouteStory:
    ever_sent = store.deliveries(route=route.name, state=DeliveryState.SENT)[::-1]
    sent = [it for it in ever_sent if it.sent_at and it.sent_at >= since]
    accepted = store.exports(route=route.name, state=ExportState.ACCEPTED, since=since)
    reports = [it.report for it in accepted if it.report]
    rejects = sum((Counter(it.reasons) for it in reports), Counter[str]())
    minutes = [(it.sent_at - it.landed_at).total_seconds() / 60 for it in sent if it.sent_at]
    return RouteStory(
        name=route.name,
        client_domain=route.client_domain,
        segments=tuple(_segments(sent)),
        rejects=tuple(rejects.most_common()),
        rows_in=sum(it.totals.rows_in for it in reports),
        calendar=_calendar(route, store, now) if route.expectation else (),
        usual_minutes=median(minutes) if minutes else None,
        longest_minutes=max(minutes, default=None),
    )


def _segments(sent: Sequence[Delivery]) -> Iterable[SegmentStory]:
    oldest_first = sorted(sent, key=lambda it: it.sent_at or it.planned_at)
    for name in sorted({it.segment for it in sent}):
        yield SegmentStory(name, tuple(it for it in oldest_first if it.segment == name))


def _calendar(route: RouteSettings, store: Store, now: datetime) -> tuple[tuple[date, Freshness | None], ...]:
    today = route.day_of(now)
    first = today - TOLD
    verdicts = store.freshness_since(route.name, first)
    days = (first + timedelta(days=number) for number in range(TOLD.days + 1))
    return tuple((day, verdicts.get(day)) for day in days)
