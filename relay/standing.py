"""How things stand at one moment: what `relay status` and the report show of configuration, state and disk.

The first line of `relay status` is also what the service manager shows of the service.
"""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from relay.model import (
    Arrival,
    ArrivalState,
    Delivery,
    DeliveryState,
    Export,
    ExportState,
    Freshness,
    Probe,
    Suspension,
)
from relay.spool import Spool

if TYPE_CHECKING:
    from relay.config import Config, RouteSettings, UpstreamSettings
    from relay.store import Store
    from relay.store.freshness import DayVerdict

SHOWN_FOR: Final = timedelta(days=7)
"""A segment of which no list came for so long is only counted, and so is a file that no route wants."""

ALIVE_WITHIN: Final = timedelta(seconds=90)
"""A daemon that has left no word for so long does not turn any more (rule T4)."""

_UNSENT: Final = (
    DeliveryState.HELD,
    DeliveryState.FAILED,
    DeliveryState.DEFERRED,
    DeliveryState.SENDING,
    DeliveryState.QUEUED,
)
"""The states of a list that still waits, the most pressing first."""


@dataclass(frozen=True, slots=True)
class LifeSign:
    """Whether the daemon lives, and in words why that is thought."""

    is_alive: bool
    said: str


@dataclass(frozen=True, slots=True)
class SegmentStanding:
    """One segment: the list that should be live at the upstream, those that wait, and the newest of all."""

    segment: str
    last_sent: Delivery | None
    waiting: tuple[Delivery, ...]
    newest: Delivery

    @property
    def state(self) -> DeliveryState:
        """The state of the list that presses most; where none waits, `sent`, or what became of the newest."""
        if self.waiting:
            return self.waiting[0].state
        return self.newest.state if self.last_sent is None else DeliveryState.SENT

    @property
    def needs_a_person(self) -> bool:
        """Whether one of its lists waits for a decision."""
        return any(it.state in {DeliveryState.HELD, DeliveryState.FAILED} for it in self.waiting)


@dataclass(frozen=True, slots=True)
class RouteStanding:
    """One route; `settings` and `today` are None where lists wait whose route the configuration has lost."""

    name: str
    settings: "RouteSettings | None"
    today: date | None
    last_export: Export | None
    last_accepted: Export | None
    segments: tuple[SegmentStanding, ...]
    older_segments: int
    freshness: "DayVerdict | None"

    @property
    def troubled(self) -> tuple[SegmentStanding, ...]:
        """Its segments of which a list waits for a person."""
        return tuple(it for it in self.segments if it.needs_a_person)

    @property
    def is_well(self) -> bool:
        """Whether nothing of it waits for a person, and nothing is late or missing."""
        is_fresh = self.freshness is None or self.freshness.route in {None, Freshness.OK}
        return is_fresh and self.settings is not None and not self.troubled


@dataclass(frozen=True, slots=True)
class UpstreamStanding:
    """One upstream, why nothing is sent to it, if nothing is, and what a check found there last."""

    settings: "UpstreamSettings"
    suspension: Suspension | None
    probe: Probe | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything at one moment."""

    at: datetime
    running: bool
    routes: tuple[RouteStanding, ...]
    quarantined: tuple[Export, ...]
    gathering: tuple[Export, ...]
    unrouted: tuple[Arrival, ...]
    upstreams: tuple[UpstreamStanding, ...]
    disk_free: int
    disk_total: int

    @property
    def troubled(self) -> tuple[RouteStanding, ...]:
        """The routes that want a person."""
        return tuple(route for route in self.routes if not route.is_well)

    @property
    def waiting(self) -> tuple[Delivery, ...]:
        """Every list that waits."""
        return tuple(it for route in self.routes for segment in route.segments for it in segment.waiting)

    @property
    def undecided(self) -> tuple[Delivery, ...]:
        """Every list that waits for a person."""
        return tuple(it for it in self.waiting if it.state in {DeliveryState.HELD, DeliveryState.FAILED})

    @property
    def findings(self) -> tuple[str, ...]:
        """What a person must act on, in words; none if all is well."""
        states = [it.state for it in self.waiting]
        fresh = [route.freshness.route for route in self.routes if route.freshness]
        found = (
            (fresh.count(Freshness.MISSING), "route misses a list", "routes miss lists"),
            (fresh.count(Freshness.LATE), "route is late", "routes are late"),
            (states.count(DeliveryState.HELD), "list is held", "lists are held"),
            (states.count(DeliveryState.FAILED), "list has failed", "lists have failed"),
            (len(self.quarantined), "export is quarantined", "exports are quarantined"),
            (
                sum(it.suspension is not None for it in self.upstreams),
                "upstream is suspended",
                "upstreams are suspended",
            ),
        )
        return tuple(f"{count} {one if count == 1 else many}" for count, one, many in found if count)

    @property
    def headline(self) -> str:
        """The whole of it in a line."""
        running = "running" if self.running else "not running"
        findings = ", ".join(self.findings) or "nothing waits for a person"
        return f"{self.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, the relay is {running}; {findings}"


def life_sign(spool: Spool, now: datetime) -> LifeSign:
    """Look whether the daemon runs, and whether all of its loops turn. How things stand is another question."""
    if not spool.is_in_use():
        return LifeSign(is_alive=False, said="the relay is not running")
    alive_at = spool.alive_at()
    if alive_at is not None and now - alive_at > ALIVE_WITHIN:
        silent = (now - alive_at).total_seconds()
        return LifeSign(is_alive=False, said=f"the relay is running, but has not turned for {silent:.0f} s")
    return LifeSign(is_alive=True, said="the relay is running")


def gather(config: "Config", store: "Store", now: datetime) -> Standing:
    """Look at everything once. What moves while this looks may be seen before or after its move."""
    waiting = [it for state in _UNSENT for it in store.deliveries(state=state)]
    lost = sorted({it.route for it in waiting} - set(config.routes))
    suspensions, probes = store.suspensions(), store.probes()
    disk = shutil.disk_usage(config.state_dir)
    return Standing(
        at=now,
        running=Spool(config.state_dir).is_in_use(),
        routes=tuple(_route(name, config.routes.get(name), store, waiting, now) for name in (*config.routes, *lost)),
        quarantined=tuple(store.exports(state=ExportState.QUARANTINED)),
        gathering=tuple(store.exports(state=ExportState.GATHERING)),
        unrouted=tuple(it for it in store.arrivals(state=ArrivalState.UNROUTED) if it.landed_at >= now - SHOWN_FOR),
        upstreams=tuple(
            UpstreamStanding(it, suspensions.get(name), probes.get(name)) for name, it in config.upstreams.items()
        ),
        disk_free=disk.free,
        disk_total=disk.total,
    )


def _route(
    name: str, settings: "RouteSettings | None", store: "Store", waiting: Iterable[Delivery], now: datetime
) -> RouteStanding:
    own = [it for it in waiting if it.route == name]
    recent = store.deliveries(route=name, since=now - SHOWN_FOR)
    sent = {} if settings is None else store.last_sent(settings.upstream, settings.client_domain)
    # Another route may feed the same account with Attentive (rule D3); its segments are its own.
    sent = {segment: it for segment, it in sent.items() if it.route == name}
    shown = sorted({it.segment for it in (*recent, *own)})
    return RouteStanding(
        name=name,
        settings=settings,
        today=None if settings is None else settings.day_of(now),
        last_export=next(iter(store.exports(route=name, limit=1)), None),
        last_accepted=next(iter(store.exports(route=name, state=ExportState.ACCEPTED, limit=1)), None),
        segments=tuple(_segment(segment, sent.get(segment), own, recent) for segment in shown),
        older_segments=len(sent.keys() - set(shown)),
        freshness=store.freshness(name, settings.expectation, now) if settings and settings.expectation else None,
    )


def _segment(
    segment: str, last_sent: Delivery | None, waiting: Iterable[Delivery], recent: Sequence[Delivery]
) -> SegmentStanding:
    own = tuple(it for it in waiting if it.segment == segment)
    newest = next((it for it in recent if it.segment == segment), None)
    return SegmentStanding(segment, last_sent, own, newest or own[0])
