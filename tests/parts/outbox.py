"""The outbox on a real store and a real spool, with the stages before it played by the test."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from relay.config import Config, LandingSettings, UpstreamSettings
from relay.model import (
    Acceptance,
    Delivery,
    DeliveryState,
    Draft,
    Fingerprint,
    Landing,
    NewExport,
    Queue,
    Report,
    SegmentCounts,
)
from relay.naming import export_id
from relay.outbox import Outbox
from relay.pulse import Pulse
from relay.spool import Spool, cut
from relay.store import Store

PATIENCE = 20.0
ROUTE = "sirendenim"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = self._steady = datetime(2026, 11, 23, 6, 21, 55, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.now

    def advance(self, by: timedelta) -> None:
        """Let time go by."""
        self.now += by
        self._steady += by

    def set_back(self, by: timedelta) -> None:
        """Set the clock back, as the host does when it has learned the time."""
        self.now -= by

    def steady(self) -> datetime:
        """Tell the time of a clock that nobody sets."""
        return self._steady


class Bench:
    """A state directory with lists to send, and the outbox that sends them."""

    def __init__(self, state_dir: Path) -> None:
        self.clock = Clock()
        self.spool = Spool(state_dir)
        self.spool.prepare([])
        self.store = Store.open(state_dir / "relay.db")
        self._state_dir = state_dir
        self._running: asyncio.Task[None]
        self._planned = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def plan(
        self,
        content: bytes,
        segment: str = "VIP",
        *,
        route: str = ROUTE,
        upstream: str = "attentive",
        stale_after: timedelta = timedelta(hours=48),
        split: int | None = None,
    ) -> Delivery:
        """Do what the stages before do with an export of one segment: its list is queued when this returns.

        With `split`, it goes out as several files of so many rows.
        """
        self._planned += 1
        self.clock.advance(timedelta(seconds=1))
        now, export = self.clock.now, export_id(route, self.clock.now, f"{self._planned:06x}")
        landing = Landing("amperity", f"/uploads/{self._planned}.csv", Fingerprint(self._planned, 0), 1, confirmed=True)
        arrival = self.store.land(landing, now)
        self.store.receive(NewExport(export, route, 1, "0" * 64, "amperity", landing.path), [arrival.id], now)
        counts = SegmentCounts(rows_in=content.count(b"\n"), rows_out=content.count(b"\n"))
        draft = Draft(1, segment, counts, "1.csv", len(content), hashlib.sha256(content).hexdigest())
        directory = self.spool.export(route, export) / "drafts"
        directory.mkdir(parents=True)
        (directory / "1.csv").write_bytes(content)
        acceptance = Acceptance(
            settings_digest="",
            list_date=now.date(),
            upstream=upstream,
            client_domain=route,
            landed_at=now,
            last_arrival=arrival.id,
            stale_at=now + stale_after,
            delays={"landing": 2.0, "rewrite": 0.5},
            cuts={1: cut(directory / "1.csv", split)} if split else {},
        )
        report = Report((draft,), SegmentCounts(), {}, {}, 0, {})
        return self.store.accept(export, report, acceptance, lambda *_: Queue(), now)[0]

    def now(self, delivery: Delivery) -> Delivery:
        """A delivery as it is by now."""
        found = self.store.delivery(delivery.id)
        assert found is not None
        return found

    def events(self) -> list[str]:
        """Every transition since the beginning, in order, without those of the stages before."""
        events = [transition.event for transition in self.store.unlogged()]
        return [event for event in events if event.startswith(("delivery.", "upstream."))]

    def taken(self) -> list[str]:
        """The ids of the lists that were taken in hand, in order."""
        return [transition.subject for transition in self.store.unlogged() if transition.event == "delivery.sending"]

    def config(self, *upstreams: UpstreamSettings) -> Config:
        """A configuration with these upstreams."""
        return Config(
            state_dir=self._state_dir,
            landing=LandingSettings(),
            accounts={},
            upstreams={upstream.name: upstream for upstream in upstreams},
            routes={},
        )

    @asynccontextmanager
    async def outbox(self, *upstreams: UpstreamSettings) -> AsyncIterator[Outbox]:
        """Have the outbox run; at the end it is stopped at once, and what it had in hand given back."""
        outbox = Outbox(
            self.config(*upstreams),
            self.spool,
            self.store,
            random=lambda: 0.0,
            now=self.clock,
            steady=self.clock.steady,
            pulse=Pulse(),
        )
        self._running = asyncio.create_task(outbox.run())
        try:
            yield outbox
        finally:
            await outbox.drain(timedelta(0))
            with suppress(asyncio.CancelledError):
                await self._running

    async def crash(self) -> None:
        """End the outbox as a kill would: nothing is given back."""
        self._running.cancel()
        await asyncio.wait([self._running])

    async def look(self, outbox: Outbox) -> None:
        """Have the outbox look whether anything is due, and return when it has looked."""
        # It notes at the beginning of a look that it is awake; the second beginning is the first one's end.
        for _ in range(2):
            outbox.wake.set()
            await self.until(lambda: not outbox.wake.is_set(), "the outbox looks")

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until `condition` holds; a test that waits in vain fails with `what`."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not await asyncio.to_thread(condition):  # noqa: ASYNC110  the store wakes nobody
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"waited in vain until {what}; so far: {self.events()}") from None

    async def until_all(self, state: DeliveryState, *deliveries: Delivery) -> None:
        """Wait until each of `deliveries` is in `state`."""
        await self.until(lambda: all(self.now(it).state is state for it in deliveries), f"each is {state}")
