"""A landing zone in this process, on an event loop of its own in a thread, with a real spool and a real database."""

import asyncio
import io
import json
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import ExitStack
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import argon2
import asyncssh
import uvloop

from relay import log
from relay.config import AccountSettings, Config, LandingSettings
from relay.floor import Floor
from relay.landing import LandingServer
from relay.landing.filesystem import Disk
from relay.model import Arrival
from relay.pulse import Pulse
from relay.spool import Spool
from relay.store import Store

PASSWORD = "a password of the tests"
PATIENCE = 30.0
HOST_KEYS = {
    "ssh_host_ed25519_key": "ssh-ed25519",
    "ssh_host_ecdsa_key": "ecdsa-sha2-nistp256",
    "ssh_host_rsa_key": "ssh-rsa",
}
_T = TypeVar("_T")


class LandingZone:
    """The real landing zone on a free port, in use as a context manager.

    What a test keeps open until the end, such as connections, goes to `held`.

    The accounts `amperity` and `other` log in with `key`; `amperity` also with `PASSWORD`.

    Args:
        directory: for keys, state and everything else.
        disk: instead of the real one.
        plain_loop: asyncio's own event loop instead of uvloop.
        login_timeout: how long a client may take to log in.
        limits: further settings of `[landing]`, as the configuration writes them.
        account: further settings of `amperity`, likewise.
    """

    def __init__(
        self,
        directory: Path,
        *,
        disk: Disk | None = None,
        plain_loop: bool = False,
        login_timeout: timedelta = timedelta(seconds=30),
        limits: Mapping[str, object] | None = None,
        account: Mapping[str, object] | None = None,
    ) -> None:
        self.key = directory / "client_key"
        self.landed = 0
        self.spool = Spool(directory / "state")
        self.port = 0
        self.loop = asyncio.new_event_loop() if plain_loop else uvloop.new_event_loop()
        self.defects: list[dict[str, Any]] = []
        self.held = ExitStack()
        self._directory = directory
        self._disk = disk or Disk()
        self._login_timeout = login_timeout
        # No test depends on how full the disk is that it runs on; few are about what loopback is held to.
        self.limits: dict[str, object] = {
            "min_free": "0B",
            "limits": {"exempt": ["127.0.0.0/8", "::1"]},
            **(limits or {}),
        }
        self.account = dict(account or {})
        self._log = io.StringIO()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        write_key(self.key)
        for name, algorithm in HOST_KEYS.items():
            write_key(self._directory / name, _host_key(algorithm))
        (self._directory / "amperity.hash").write_text(_password_hash(), encoding="ascii")
        self.config = self.settings()
        self.spool.prepare(self.config.accounts)
        self.store = Store.open(self._directory / "state" / "relay.db")
        log.configure(self._log, pretty=False)
        self._thread.start()
        self.server = self.do(self._make())
        address = self.do(self.server.start())[0]
        self._bans = asyncio.run_coroutine_threadsafe(self.server.keep_bans(Pulse()), self.loop)
        self.port = int(address.rpartition(":")[2])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.held.close()
        self._bans.cancel()
        self.do(self.server.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE)
        self.loop.close()
        self.store.close()
        if error is None:
            assert not self.defects, f"the event loop was told of defects: {self.defects}"

    def settings(self, *accounts: str) -> Config:
        """The configuration, with only the accounts named, or all."""
        keys = self.key.with_suffix(".pub")
        everybody = {
            "amperity": AccountSettings.model_validate(
                {
                    "name": "amperity",
                    "authorized_keys": keys,
                    "password_hash": self._directory / "amperity.hash",
                    **self.account,
                }
            ),
            "other": AccountSettings(name="other", authorized_keys=keys),
        }
        return Config(
            state_dir=self._directory / "state",
            landing=LandingSettings.model_validate(
                {
                    "listen": ("127.0.0.1:0",),
                    "host_keys": self._host_keys(),
                    "login_timeout": self._login_timeout,
                    **self.limits,
                }
            ),
            accounts={name: account for name, account in everybody.items() if name in (accounts or everybody)},
            upstreams={},
            routes={},
        )

    def do(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on the landing zone's event loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    def host_key_fingerprints(self) -> tuple[str, ...]:
        """The fingerprints of the host keys, as clients show them."""
        return tuple(asyncssh.read_public_key(f"{file}.pub").get_fingerprint() for file in self._host_keys())

    def _host_keys(self) -> tuple[Path, ...]:
        return tuple(self._directory / name for name in HOST_KEYS)

    def drain(self, within: timedelta) -> None:
        """Have the landing zone stop as the daemon does."""
        self.do(self.server.drain(within))

    def visible(self, account: str = "amperity") -> dict[str, bytes]:
        """The files that an account sees: path and content."""
        root = self.spool.landing(account)
        return {f"/{path.relative_to(root)}": path.read_bytes() for path in root.rglob("*") if path.is_file()}

    def incoming(self, account: str = "amperity") -> list[Path]:
        """The files that lie unpublished."""
        return list(self.spool.incoming(account).iterdir())

    def arrivals(self) -> list[Arrival]:
        """What was noted as landed."""
        return list(self.store.arrivals())

    def events(self, event: str) -> list[dict[str, Any]]:
        """The log's lines with this event."""
        lines = [json.loads(line) for line in self.log_lines()]
        return [line for line in lines if line["event"] == event]

    def log_lines(self) -> list[str]:
        """The log's lines, as they were written."""
        return self._log.getvalue().splitlines()

    def wait_for(self, event: str, count: int = 1) -> dict[str, Any]:
        """Wait until `count` lines with this event were logged, and return the last of them."""
        until(lambda: len(self.events(event)) >= count, f"{count} × {event}: {self._log.getvalue()}")
        return self.events(event)[count - 1]

    async def _make(self) -> LandingServer:
        floor = Floor(self.spool.free_bytes, self.config.landing.min_free)
        return LandingServer(
            self.config, self.spool, self.store, landed=self._count_landed, floor=floor, disk=self._disk
        )

    def _count_landed(self) -> None:
        self.landed += 1

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.set_exception_handler(lambda _, context: self.defects.append(context))
        self.loop.run_forever()


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition` holds; a test that waits in vain fails with `what`."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {PATIENCE:.0f} s in vain for {what}")
        time.sleep(0.005)


@cache
def _password_hash() -> str:
    # A cheap one: what the tests need of a hash is that it is one.
    return argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


@cache
def _host_key(algorithm: str) -> asyncssh.SSHKey:
    # Once for all landing zones: an RSA key takes half a second.
    if algorithm == "ssh-rsa":
        return asyncssh.generate_private_key(algorithm, key_size=3072)
    return asyncssh.generate_private_key(algorithm)


def write_key(file: Path, key: asyncssh.SSHKey | None = None, form: str = "openssh") -> None:
    """Write a key pair without passphrase, a new one by default; the public key lies beside the private one.

    `form` is the private key's file format, as asyncssh calls it.
    """
    key = key or asyncssh.generate_private_key("ssh-ed25519")
    file.touch(mode=0o600)
    key.write_private_key(str(file), form)
    key.write_public_key(f"{file}.pub")
