"""Stage 3: whatever is due goes out, each upstream by itself, until a stop asks for an end."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from relay.config import Config
from relay.outbox.lane import Lane
from relay.outbox.patience import Patience
from relay.outbox.sender import Surroundings
from relay.pulse import Pulse
from relay.spool import Spool
from relay.store import Store

LOOK_EVERY: Final = timedelta(seconds=1)
"""An operator's command is another process and cannot wake this one."""


class Outbox:
    """Sends what is due. Everything it must not forget is in the store, so that a kill at any moment costs time only.

    Args:
        config: whose upstreams are sent to.
        spool: where the drafts lie.
        store: what is due, and what became of it.
        random: returns a number in [0, 1), to spread retries.
        now: the clock, aware UTC.
        steady: a clock that nobody sets (`SteadyClock`).
        pulse: told at each look.
    """

    def __init__(
        self,
        config: Config,
        spool: Spool,
        store: Store,
        *,
        random: Callable[[], float],
        now: Callable[[], datetime],
        steady: Callable[[], datetime],
        pulse: Pulse,
    ) -> None:
        self.wake = asyncio.Event()
        self._patience = Patience()
        self._pulse = pulse
        self._shared = Surroundings(spool, store, self._patience, random, now, steady, self.wake.set)
        self._lanes: list[Lane] = []
        self._ended = asyncio.Event()
        self._ended.set()
        self.reload(config)

    def reload(self, config: Config) -> None:
        """Use these upstreams from now on; one that is suspended is probed at once."""
        for lane in self._lanes:
            lane.retire()
        self._lanes += [Lane(settings, self._shared) for settings in config.upstreams.values()]
        self.wake.set()

    async def run(self) -> None:
        """Send until cancelled or drained: woken when something was queued, and looking every second besides."""
        self._ended.clear()
        self._pulse.turn("outbox")
        try:
            await asyncio.to_thread(self._shared.store.recover, self._shared.now(), everything=True)
            async with asyncio.TaskGroup() as workers:
                while not self._patience.ending:
                    self.wake.clear()
                    self._pulse.turn("outbox", LOOK_EVERY)
                    await self._look(workers)
                    await self._sleep()
        finally:
            self._ended.set()

    async def drain(self, within: timedelta) -> None:
        """Begin nothing more, and return when nothing is under way: done, or after `within` given back as deferred."""
        self._patience.end(within.total_seconds())
        self.wake.set()
        await self._ended.wait()

    async def _look(self, workers: asyncio.TaskGroup) -> None:
        store = self._shared.store
        await self._take_over()
        await asyncio.to_thread(store.hold_stale, self._shared.now())
        suspended = await asyncio.to_thread(store.suspensions)
        self._lanes = [lane for lane in self._lanes if not lane.over]
        for lane in self._lanes:
            await lane.look(workers, suspended=lane.upstream in suspended)

    async def _take_over(self) -> None:
        """Take back what hangs: claims that have run out are due again at once (rule U10)."""
        now = self._shared.now()
        expired = await asyncio.to_thread(self._shared.store.expired, now)
        if expired:
            for lane in self._lanes:
                await lane.cut_off(expired)
            await asyncio.to_thread(self._shared.store.recover, now)

    async def _sleep(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY.total_seconds()):
                await self.wake.wait()
