"""One connection's work: send a list and every other that is due, record what came of each, let follow what must."""

import asyncio
from collections.abc import Callable, Collection
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
from relay.store import Room, Sent, Store
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

_AT_ONCE: Final = 8
"""How many small lists are under way over one connection: what waits for an answer keeps no other waiting."""

_SMALL: Final = 512 << 10
"""Most bytes of a list that goes out beside others; eight of them are as much as is under way of one large list."""

_TOGETHER_WITHIN: Final = 0.005
"""Seconds for which a finished list waits for others, to be recorded with them: about what a wait for a disk takes."""

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

    def took(self, claimed: Delivery) -> None:
        """Note whose turn it was now."""

    async def greet(self, session: Session) -> None:
        """Do what is due at the beginning of a session."""

    def notice(self, session: Session) -> None:
        """Look at what a session has learned of the upstream."""

    async def suspend(self, error: UpstreamError) -> None:
        """Send nothing more until the upstream is well."""


class _Errand:
    """A list in hand, and how far it has come."""

    def __init__(self, delivery: Delivery, claimed_at: datetime, lease: timedelta) -> None:
        self.delivery = delivery
        self.claimed_at = self.answered_at = claimed_at
        self.lease_until = claimed_at + lease
        self.session: Session | None = None
        """Where a request was made for it last; None before the first one."""
        self.upload: Upload | None = None
        self._answers = 0

    @property
    def unanswered(self) -> str | None:
        """What the next attempt is to know of this one; where this one made no request, what it knew itself."""
        if self.session is None or self.upload is None:
            return self.delivery.unanswered
        return self.session.unanswered_of(self.upload)

    def look(self, now: datetime) -> None:
        """Note whether the upstream has answered since the last look."""
        answers = self.session.answers_to(self.upload) if self.session else 0
        if answers != self._answers:
            self._answers, self.answered_at = answers, now


class Sender:
    """Sends lists over one connection, small ones several at a time, until nothing more is due or there is trouble."""

    def __init__(self, settings: UpstreamSettings, shared: Surroundings, health: Health, employer: Employer) -> None:
        self._settings = settings
        self._shared = shared
        self._health = health
        self._employer = employer
        self._connections = AsyncExitStack()
        self._session: Session | None = None
        self._login = asyncio.Lock()
        self._login_failed: UpstreamError | None = None
        self._in_hand: dict[asyncio.Task[Sent | None], _Errand] = {}
        self._ending = False

    async def run(self, first: Delivery) -> None:
        """Send a list and, in the same session, every other that is due by then. Any trouble ends the session.

        The first goes alone: what is wrong with the upstream costs one list an attempt, and not several.
        """
        async with self._connections:
            try:
                self._take(first)
                while self._in_hand:
                    if finished := await self._finished():
                        for claimed in await self._record(finished):
                            self._take(claimed)
            finally:
                for work in self._in_hand:
                    work.cancel()
                if self._in_hand:
                    await asyncio.wait(self._in_hand)

    async def renew(self) -> None:
        """Have each claim hold for a lease from its list's last answer on; called often, written down now and then."""
        now, lease = self._shared.now(), lease_of(self._settings)
        for errand in tuple(self._in_hand.values()):
            errand.look(now)
            lease_until = errand.answered_at + lease
            if lease_until - errand.lease_until >= lease / 2:
                errand.lease_until = lease_until
                await asyncio.to_thread(self._shared.store.renew, errand.delivery.id, lease_until, now)

    def let_go(self, expired: Collection[str]) -> list[asyncio.Task[Sent | None]]:
        """Cancel the work on these lists and return it. The others are finished, and no more are taken."""
        hanging = [work for work, errand in self._in_hand.items() if errand.delivery.id in expired]
        for work in hanging:
            work.cancel()
        return hanging

    def _take(self, delivery: Delivery) -> None:
        errand = _Errand(delivery, self._shared.now(), lease_of(self._settings))
        self._in_hand[asyncio.create_task(self._send(errand))] = errand

    async def _finished(self) -> list[Sent]:
        """Wait until lists are finished, and return what is to be recorded of them: together, in one transaction."""
        done, under_way = await asyncio.wait(self._in_hand, return_when=asyncio.FIRST_COMPLETED)
        if under_way:
            done, _ = await asyncio.wait(self._in_hand, timeout=_TOGETHER_WITHIN)
        for work in done:
            del self._in_hand[work]
        ends = [None if work.cancelled() else work.result() for work in done]
        self._ending = self._ending or None in ends
        return [it for it in ends if it is not None]

    async def _send(self, errand: _Errand) -> Sent | None:
        """Send one list, and return what is to be recorded; None where that was done, and no other is to follow."""
        try:
            receipt = await self._publish_all(errand)
        except TimeoutError:
            await self._lay_down(errand)
            return None
        except UpstreamError as error:
            await self._set_back(errand, error)
            return None
        return None if receipt is None else _sent(errand, receipt)

    async def _publish_all(self, errand: _Errand) -> Receipt | None:
        """Publish every file of a list that the upstream does not have yet, in order (rule D13).

        Returns:
            The receipt of the last one; None where somebody else has taken the list over meanwhile.
        """
        delivery = errand.delivery
        if delivery.files == 1:
            return await self._publish(errand, self._upload_whole(delivery))
        connect = transfer = timedelta()
        slices = await asyncio.to_thread(self._shared.store.slices, delivery.id)
        for it in slices[delivery.files_sent : -1]:
            receipt = await self._publish(errand, self._upload_of(delivery, it))
            connect, transfer = connect + receipt.connect, transfer + receipt.transfer
            now = self._shared.now()
            moved = await asyncio.to_thread(self._shared.store.slice_sent, delivery.id, receipt, delivery.attempts, now)
            if moved is None:
                return None
            errand.delivery, errand.upload = moved, None
            delivery = moved
        receipt = await self._publish(errand, self._upload_of(delivery, slices[-1]))
        return replace(receipt, connect=connect + receipt.connect, transfer=transfer + receipt.transfer)

    async def _publish(self, errand: _Errand, upload: Upload) -> Receipt:
        """Publish a file over the session that there is, or a fresh one where that has ended meanwhile."""
        begin_directly = partial(self._shared.store.begin_directly, errand.delivery.id, upload.remote_name)
        note_direct = partial(asyncio.to_thread, begin_directly, self._shared.now())
        errand.upload = upload
        async with self._shared.patience.bound():
            while True:
                session = await self._log_in(errand)
                try:
                    receipt = await session.publish(upload, note_direct)
                except StaleSessionError:
                    await self._log_out(session)
                else:
                    self._employer.notice(session)
                    return receipt

    async def _log_in(self, errand: _Errand) -> Session:
        """Return the session that there is, or a fresh one; where that could not be had, nobody asks for it again."""
        async with self._login:
            if self._login_failed is not None:
                raise self._login_failed
            if self._session is None:
                try:
                    session = await self._connections.enter_async_context(connect(self._settings))
                except UpstreamError as error:
                    self._login_failed = error
                    raise
                errand.session = self._session = session
                await self._employer.greet(session)
            errand.session = self._session
            return self._session

    async def _log_out(self, session: Session) -> None:
        async with self._login:
            if self._session is session:
                self._session = None
                await self._connections.aclose()

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

    async def _record(self, finished: list[Sent]) -> list[Delivery]:
        """Record that lists are sent and, in the same transaction, claim what this session may go on with."""
        self._health.sent()
        sent = partial(self._shared.store.sent, finished, self._shared.now(), room=self._room())
        recording = asyncio.ensure_future(asyncio.to_thread(sent))
        try:
            claimed = await asyncio.shield(recording)
        except asyncio.CancelledError:
            # It goes on in its thread. What it claims is nobody's then, and would wait for the end of its lease.
            for it in await recording:
                await self._give_back(it)
            raise
        for it in claimed:
            self._employer.took(it)
        return claimed

    def _room(self) -> Room | None:
        """Return what may be claimed besides what is in hand; None where that is nothing."""
        lists = _AT_ONCE - len(self._in_hand)
        is_filled = not all(it.delivery.is_small(_SMALL) for it in self._in_hand.values())
        if self._ending or is_filled or lists < 1 or self._session is None or self._session.lost:
            return None
        last_route = self._employer.turn()
        if last_route is None:
            return None
        return Room(self._settings.name, lists, _SMALL, lease_of(self._settings), last_route)

    async def _give_back(self, claimed: Delivery) -> None:
        """Give a list back of which nothing was begun: it is due at once."""
        errand = _Errand(claimed, self._shared.now(), lease_of(self._settings))
        why = "its connection was ended before it was begun"
        await self._defer(errand, "stopped", why, _NOTHING_TO_DO, self._shared.now())

    async def _lay_down(self, errand: _Errand) -> None:
        """Give a list back that the service's stop has interrupted: the next start goes on with it at once."""
        now = self._shared.now()
        await self._defer(
            errand, "stopped", "the service stopped while sending", "Nothing to do: the next start sends it.", now
        )

    async def _set_back(self, errand: _Errand, error: UpstreamError) -> None:
        """Let follow from trouble what its permanence and its scope say."""
        now, delivery = self._shared.now(), errand.delivery
        if error.permanence is Permanence.TRANSIENT:
            if error.scope is Scope.UPSTREAM:
                self._health.leave_in_peace(self._shared.steady(), self._shared.random())
            due_at = now + retry_delay(delivery.attempts, self._shared.random())
            await self._defer(errand, error.reason, error.detail, error.hint, due_at)
        elif error.scope is Scope.UPSTREAM:
            self._health.fell_ill()
            await self._employer.suspend(error)
            # It is no fault of the list's, so it loses no time once the upstream is well again.
            await self._defer(errand, error.reason, error.detail, error.hint, now)
        else:
            fail = partial(self._shared.store.fail, unanswered=errand.unanswered, attempt=delivery.attempts)
            await asyncio.to_thread(fail, delivery.id, error.reason, error.detail, error.hint, self._shared.now())

    async def _defer(self, errand: _Errand, reason: str, detail: str, hint: str, due_at: datetime) -> None:
        delivery = errand.delivery
        defer = partial(self._shared.store.defer, unanswered=errand.unanswered, attempt=delivery.attempts)
        await asyncio.to_thread(defer, delivery.id, reason, detail, hint, due_at, self._shared.now())


def _sent(errand: _Errand, receipt: Receipt) -> Sent:
    delivery = errand.delivery
    waited = errand.claimed_at - (delivery.queued_at or errand.claimed_at)
    delays = {"queue": waited, "connect": receipt.connect, "transfer": receipt.transfer}
    seconds = {name: round(delay.total_seconds(), 3) for name, delay in delays.items()}
    return Sent(delivery.id, receipt, seconds, delivery.attempts)


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
