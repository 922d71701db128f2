"""One upstream's way out: claim what is due, send it, record what came of it, and know when to leave it in peace."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from relay.config import UpstreamSettings
from relay.lifecycle import retry_delay
from relay.model import Delivery, Receipt
from relay.naming import temporary_name
from relay.outbox.patience import Patience
from relay.spool import Spool
from relay.store import Store
from relay.upstream import Draft, Permanence, Scope, Session, Upload, UpstreamError, connect

FIRST_PROBE: Final = timedelta(minutes=5)
LONGEST_PROBE: Final = timedelta(hours=1)

LEASE: Final = timedelta(hours=1)
"""How long a claim says that it holds. Claims are taken back only by a start, and a send that makes no progress ends
itself, so nothing rests on this being long enough."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all lanes share."""

    spool: Spool
    store: Store
    patience: Patience
    random: Callable[[], float]
    now: Callable[[], datetime]
    wake: Callable[[], None]


class Lane:
    """One upstream's way out, with up to `connections` sends at once.

    Whether the upstream is suspended is the store's to know. When to probe it, and that it could not be reached a
    moment ago, is only remembered here: a restart and a reload make new lanes, which try at once.
    """

    def __init__(self, settings: UpstreamSettings, shared: Surroundings) -> None:
        self._settings = settings
        self._shared = shared
        self._at_work: set[asyncio.Task[None]] = set()
        self._retired = False
        self._suspended = False
        self._probe_at = self._peace_until = shared.now()
        self._probe_delay = FIRST_PROBE
        self._setbacks = 0

    @property
    def upstream(self) -> str:
        """Whose lane this is."""
        return self._settings.name

    def retire(self) -> None:
        """Begin nothing more; what is under way comes to its end."""
        self._retired = True

    async def look(self, workers: asyncio.TaskGroup, *, suspended: bool) -> None:
        """Begin what can begin now: sends of what is due or, where the upstream is suspended, a probe."""
        self._suspended = suspended
        if suspended:
            if not self._retired and not self._at_work and self._shared.now() >= self._probe_at:
                self._employ(workers, self._probe())
            return
        while len(self._at_work) < self._settings.connections:
            delivery = await self._claim()
            if delivery is None:
                return
            self._employ(workers, self._send_from(delivery))

    def _employ(self, workers: asyncio.TaskGroup, work: Coroutine[Any, Any, None]) -> None:
        worker = workers.create_task(work)
        self._at_work.add(worker)
        worker.add_done_callback(self._dismiss)

    def _dismiss(self, worker: asyncio.Task[None]) -> None:
        self._at_work.discard(worker)
        self._shared.wake()

    async def _claim(self) -> Delivery | None:
        now = self._shared.now()
        if self._retired or self._suspended or self._shared.patience.ending or now < self._peace_until:
            return None
        return await asyncio.to_thread(self._shared.store.claim_due, now, LEASE, [self._settings.name])

    async def _send_from(self, first: Delivery) -> None:
        """Send a list and, in the same session, every other that is due by then. Any trouble ends the session."""
        delivery: Delivery | None = first
        session: Session | None = None
        async with AsyncExitStack() as connections:
            while delivery is not None:
                claimed_at = self._shared.now()
                try:
                    async with self._shared.patience.bound():
                        session = session or await self._log_in(connections)
                        receipt = await session.publish(self._upload(delivery))
                except TimeoutError:
                    return await self._lay_down(delivery)
                except UpstreamError as error:
                    return await self._set_back(delivery, error)
                await self._record(delivery, receipt, claimed_at)
                delivery = None if session.lost else await self._claim()
        return None

    async def _log_in(self, connections: AsyncExitStack) -> Session:
        return await connections.enter_async_context(connect(self._settings))

    def _upload(self, delivery: Delivery) -> Upload:
        if delivery.remote_name is None:
            raise ValueError(f"{delivery.id} was claimed without a name")
        return Upload(
            draft=Draft(self._shared.spool.draft(delivery), delivery.size, delivery.sha256),
            remote_name=delivery.remote_name,
            temporary_name=temporary_name(delivery.remote_name, delivery.id),
            first_attempt=delivery.attempts <= 1,
        )

    async def _record(self, delivery: Delivery, receipt: Receipt, claimed_at: datetime) -> None:
        self._setbacks = 0
        waited = claimed_at - (delivery.queued_at or claimed_at)
        delays = {"queue": waited, "connect": receipt.connect, "transfer": receipt.transfer}
        seconds = {name: round(delay.total_seconds(), 3) for name, delay in delays.items()}
        await asyncio.to_thread(self._shared.store.sent, delivery.id, receipt, seconds, self._shared.now())

    async def _lay_down(self, delivery: Delivery) -> None:
        """Give a list back that the service's stop has interrupted: the next start goes on with it at once."""
        now = self._shared.now()
        await self._defer(
            delivery, "stopped", "the service stopped while sending", "Nothing to do: the next start sends it.", now
        )

    async def _set_back(self, delivery: Delivery, error: UpstreamError) -> None:
        """Let follow from trouble what its permanence and its scope say."""
        now = self._shared.now()
        if error.permanence is Permanence.TRANSIENT:
            if error.scope is Scope.UPSTREAM:
                self._leave_in_peace(now)
            due_at = now + retry_delay(delivery.attempts, self._shared.random())
            await self._defer(delivery, error.reason, error.detail, error.hint, due_at)
        elif error.scope is Scope.UPSTREAM:
            self._probe_delay = FIRST_PROBE
            await self._suspend(error)
            # It is no fault of the list's, so it loses no time once the upstream is well again.
            await self._defer(delivery, error.reason, error.detail, error.hint, now)
        else:
            await asyncio.to_thread(
                self._shared.store.fail, delivery.id, error.reason, error.detail, error.hint, self._shared.now()
            )

    def _leave_in_peace(self, now: datetime) -> None:
        """Try no other list for a while either: it would fare the same, and use up its patience."""
        if now >= self._peace_until:
            self._setbacks += 1
            self._peace_until = now + retry_delay(self._setbacks, self._shared.random())

    async def _defer(self, delivery: Delivery, reason: str, detail: str, hint: str, due_at: datetime) -> None:
        await asyncio.to_thread(self._shared.store.defer, delivery.id, reason, detail, hint, due_at, self._shared.now())

    async def _probe(self) -> None:
        """See whether a suspended upstream is well again: log in and list its directory."""
        try:
            async with self._shared.patience.bound(), connect(self._settings) as session:
                await session.look()
        except TimeoutError:
            return
        except UpstreamError as error:
            await self._suspend(error)
        else:
            await asyncio.to_thread(self._shared.store.resume, self._settings.name, None, self._shared.now())

    async def _suspend(self, error: UpstreamError) -> None:
        """Send nothing to this upstream until a probe succeeds: the next one later than the one before."""
        now = self._shared.now()
        self._suspended = True
        self._probe_at = now + self._probe_delay
        self._probe_delay = min(self._probe_delay * 2, LONGEST_PROBE)
        await asyncio.to_thread(
            self._shared.store.suspend,
            self._settings.name,
            error.reason,
            error.detail,
            error.hint,
            self._probe_at,
            now,
        )
