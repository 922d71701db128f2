"""One connection's work: send a list and every other that is due, record what came of each, let follow what must."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

from relay.config import UpstreamSettings
from relay.lifecycle import retry_delay
from relay.model import Delivery, Receipt, Slice
from relay.naming import temporary_name
from relay.outbox.health import Health
from relay.outbox.patience import Patience
from relay.spool import Spool
from relay.store import Store
from relay.upstream import (
    Draft,
    Permanence,
    Scope,
    Session,
    StaleSessionError,
    Upload,
    UpstreamError,
    connect,
)

_NOTHING_TO_DO: Final = "Nothing to do: it is sent over another one."

_BEYOND_DEADLINES: Final = timedelta(minutes=5)
"""How much longer a claim holds than the longest wait that the upstream's deadlines allow."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all lanes share."""

    spool: Spool
    store: Store
    patience: Patience
    random: Callable[[], float]
    now: Callable[[], datetime]
    steady: Callable[[], datetime]
    wake: Callable[[], None]


def lease_of(settings: UpstreamSettings) -> timedelta:
    """Return how long a claim holds without progress; whatever makes none for so long is taken over (rule U10)."""
    return settings.connect_timeout + settings.stall_timeout + _BEYOND_DEADLINES


class Employer(Protocol):
    """Whom a sender works for."""

    def turn(self) -> str | None:
        """Say which route had its turn last; None where no further list may be begun."""

    def took(self, claimed: Delivery | None) -> None:
        """Note whose turn it was now."""

    async def greet(self, session: Session) -> None:
        """Do what is due at the beginning of a session."""

    def notice(self, session: Session) -> None:
        """Look at what a session has learned of the upstream."""

    async def suspend(self, error: UpstreamError) -> None:
        """Send nothing more until the upstream is well."""


class Sender:
    """Sends lists over one connection, until nothing more is due or there is trouble."""

    def __init__(self, settings: UpstreamSettings, shared: Surroundings, health: Health, employer: Employer) -> None:
        self._settings = settings
        self._shared = shared
        self._health = health
        self._employer = employer
        self._connections = AsyncExitStack()
        self._session: Session | None = None
        self._in_hand: Delivery | None = None
        self._uploading: Upload | None = None
        self._lease_until = self._answered_at = shared.now()
        self._answers = 0

    @property
    def in_hand(self) -> str | None:
        """The id of the list that is being sent."""
        return self._in_hand.id if self._in_hand else None

    async def run(self, first: Delivery) -> None:
        """Send a list and, in the same session, every other that is due by then. Any trouble ends the session."""
        async with self._connections:
            delivery: Delivery | None = first
            while delivery is not None:
                self._in_hand, self._uploading = delivery, None
                self._answered_at = self._shared.now()
                self._lease_until = self._answered_at + lease_of(self._settings)
                delivery = await self._send(delivery)

    async def renew(self) -> None:
        """Have the claim hold for a lease from the last answer on; called often, and written down now and then."""
        if self._in_hand is None:
            return
        now, lease = self._shared.now(), lease_of(self._settings)
        answers = self._session.answers if self._session else 0
        if answers != self._answers:
            self._answers, self._answered_at = answers, now
        lease_until = self._answered_at + lease
        if lease_until - self._lease_until >= lease / 2:
            self._lease_until = lease_until
            await asyncio.to_thread(self._shared.store.renew, self._in_hand.id, lease_until, now)

    async def _send(self, delivery: Delivery) -> Delivery | None:
        """Send one list, record what came of it, and return the next to send in this session, if there is one."""
        claimed_at = self._shared.now()
        try:
            receipt = await self._publish_all(delivery)
        except TimeoutError:
            await self._lay_down(self._in_hand or delivery)
            return None
        except UpstreamError as error:
            await self._set_back(self._in_hand or delivery, error)
            return None
        return None if receipt is None else await self._record(delivery, receipt, claimed_at)

    async def _publish_all(self, delivery: Delivery) -> Receipt | None:
        """Publish every file of a list that the upstream does not have yet, in order (rule D13).

        Returns:
            The receipt of the last one; None where somebody else has taken the list over meanwhile.
        """
        if delivery.files == 1:
            return await self._publish(delivery, self._upload_whole(delivery))
        connect = transfer = timedelta()
        slices = await asyncio.to_thread(self._shared.store.slices, delivery.id)
        for it in slices[delivery.files_sent : -1]:
            receipt = await self._publish(delivery, self._upload_of(delivery, it))
            connect, transfer = connect + receipt.connect, transfer + receipt.transfer
            now = self._shared.now()
            moved = await asyncio.to_thread(self._shared.store.slice_sent, delivery.id, receipt, delivery.attempts, now)
            if moved is None:
                return None
            self._in_hand, self._uploading = moved, None
            delivery = moved
        receipt = await self._publish(delivery, self._upload_of(delivery, slices[-1]))
        return replace(receipt, connect=connect + receipt.connect, transfer=transfer + receipt.transfer)

    async def _publish(self, delivery: Delivery, upload: Upload) -> Receipt:
        """Publish a file over the session that there is, or a fresh one where that has ended meanwhile."""
        begin_directly = partial(self._shared.store.begin_directly, delivery.id, upload.remote_name)
        note_direct = partial(asyncio.to_thread, begin_directly, self._shared.now())
        self._uploading = upload
        async with self._shared.patience.bound():
            while True:
                session = self._session or await self._log_in()
                try:
                    receipt = await session.publish(upload, note_direct)
                except StaleSessionError:
                    await self._connections.aclose()
                    self._session = None
                else:
                    self._employer.notice(session)
                    return receipt

    async def _log_in(self) -> Session:
        session = self._session = await self._connections.enter_async_context(connect(self._settings))
        await self._employer.greet(session)
        return session

    def _upload_whole(self, delivery: Delivery) -> Upload:
        if delivery.remote_name is None:
            raise ValueError(f"{delivery.id} was claimed without a name")
        draft = Draft(self._shared.spool.draft(delivery), delivery.size, delivery.sha256)
        return _upload(delivery, draft, delivery.remote_name, was_begun=delivery.attempts > 1)

    def _upload_of(self, delivery: Delivery, it: Slice) -> Upload:
        """Return the upload of one of several files: the first that the upstream does not have.

        What an earlier attempt has left is that file's only if it was begun before; `unanswered` is never another's.
        """
        was_begun = it.first_attempt is not None and it.first_attempt < delivery.attempts
        draft = Draft(self._shared.spool.draft(delivery), it.size, it.sha256, it.offset)
        return _upload(delivery, draft, it.remote_name, was_begun=was_begun)

    def _unanswered(self, delivery: Delivery) -> str | None:
        """What the next attempt is to know of this one; where this one made no request, what it knew itself."""
        if self._session is None or self._uploading is None:
            return delivery.unanswered
        return self._session.unanswered_of(self._uploading)

    async def _record(self, delivery: Delivery, receipt: Receipt, claimed_at: datetime) -> Delivery | None:
        """Record that a list is sent and, in the same transaction, claim the next if this session may go on."""
        self._health.sent()
        waited = claimed_at - (delivery.queued_at or claimed_at)
        delays = {"queue": waited, "connect": receipt.connect, "transfer": receipt.transfer}
        seconds = {name: round(delay.total_seconds(), 3) for name, delay in delays.items()}
        last_route = None if self._session is None or self._session.lost else self._employer.turn()
        sent = partial(
            self._shared.store.sent,
            next_lease=None if last_route is None else lease_of(self._settings),
            after_route=last_route or "",
            attempt=delivery.attempts,
        )
        recording = asyncio.ensure_future(asyncio.to_thread(sent, delivery.id, receipt, seconds, self._shared.now()))
        try:
            claimed = await asyncio.shield(recording)
        except asyncio.CancelledError:
            # It goes on in its thread. What it claims is nobody's then, and would wait for the end of its lease.
            await self._give_back(await recording)
            raise
        self._employer.took(claimed)
        return claimed

    async def _give_back(self, claimed: Delivery | None) -> None:
        """Give a list back of which nothing was begun: it is due at once."""
        if claimed is not None:
            self._in_hand, self._uploading = claimed, None
            await self._defer(
                claimed, "stopped", "its connection was ended before it was begun", _NOTHING_TO_DO, self._shared.now()
            )

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
                self._health.leave_in_peace(self._shared.steady(), self._shared.random())
            due_at = now + retry_delay(delivery.attempts, self._shared.random())
            await self._defer(delivery, error.reason, error.detail, error.hint, due_at)
        elif error.scope is Scope.UPSTREAM:
            self._health.fell_ill()
            await self._employer.suspend(error)
            # It is no fault of the list's, so it loses no time once the upstream is well again.
            await self._defer(delivery, error.reason, error.detail, error.hint, now)
        else:
            fail = partial(self._shared.store.fail, unanswered=self._unanswered(delivery), attempt=delivery.attempts)
            await asyncio.to_thread(fail, delivery.id, error.reason, error.detail, error.hint, self._shared.now())

    async def _defer(self, delivery: Delivery, reason: str, detail: str, hint: str, due_at: datetime) -> None:
        defer = partial(self._shared.store.defer, unanswered=self._unanswered(delivery), attempt=delivery.attempts)
        await asyncio.to_thread(defer, delivery.id, reason, detail, hint, due_at, self._shared.now())


def _upload(delivery: Delivery, draft: Draft, remote_name: str, *, was_begun: bool) -> Upload:
    """Return the upload of a file in this attempt; one that was begun before may have left something."""
    name = partial(temporary_name, remote_name, delivery.id)
    return Upload(
        draft=draft,
        remote_name=remote_name,
        temporary_name=name(delivery.attempts),
        earlier_name=name(delivery.attempts - 1) if was_begun else None,
        unanswered=delivery.unanswered,
    )
