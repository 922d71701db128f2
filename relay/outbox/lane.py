"""One upstream's way out: how many senders it has at work, when it is probed, when it is left in peace."""

import asyncio
from collections.abc import Collection, Coroutine
from datetime import datetime, timedelta
from typing import Any, Final

from relay.config import UpstreamSettings
from relay.log import Event, emit
from relay.model import Delivery
from relay.outbox.health import Health
from relay.outbox.sender import Sender, Surroundings, lease_of
from relay.upstream import Session, UpstreamError, connect

TIDY_EVERY: Final = timedelta(hours=1)
"""How often the upstream's directory is looked through for temporary files that the relay has left there."""


class Lane:
    """One upstream's way out, with up to `connections` sends at once."""

    def __init__(self, settings: UpstreamSettings, shared: Surroundings) -> None:
        self._settings = settings
        self._shared = shared
        self._health = Health(shared.steady())
        self._at_work: dict[asyncio.Task[None], Sender | None] = {}
        self._retired = False
        self._last_route = ""
        self._tidy_at: datetime = shared.steady()
        self._warned_of: set[str] = set()

    @property
    def upstream(self) -> str:
        """Whose lane this is."""
        return self._settings.name

    @property
    def over(self) -> bool:
        """Whether it is retired and the last of its work has come to its end."""
        return self._retired and not self._at_work

    def retire(self) -> None:
        """Begin nothing more; what is under way comes to its end."""
        self._retired = True

    async def look(self, workers: asyncio.TaskGroup, *, suspended: bool) -> None:
        """Begin what can begin now: sends of what is due or, where the upstream is suspended, a probe."""
        self._health.suspended = suspended
        for sender in tuple(self._at_work.values()):
            if sender is not None:
                await sender.renew()
        if suspended:
            if not self._retired and not self._at_work and self._health.wants_probe(self._shared.steady()):
                self._employ(workers, self._probe(), None)
            return
        while len(self._at_work) < self._settings.connections and (delivery := await self._claim()):
            sender = Sender(self._settings, self._shared, self._health, self)
            self._employ(workers, sender.run(delivery), sender)

    async def cut_off(self, expired: Collection[str]) -> None:
        """Let go of the lists whose claims have run out: they hang, and somebody else is to take over (rule U10)."""
        hanging = [work for sender in self._at_work.values() if sender for work in sender.let_go(expired)]
        if hanging:
            await asyncio.wait(hanging)

    def turn(self) -> str | None:
        """Say which route had its turn last, so that the next has it (rule D11); None where nothing may be begun."""
        idle = self._retired or self._shared.patience.ending or not self._health.allows_sending(self._shared.steady())
        return None if idle else self._last_route

    def took(self, claimed: Delivery) -> None:
        """Note whose turn it was now."""
        self._last_route = claimed.route

    async def _claim(self) -> Delivery | None:
        if (last_route := self.turn()) is None:
            return None
        claimed = await asyncio.to_thread(
            self._shared.store.claim_due,
            self._shared.now(),
            lease_of(self._settings),
            [self.upstream],
            after_route=last_route,
        )
        if claimed is not None:
            self.took(claimed)
        return claimed

    async def greet(self, session: Session) -> None:
        """Clear away, once in a while, what the relay itself has left at the upstream (rule U3)."""
        if self._shared.steady() < self._tidy_at:
            return
        self._tidy_at = self._shared.steady() + TIDY_EVERY
        try:
            present = await session.directory.sizes()
        except UpstreamError:
            # Where it may not be listed there is nothing to be done; a lost connection is met again in a moment.
            return
        for name in await asyncio.to_thread(self._shared.store.leftovers, self.upstream, present):
            await session.directory.clear_away(name)

    def notice(self, session: Session) -> None:
        """Warn, once, of host keys that the upstream has beside the pinned ones (rule U6)."""
        for key in session.unpinned_keys:
            if key not in self._warned_of:
                self._warned_of.add(key)
                emit(Event.UPSTREAM_HOST_KEY_OFFERED, upstream=self.upstream, detail=key, hint=_PIN_IT)

    async def suspend(self, error: UpstreamError) -> None:
        """Send nothing to this upstream until a probe succeeds: the next one later than the one before."""
        now = self._shared.now()
        probe_at = now + self._health.suspend(self._shared.steady())
        suspend = self._shared.store.suspend
        await asyncio.to_thread(suspend, self.upstream, error.reason, error.detail, error.hint, probe_at, now)

    def _employ(self, workers: asyncio.TaskGroup, work: Coroutine[Any, Any, None], sender: Sender | None) -> None:
        worker = workers.create_task(work)
        self._at_work[worker] = sender
        worker.add_done_callback(self._dismiss)

    def _dismiss(self, worker: asyncio.Task[None]) -> None:
        self._at_work.pop(worker)
        self._shared.wake()

    async def _probe(self) -> None:
        """See whether a suspended upstream is well again: log in and list its directory."""
        try:
            async with self._shared.patience.bound(), connect(self._settings) as session:
                await session.directory.sizes()
        except TimeoutError:
            return
        except UpstreamError as error:
            await self.suspend(error)
        else:
            await asyncio.to_thread(self._shared.store.resume, self.upstream, None, self._shared.now())


_PIN_IT: Final = (
    "Ask the upstream's operator whether the key is theirs, and add its line to `known_hosts` beside the current one: "
    "then nothing stops when they change over."
)
