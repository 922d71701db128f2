"""One seeded day: exports over several routes, and everything that can go wrong at moments drawn by the seed."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

from asyncssh.constants import FX_FAILURE, FX_NO_SUCH_FILE, FX_PERMISSION_DENIED
from parts.lives import forked
from parts.play import empty_database
from parts.promise import Books, Told, check_promise, check_upstream, read_books, sha256
from parts.service import Ended, Line, Service, Setup
from parts.sftp import sftp
from parts.upstream import Fault, Operation, ScriptedUpstream, drop, refuse, stall

from relay.model import Decision, DeliveryState, ExportState, RelayError
from relay.store import Store
from soak.clock import Clock

MIDNIGHTS: Final = (
    datetime(2026, 3, 8, 5, 0, tzinfo=UTC),  # New York, on the day on which its clocks go forward
    datetime(2026, 3, 8, 7, 0, tzinfo=UTC),  # the moment at which they do
    datetime(2026, 3, 29, 1, 0, tzinfo=UTC),  # Berlin's go forward
    datetime(2026, 10, 24, 22, 0, tzinfo=UTC),  # Berlin's midnight before they go back
    datetime(2026, 10, 25, 1, 0, tzinfo=UTC),  # the moment at which they do
    datetime(2026, 11, 1, 6, 0, tzinfo=UTC),  # New York's go back
    datetime(2026, 11, 24, 0, 0, tzinfo=UTC),  # an ordinary midnight in UTC
    datetime(2026, 12, 31, 23, 0, tzinfo=UTC),  # Berlin's new year
)
"""Instants that a day begins shortly before."""

ZONES: Final = ("UTC", "America/New_York", "Europe/Berlin")
SEGMENTS: Final = ("VIP", "Lapsed", "Win back")
JUMPS: Final = (timedelta(seconds=40), timedelta(minutes=16), timedelta(hours=1), timedelta(hours=7), timedelta(days=1))
OPERATIONS: Final[tuple[Operation, ...]] = ("open", "write", "close", "stat", "rename")
SETTLES_WITHIN: Final = 60
"""Looks at the books, a clock's jump apart."""


@dataclass(frozen=True)
class Route:
    """One tenant."""

    name: str
    client_domain: str
    zone: str
    same_day: str


@dataclass
class Day:
    """A day's plan and what has become of it."""

    seed: int
    directory: Path
    clock: Clock
    random: Random = field(init=False)
    setup: Setup = field(init=False)
    told: Told = field(default_factory=Told)
    lives: list[list[Line]] = field(default_factory=list)
    pending: list[tuple[str, bytes]] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.routes = [
            Route("north", "north", self.random.choice(ZONES), self.random.choice(("hold", "send", "supersede"))),
            # Two routes that feed one account share its segments and its numbers.
            Route("south", "south", "UTC", self.random.choice(("hold", "send", "supersede"))),
            Route("coast", "south", self.random.choice(ZONES), "send"),
        ]
        self.upstream = ScriptedUpstream(self.directory / "upstream")
        self._sent_files = 0
        self._lying: dict[str, str] = {}
        self._loop = asyncio.new_event_loop()

    def live_through(self) -> None:
        """Let the day happen and check the promise at its end."""
        self.clock.set(self.random.choice(MIDNIGHTS) - timedelta(seconds=self.random.randrange(1, 8)))
        server = threading.Thread(target=self._loop.run_forever)
        server.start()
        try:
            self._in_server(self.upstream.__aenter__())
            self._prepare()
            for _ in range(self.random.randrange(1, 4)):
                self._live(self._muddle_along)
            self.upstream.faults = ()
            assert self._live(self._come_to_rest), "the last daemon died"
            check_promise(self._books(), self.told, self.lives, [self.upstream.uploads])
        finally:
            self._in_server(self.upstream.__aexit__())
            self._loop.call_soon_threadsafe(self._loop.stop)
            server.join()
            self._loop.close()

    def _in_server(self, work: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def _live(self, life: Callable[[Service], None]) -> bool:
        """Start a daemon, let it live, kill it if nothing else has; return whether it came through."""
        strike = {"number": self.random.randrange(1, 160)} if life == self._muddle_along else None
        if strike and self.random.random() < 0.3:
            strike = None
        plan = {"root": str(self.setup.state), "report": str(self.directory / "steps"), "strike": strike}
        self._note(f"start, to die at step {strike['number']}" if strike else "start")
        service = Service(self.setup, launch=forked(plan if strike else None))
        self.lives.append(service.lines)
        with service:
            try:
                service.wait_for("relay.ready")
                life(service)
            except Ended:
                self._note("it died")
            else:
                if life == self._come_to_rest:
                    return service.stop() == 0
                self._note("killed")
        self._check_at_death()
        return False

    def _muddle_along(self, service: Service) -> None:
        """A few things happen, one after another or nearly at once."""
        for _ in range(self.random.randrange(2, 5)):
            deed = self.random.choices(
                (self._send, self._have_trouble, self._jump, self._decide, self._tarry), (6, 3, 3, 2, 2)
            )[0]
            deed(service)
        self._tarry(service)

    def _send(self, service: Service) -> None:
        """Amperity sends what it could not send before, or something new, or something once more."""
        if not self.pending:
            self.pending.append(self._something())
        path, content = self.pending[0]
        self.told.attempted[sha256(content)] += 1
        # Whatever was there, and has not been claimed by now, was never an export (rule L6).
        if before := self._lying.get(path):
            self.told.replaced[before] += 1
        local = self.directory / "to-upload"
        local.write_bytes(content)
        commands = (f"-mkdir {path.rpartition('/')[0]}", f"put {local} {path}")
        sent = sftp(service.port, "amperity", self.setup.client_key, *commands, check=False)
        self._note(f"send {path}, {len(content)} bytes: {sent.stderr.strip() or 'acknowledged'}")
        if sent.returncode == 0:
            self.told.acknowledged[sha256(content)] += 1
            self._lying[path] = sha256(content)
            del self.pending[0]

    def _something(self) -> tuple[str, bytes]:
        route = self.random.choice(self.routes)
        path = f"/uploads/{route.name}/{self.random.choice(('daily.csv', f'{self._sent_files}.csv'))}"
        if self._sent_files and self.random.random() < 0.15:
            return path, self._content_of(self.random.randrange(self._sent_files))
        self._sent_files += 1
        return path, self._content_of(self._sent_files - 1)

    def _content_of(self, number: int) -> bytes:
        """The content of a file of this day: the same each time it is asked for."""
        random = Random(f"{self.seed} {number}")
        segments = random.sample(SEGMENTS, random.randrange(1, 3))
        rows = [
            f"{200 + number:03}555{100 + person:04},{random.choice(segments)}\n"
            for person in range(random.randrange(5, 90))
        ]
        if random.random() < 0.08:
            rows.append(f'{200 + number:03}5550199,"VIP')  # Cut off.
        return "".join(rows).encode()

    def _have_trouble(self, _: Service) -> None:
        operation = self.random.choice(OPERATIONS)
        skip = self.random.randrange(3)
        kinds: tuple[Callable[[], Fault], ...] = (
            partial(drop, operation, skip=skip),
            partial(drop, operation, after=True, skip=skip),
            partial(refuse, operation, FX_FAILURE, skip=skip, times=1),
            partial(refuse, operation, self.random.choice((FX_PERMISSION_DENIED, FX_NO_SUCH_FILE)), skip=skip, times=1),
            partial(stall, operation, skip=skip),
        )
        fault = self.random.choice(kinds)
        self.upstream.faults = (*self.upstream.faults[-2:], fault())
        self._note(f"trouble: {fault.func.__name__} {fault.args} {fault.keywords}")  # type: ignore[attr-defined]

    def _jump(self, _: Service) -> None:
        by = self.random.choice(JUMPS)
        self.clock.move(by)
        self._note(f"the clock jumps by {by}")

    def _tarry(self, service: Service) -> None:
        """Let it work for a moment, or until it dies."""
        self._pause(service, self.random.uniform(0, 1.2))

    def _pause(self, service: Service, seconds: float) -> None:
        with suppress(AssertionError):
            service.wait_for("nothing", deadline=seconds)
        if not service.is_running:
            raise Ended

    def _decide(self, _: Service) -> None:
        """An operator decides about something that waits for one."""
        store = Store.open_beside(self.database, read_only=False)
        try:
            self._decide_in(store)
        finally:
            store.close()

    def _decide_in(self, store: Store) -> None:
        now, by = self.clock.now, Decision("mel", "looked at it")
        later = now + timedelta(hours=48)
        waiting = [it for it in store.deliveries() if it.state in {DeliveryState.HELD, DeliveryState.FAILED}]
        for delivery in waiting:
            release = partial(store.release, delivery.id, by, now.date(), later, now)
            requeue = partial(store.requeue, delivery.id, by, now, stale_at=later)
            onward = release if delivery.state is DeliveryState.HELD else requeue
            deed = self.random.choice((onward, partial(store.discard, delivery.id, by, now)))
            with suppress(RelayError):
                deed()
                self._note(f"{deed.func.__name__} {delivery.id}")
        for export in store.exports(state=ExportState.QUARANTINED):
            with suppress(RelayError):
                store.requeue(export.id, by, now)
                self._note(f"requeue {export.id}")

    def _come_to_rest(self, service: Service) -> None:
        """Everything that was not acknowledged is sent again, and time goes by until nothing is left to do."""
        for _ in range(SETTLES_WITHIN):
            if self.pending:
                self._send(service)
            if not self.pending and self._books().settled:
                return
            self._pause(service, 0.5)
            if not self._books().settled:
                self.clock.move(timedelta(minutes=16))
        raise AssertionError(f"does not come to rest: {self._books()}")

    def _books(self) -> Books:
        return read_books(self.database)

    def _check_at_death(self) -> None:
        dead = self.directory / "dead"
        dead.mkdir(exist_ok=True)
        # Looking at the database itself would tidy it up, and the next start is to find it as it was left.
        for path in self.setup.state.glob("relay.db*"):
            (dead / path.name).write_bytes(path.read_bytes())
        check_upstream(read_books(dead / "relay.db"), self.upstream.uploads)
        for path in dead.iterdir():
            path.unlink()

    def _note(self, what: str) -> None:
        self.happened.append(f"{self.clock.now:%m-%d %H:%M:%S} {what}")

    def _prepare(self) -> None:
        """Write the configuration, and begin with an empty database instead of none, which takes less time."""
        self.setup = Setup(self.directory, self.upstream)
        self.setup.change("upstreams.attentive", publish="rename", stall_timeout="0.5s")
        for route in self.routes:
            self.setup.route(
                route.name,
                client_domain=route.client_domain,
                top=f'path = "/uploads/{route.name}/**"\ntimezone = "{route.zone}"',
                sections=f'[guards]\nsame_day = "{route.same_day}"',
            )
        self.setup.state.mkdir(0o700)
        self.database.write_bytes(empty_database())

    @property
    def database(self) -> Path:
        """The relay's database."""
        return self.setup.state / "relay.db"
