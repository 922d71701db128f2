"""The running of the second stage.

A scan at the start, every minute and after each hint claims what has settled (`assemble`) and sees to the exports that
wait for more files (`gather`); each received export is rewritten and planned (`accept`, `plan`). Hints come from the
landing zone and from the file system (`watch`).
"""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from relay.config import Config
from relay.floor import Floor
from relay.intake.accept import Acceptor
from relay.intake.assemble import Assembler
from relay.intake.turns import Turns
from relay.intake.watch import watching
from relay.model import Export, ExportState
from relay.pulse import Pulse
from relay.rewrite.child import NoRoom
from relay.spool import Spool
from relay.store import Store

_LOOK_EVERY: Final = timedelta(seconds=1)
"""How often operators' decisions on exports, made in another process, are looked for."""

_REWRITES_AT_ONCE: Final = 2

_SCAN: Final = "intake.scan"

_REST_AFTER_SCAN: Final = 4
"""So many times as long as a scan took, the next one that is only hinted at waits: a client that uploads thousands of
files hints as often, and each scan looks at all of them."""

_LONGEST_REST: Final = timedelta(seconds=2)

_FIRST_WAIT_FOR_ROOM: Final = timedelta(seconds=2)
_LONGEST_WAIT_FOR_ROOM: Final = timedelta(minutes=5)


class Intake:
    """The second stage. Set `wake` when a file may have landed."""

    def __init__(
        self,
        config: Config,
        spool: Spool,
        store: Store,
        *,
        planned: Callable[[], None],
        floor: Floor,
        now: Callable[[], datetime],
        pulse: Pulse,
    ) -> None:
        self._config = config
        self._spool = spool
        self._store = store
        self._planned = planned
        self._floor = floor
        self._now = now
        self._pulse = pulse
        self._assembler = Assembler(config, spool, store, now=now, received=partial(pulse.turn, _SCAN))
        self._acceptor = Acceptor(spool, store, now=now)
        self._received = asyncio.Event()
        self._room = asyncio.Semaphore(_REWRITES_AT_ONCE)
        self._turns = Turns()
        self.wake = asyncio.Event()

    def reload(self, config: Config) -> None:
        """Use `config` for every file and export that is looked at from now on."""
        self._config = config
        self._assembler.reload(config)
        self.wake.set()

    async def run(self) -> None:
        """Work until cancelled. A rewrite in hand is cut off then, and made again after the next start."""
        with watching(self._spool.landing_zone, self.wake.set):
            async with asyncio.TaskGroup() as loops:
                loops.create_task(self._scan_for_ever())
                loops.create_task(self._settle_for_ever())

    async def _scan_for_ever(self) -> None:
        while True:
            self._pulse.turn(_SCAN)
            self.wake.clear()
            began = time.monotonic()
            scan = await asyncio.to_thread(self._assembler.scan)
            if scan.received:
                self._received.set()
            took = timedelta(seconds=time.monotonic() - began)
            until = self._until(scan.look_again_at)
            self._pulse.turn(_SCAN, _LONGEST_REST + until)
            await asyncio.sleep(min(took * _REST_AFTER_SCAN, _LONGEST_REST).total_seconds())
            await _wait(self.wake, until)

    def _until(self, look_again_at: datetime | None) -> timedelta:
        longest = self._config.landing.scan_every
        if look_again_at is None:
            return longest
        return max(timedelta(), min(look_again_at - self._now(), longest))

    async def _settle_for_ever(self) -> None:
        """Start settling every received export once, in order of receipt."""
        async with asyncio.TaskGroup() as settling:
            in_hand: set[str] = set()
            asked_for: list[str] = []
            while True:
                self._pulse.turn("intake.settle", _LOOK_EVERY)
                self._received.clear()
                if (asked := await asyncio.to_thread(self._store.taken_as_whole)) != asked_for:
                    asked_for = asked
                    self.wake.set()
                for export in await asyncio.to_thread(self._store.received_exports):
                    if export.id not in in_hand:
                        in_hand.add(export.id)
                        settling.create_task(self._settle(export, in_hand))
                await _wait(self._received, _LOOK_EVERY)

    async def _settle(self, export: Export, in_hand: set[str]) -> None:
        wait = _FIRST_WAIT_FOR_ROOM
        while not await self._has_settled(export):
            await asyncio.sleep(wait.total_seconds())
            wait = min(wait * 2, _LONGEST_WAIT_FOR_ROOM)
        in_hand.discard(export.id)
        self._planned()

    async def _has_settled(self, export: Export) -> bool:
        """Settle an export, unless the disk has no room for its rewrite (rule T2); smaller ones go first then."""
        try:
            async with self._turns.taken(lambda: self._config.routes.get(export.route)) as route, self._room:
                # The list of what waits may be older than the end of the one that had this export in hand before.
                now = await asyncio.to_thread(self._store.export, export.id)
                if now is not None and now.state is ExportState.RECEIVED:
                    await self._acceptor.settle(export, route)
        except NoRoom as trouble:
            self._floor.found_no_room(export.id, trouble.hint)
            return False
        self._floor.found_room(export.id)
        return True


async def _wait(event: asyncio.Event, longest: timedelta) -> None:
    """Wait until `event` is set, but not longer than `longest`."""
    try:
        async with asyncio.timeout(longest.total_seconds()):
            await event.wait()
    except TimeoutError:
        return
