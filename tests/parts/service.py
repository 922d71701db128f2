"""The real daemon as a subprocess, its configuration, and its log as the tests read it."""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

Line = dict[str, Any]

RELAY = (sys.executable, "-m", "relay")
DEADLINE_SECONDS = 60.0


def ssh_keygen(file: Path, kind: str = "ed25519") -> Path:
    """Make a key pair without passphrase and return the private key's path; the public one is beside it as `.pub`."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(file)], check=True)
    return file


class Upstream(Protocol):
    """A server to send to, as a configuration sees it."""

    client_key: Path
    known_hosts: Path

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""

    @property
    def user(self) -> str:
        """Whom `client_key` belongs to."""

    @property
    def directory(self) -> str:
        """Where lists go."""

    def received(self) -> dict[str, bytes]:
        """What lies there: name and content."""


@dataclass
class Setup:
    """A configuration directory: one account `amperity` with a key, one upstream `attentive`, routes as asked for.

    `directory` gets `relay.toml`, `routes.d/`, the keys, and the state under `state/`.
    """

    directory: Path
    upstream: Upstream
    settle: str = "0.1s"
    client_key: Path = field(init=False)
    changes: dict[str, dict[str, object]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "routes.d").mkdir(exist_ok=True)
        self.client_key = ssh_keygen(self.directory / "client_key")
        shutil.copy(self.client_key.with_suffix(".pub"), self.directory / "amperity.pub")
        ssh_keygen(self.directory / "ssh_host_ed25519_key")
        shutil.copy(self.upstream.known_hosts, self.directory / "attentive.known_hosts")
        shutil.copy(self.upstream.client_key, self.directory / "attentive.key")
        (self.directory / "attentive.key").chmod(0o600)
        self.write()

    @property
    def config(self) -> Path:
        """The main configuration file."""
        return self.directory / "relay.toml"

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.directory / "state"

    def change(self, table: str, **settings: object) -> None:
        """Have a table of `relay.toml`, "" for what stands above all, say this, and write the file."""
        self.changes.setdefault(table, {}).update(settings)
        self.write()

    def write(self) -> None:
        """Write `relay.toml` as this object says now."""
        tables: dict[str, dict[str, object]] = {
            "": {"state_dir": str(self.state)},
            "landing": {
                "min_free": "0B",
                "listen": ["127.0.0.1:0"],
                "host_keys": ["ssh_host_ed25519_key"],
                "settle": self.settle,
            },
            "accounts.amperity": {"authorized_keys": "amperity.pub"},
            "upstreams.attentive": {
                "host": "127.0.0.1",
                "port": self.upstream.port,
                "user": self.upstream.user,
                "private_key": "attentive.key",
                "known_hosts": "attentive.known_hosts",
                "directory": self.upstream.directory,
            },
        }
        for table, settings in self.changes.items():
            tables[table] = {**tables.get(table, {}), **settings}
        lines = []
        for table, settings in tables.items():
            lines += [f"[{table}]"] if table else []
            # What JSON calls a number, a text or a list of them is called so in TOML, too.
            lines += [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
        self.config.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def route(
        self,
        name: str = "sirendenim",
        *,
        client_domain: str = "",
        identifier: str = "phone",
        top: str = "",
        sections: str = "",
    ) -> None:
        """Write a route; `top` adds keys at the top level, `sections` whole tables."""
        (self.directory / "routes.d" / f"{name}.toml").write_text(
            f"""
account = "amperity"
upstream = "attentive"
client_domain = "{client_domain or name}"
identifier = "{identifier}"
{top}
{sections}
""",
            encoding="utf-8",
        )


class Ended(AssertionError):  # noqa: N818  what happened, as a test says it
    """The service ended while something was expected of it."""


class Process(Protocol):
    """A started process, as `subprocess.Popen` is one."""

    @property
    def pid(self) -> int:
        """Its id."""

    @property
    def stderr(self) -> IO[str] | None:
        """What it says."""

    def poll(self) -> int | None:
        """Return its exit status, None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return its exit status."""

    def kill(self) -> None:
        """Kill it."""

    def terminate(self) -> None:
        """Ask it to end."""

    def send_signal(self, sig: int) -> None:
        """Send it a signal."""


def _start(setup: Setup, environment: dict[str, str]) -> Process:
    return subprocess.Popen(
        [*RELAY, "--config", str(setup.config), "serve"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


class Service:
    """`relay serve` as a process whose JSON log is followed; ended by its own handle.

    `launch` starts it in another way than as a subprocess.
    """

    def __init__(
        self,
        setup: Setup,
        *,
        environment: dict[str, str] | None = None,
        launch: Callable[[Setup], Process] | None = None,
    ) -> None:
        self.setup = setup
        self.lines: list[Line] = []
        self.raw: list[str] = []
        self._news: queue.Queue[Line | None] = queue.Queue()
        self._process = launch(setup) if launch else _start(setup, environment or {})
        self._reader = threading.Thread(target=self._follow)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self.kill()
        self._reader.join()

    def _follow(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as log:
            for text in log:
                self.raw.append(text)
                try:
                    line = json.loads(text)
                except json.JSONDecodeError:
                    line = {"event": "not JSON", "text": text}
                self.lines.append(line)
                self._news.put(line)
        self._news.put(None)

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the daemon has not ended."""
        return self._process.poll() is None

    @property
    def port(self) -> int:
        """The landing zone's port, once the service is ready."""
        self.wait_for("relay.ready")
        address = self.named("relay.ready")[-1]["listen"][0]
        return int(address.rpartition(":")[2])

    def named(self, event: str, **fields: object) -> list[Line]:
        """The lines so far with this event and these fields."""
        return [
            line
            for line in list(self.lines)
            if line["event"] == event and all(line.get(name) == value for name, value in fields.items())
        ]

    def wait_for(self, event: str, *, count: int = 1, deadline: float = DEADLINE_SECONDS, **fields: object) -> Line:
        """Wait until `count` lines with this event and these fields were logged and return the last of them."""
        until = time.monotonic() + deadline
        while len(found := self.named(event, **fields)) < count:
            try:
                news = self._news.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(
                    f"{count} × {event} {fields} not logged within {deadline} s; seen: {self._seen()}"
                ) from None
            if news is None:
                self._news.put(None)
                if len(self.named(event, **fields)) < count:
                    raise Ended(f"it ended before {count} × {event} {fields}; seen: {self._seen()}")
        return found[count - 1]

    def _seen(self) -> list[str]:
        return [line["event"] for line in self.lines]

    def wait_for_state(self, state: str, *, deadline: float = DEADLINE_SECONDS) -> Line:
        """Wait until a delivery is in `state`, whenever it got there, and return it as `relay deliveries` shows it."""
        until = time.monotonic() + deadline
        while time.monotonic() < until:
            listed: list[Line] = json.loads(relay(self.setup, "deliveries", "--state", state, "--json").stdout)
            if listed:
                return listed[0]
        raise AssertionError(f"no delivery was {state} within {deadline} s")

    def reload(self) -> None:
        """Have the configuration read again."""
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> int:
        """Ask the daemon to stop and return its exit status."""
        self._process.terminate()
        status = self._process.wait(timeout=DEADLINE_SECONDS)
        self._reader.join()
        return status

    def kill(self) -> None:
        """Kill the daemon at once, as a crash would."""
        self._process.kill()
        self._process.wait(timeout=DEADLINE_SECONDS)
        self._reader.join()


def relay(setup: Setup, *arguments: str, check: bool = False) -> subprocess.CompletedProcess[str]:
    """Run an operator's command against the configuration and return what it said."""
    return subprocess.run(
        [*RELAY, "--config", str(setup.config), *arguments], capture_output=True, text=True, check=check, timeout=60
    )
