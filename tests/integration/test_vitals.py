"""What the service tells its service manager, and what is found out about it: alive, stuck, how things stand (T4)."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from parts.service import DEADLINE_SECONDS, RELAY, Process, Service, Setup, relay
from parts.sftp import sftp
from parts.sshd import NEEDS_SSHD, Sshd

from relay import log
from relay.config import load
from relay.daemon import Changes, Daemon
from relay.model import Ban
from relay.pulse import Pulse
from relay.signals import Signals
from relay.spool import Spool
from relay.store import Store
from relay.vitals import Vitals

pytestmark = NEEDS_SSHD

LOOPS: Final = {"announcer", "intake.scan", "intake.settle", "landing", "outbox", "vigil"}


class Manager:
    """A service manager that listens to what it is told."""

    def __init__(self, directory: Path) -> None:
        self.address = directory / "manager"
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.address))

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()

    def wait_for(self, said: str) -> str:
        """Wait until something that begins like this is said from now on, and return it."""
        until = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < until:
            self._socket.settimeout(max(0.01, until - time.monotonic()))
            self.heard += self._socket.recv(10_000).decode().split("\n")
            if found := [it for it in self.heard if it.startswith(said)]:
                self.heard.clear()
                return found[-1]
        raise AssertionError(f"{said} was not said; heard: {self.heard}")


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """A service manager."""
    with closing(Manager(tmp_path)) as manager:
        yield manager


@pytest.fixture
def setup(tmp_path: Path) -> Iterator[Setup]:
    """A configuration with one route, and its upstream."""
    with Sshd(tmp_path / "upstream") as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.route()
        yield setup


def upload(service: Service, port: int) -> None:
    """Upload a list of one person."""
    local = service.setup.directory / "to-upload"
    local.write_text("2125550101,VIP\n")
    sftp(port, "amperity", service.setup.client_key, f'put "{local}" /uploads/list.csv')


def test_the_service_manager_hears_of_every_step(setup: Setup, manager: Manager) -> None:
    """Ready when clients are let in, alive all the while, reloading and ready again, stopping."""
    environment = {"NOTIFY_SOCKET": str(manager.address), "WATCHDOG_USEC": "400000"}
    with Service(setup, environment=environment) as service:
        manager.wait_for("READY=1")
        upload(service, service.port)
        manager.wait_for("WATCHDOG=1")
        manager.wait_for("WATCHDOG=1")
        service.reload()
        manager.wait_for("RELOADING=1")
        manager.wait_for("READY=1")
        assert service.stop() == 0
        manager.wait_for("STOPPING=1")


def test_its_status_is_the_line_that_relay_status_begins_with(setup: Setup, manager: Manager) -> None:
    """But for the moment at which each looked; and it follows what happens."""
    setup.route("sirendenim", sections='[guards]\nnew_segment = "hold"\n')
    with Service(setup, environment={"NOTIFY_SOCKET": str(manager.address)}) as service:
        assert manager.wait_for("STATUS=").endswith("the relay is running; nothing waits for a person")
        upload(service, service.port)
        service.wait_for("delivery.held")
        told = manager.wait_for("STATUS=").removeprefix("STATUS=")
        while "nothing waits" in told:  # It had looked before the list was held, and looks again.
            told = manager.wait_for("STATUS=").removeprefix("STATUS=")
        line = relay(setup, "status").stdout.splitlines()[0]
        assert line.partition(",")[2] == told.partition(",")[2] == " the relay is running; 1 list is held"


def test_health_is_whether_it_lives_and_nothing_else(setup: Setup) -> None:
    """A held list is well, a service that is not there or is frozen is not (rule T4)."""
    setup.route("sirendenim", sections='[guards]\nnew_segment = "hold"\n')
    with Service(setup) as service:
        upload(service, service.port)
        service.wait_for("delivery.held")
        assert relay(setup, "status").returncode == 1
        assert relay(setup, "status", "--health").returncode == 0
        os.kill(service.pid, signal.SIGSTOP)
        os.utime(setup.state / "relay.lock", (time.time() - 91, time.time() - 91))
        said = relay(setup, "status", "--health")
        assert (said.returncode, "has not turned for 9" in said.stdout) == (1, True)
        os.kill(service.pid, signal.SIGCONT)
        service.stop()
    said = relay(setup, "status", "--health")
    assert (said.returncode, said.stdout) == (1, "the relay is not running\n")


# Loops that hang


class Clock:
    """A clock that a test winds."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.seconds


class Hang:
    """Makes a verb of the store hang between two moments."""

    def __init__(self, verb: str) -> None:
        self.begun = threading.Event()
        self.reached = threading.Event()
        self.over = threading.Event()
        real = getattr(Store, verb)

        def hangs(store: Store, *arguments: object, **options: object) -> object:
            if self.begun.is_set():
                self.reached.set()
                self.over.wait(DEADLINE_SECONDS)
            return real(store, *arguments, **options)

        self.store: type[Store] = type("HangingStore", (Store,), {verb: hangs})


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110  what is waited for sets no event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("verb", "loop"),
    [
        ("unlogged", "announcer"),
        ("known", "intake.scan"),
        ("received_exports", "intake.settle"),
        ("hold_stale", "outbox"),
        ("remind", "vigil"),
        ("bans", "landing"),
    ],
)
def test_a_loop_that_hangs_is_found_out_and_no_other(setup: Setup, verb: str, loop: str) -> None:
    """Every loop of every stage turns while it has nothing to do; one that hangs does not (rule T4)."""
    clock = Clock()
    pulse = Pulse(clock=clock)
    hang = Hang(verb)
    hint = setup.state / "landing" / "amperity" / "uploads"

    async def live(daemon: Daemon) -> None:
        running = asyncio.create_task(daemon.run(Signals()))
        await until(lambda: pulse.loops == LOOPS)
        clock.seconds += 100_000
        (hint / "one").touch()
        await until(lambda: not pulse.overdue())
        hang.begun.set()
        (hint / "two").touch()
        await until(hang.reached.is_set)
        clock.seconds += 100_000
        (hint / "three").touch()
        await until(lambda: [it.loop for it in pulse.overdue()] == [loop])
        hang.over.set()
        os.kill(os.getpid(), signal.SIGTERM)
        await running

    config = load(setup.config)
    spool = Spool(config.state_dir)
    spool.prepare(config.accounts)
    now = datetime.now(UTC)
    with spool.lock(), closing(hang.store.open(spool.database)) as store:
        # The landing zone asks for bans as long as there are any.
        store.keep_bans([Ban("203.0.113.7/32", "refused_login", now, now + timedelta(hours=1))], now)
        try:
            asyncio.run(live(Daemon(setup.config, config, spool, store, Changes(), pulse=pulse)))
        finally:
            hang.over.set()


def test_what_hangs_is_said_once_and_the_service_manager_called(
    tmp_path: Path, manager: Manager, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While a loop hangs, the watchdog is not fed and the lock not marked; when it turns again, they are (rule T4)."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(manager.address))
    monkeypatch.setenv("WATCHDOG_USEC", "40000")
    log.configure(pretty=False)
    clock = Clock()
    pulse = Pulse(clock=clock)
    pulse.turn("outbox")
    clock.seconds += 100_000
    spool = Spool(tmp_path / "state")
    spool.prepare([])

    async def live() -> None:
        with spool.lock():
            os.utime(tmp_path / "state" / "relay.lock", (0, 0))
            vitals = Vitals(pulse, spool, pytest.fail, asyncio.Event())
            telling = asyncio.create_task(vitals.tell_alive())
            await asyncio.to_thread(manager.wait_for, "WATCHDOG=trigger")
            assert spool.alive_at() == datetime.fromtimestamp(0, UTC)
            pulse.turn("outbox")
            assert await asyncio.to_thread(manager.wait_for, "WATCHDOG=") == "WATCHDOG=1"
            await until(lambda: spool.alive_at() != datetime.fromtimestamp(0, UTC))
            telling.cancel()

    asyncio.run(live())
    (said,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (said["event"], said["level"]) == ("relay.stalled", "error")
    assert said["detail"] == "outbox should have turned 99100 s ago"


# Sockets that the service manager listens on


@contextmanager
def a_port() -> Iterator[socket.socket]:
    """A port that is listened on by somebody who stays."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener


def handed(listener: socket.socket) -> Callable[[Setup], Process]:
    """Return what starts a service and hands it a socket, as systemd does."""

    def start(setup: Setup) -> Process:
        number = listener.fileno()
        script = f'exec 3<&{number} {number}<&-; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
        command = ["bash", "-c", script, "bash", *RELAY, "--config", str(setup.config), "serve"]
        return subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, pass_fds=[number]
        )

    return start


def greeting(connection: socket.socket) -> bytes:
    """Wait for the first bytes that a server says."""
    connection.settimeout(DEADLINE_SECONDS)
    return connection.recv(100)


def test_a_restart_refuses_no_connection(setup: Setup) -> None:
    """Who connects while no service runs waits for the next, also after a kill; uploads go as ever (rule L29)."""
    with a_port() as listener:
        port: int = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as early, Service(setup, launch=handed(listener)) as service:
            assert greeting(early).startswith(b"SSH-2.0-relay")
            assert service.wait_for("relay.ready")["listen"] == [f"127.0.0.1:{port}"]
            upload(service, port)
            service.wait_for("delivery.sent")
            assert service.stop() == 0
        with socket.create_connection(("127.0.0.1", port)) as later, Service(setup, launch=handed(listener)) as service:
            assert greeting(later).startswith(b"SSH-2.0-relay")
            service.kill()
        with socket.create_connection(("127.0.0.1", port)) as later, Service(setup, launch=handed(listener)):
            assert greeting(later).startswith(b"SSH-2.0-relay")


def test_it_says_when_the_configuration_names_another_port(setup: Setup) -> None:
    """The socket counts, and whoever changed `landing.listen` in vain is told (rule L29)."""
    text = setup.config.read_text()
    setup.config.write_text(text.replace('listen = ["127.0.0.1:0"]', 'listen = ["127.0.0.1:2022"]'))
    with a_port() as listener, Service(setup, launch=handed(listener)) as service:
        said = service.wait_for("landing.listen_ignored")
        assert said["listen"] == [f"127.0.0.1:{listener.getsockname()[1]}"]
        assert said["detail"] == "landing.listen says 127.0.0.1:2022"


def test_what_is_no_listening_socket_is_refused(setup: Setup) -> None:
    """A datagram socket has no connections to take (rule L29)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        process = handed(other)(setup)
        assert process.stderr is not None
        with process.stderr as said:
            assert "something else than a listening TCP socket" in said.read()
        assert process.wait(DEADLINE_SECONDS) == 1


def test_sockets_for_another_process_are_left_alone(setup: Setup) -> None:
    """The variables of a parent are not meant for its children (rule L29)."""
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    with Service(setup, environment=environment) as service:
        assert service.wait_for("relay.ready")["listen"] == [f"127.0.0.1:{service.port}"]
