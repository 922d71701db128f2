"""A real OpenSSH server on loopback: the upstream of the integration tests."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from getpass import getuser
from pathlib import Path
from typing import Self

import pytest

from relay.config import UpstreamSettings

PROGRAM = shutil.which("sshd", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
NEEDS_SSHD = pytest.mark.skipif(PROGRAM is None, reason="needs openssh-server")
PRIVILEGE_SEPARATION = Path("/run/sshd")
PATIENCE = 10.0


class Sshd:
    """`sshd` with `internal-sftp` for the current user, on a free port of 127.0.0.1, in use as a context manager.

    It has no root directory of its own, so the upstream's directory is the absolute path `directory`. Logging in takes
    `client_key`; `known_hosts` pins the host key. `stop` and `start` keep the port, so that a test can have an
    upstream that comes back.

    Args:
        root: a directory of this server's own, for keys, settings and `uploads`.
        options: further lines of its configuration, in sshd_config's own words.
        refused: SFTP requests that are denied, in sftp-server's own words ("rename", "stat", "open" …).
    """

    def __init__(self, root: Path, *, refused: tuple[str, ...] = (), options: tuple[str, ...] = ()) -> None:
        self.root = root
        self.uploads = root / "uploads"
        self.client_key = root / "client_key"
        self.known_hosts = root / "known_hosts"
        self.user = getuser()
        self.port = 0
        self._host_key = root / "host_key"
        self._log = root / "sshd.log"
        self._refused = refused
        self._options = "\n".join(options)
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process that listens."""
        assert self._server is not None
        return self._server.pid

    @property
    def directory(self) -> str:
        """The directory that lists go to, as a client names it."""
        return str(self.uploads)

    def settings(self, **changes: object) -> UpstreamSettings:
        """The settings of an upstream that is this server, with `changes`."""
        settings = {
            "name": "attentive",
            "host": "127.0.0.1",
            "port": self.port,
            "user": self.user,
            "private_key": self.client_key,
            "known_hosts": self.known_hosts,
            "directory": self.directory,
        }
        return UpstreamSettings.model_validate({**settings, **changes})

    def __enter__(self) -> Self:
        self.uploads.mkdir(parents=True)
        _generate_key(self.client_key)
        self.change_host_key()
        self.start()
        self.pin_host_key()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen: on a free port the first time, on the same one ever after."""
        if os.geteuid() == 0:
            PRIVILEGE_SEPARATION.mkdir(exist_ok=True)
        for _ in range(5):
            port = self.port or free_port()
            if self._listens_on(port):
                self.port = port
                return
        raise RuntimeError(f"sshd does not start:\n{self._log.read_text()}")

    def stop(self) -> None:
        """End the server and every connection to it."""
        if self._server is not None:
            # Stopped first, so that no connection slips in between its children and itself.
            self._server.send_signal(signal.SIGSTOP)
            self.drop_connections()
            self._server.kill()
            self._server.wait(PATIENCE)
            self._server = None

    def drop_connections(self) -> None:
        """Cut every connection off at once, as a crash of the server's host would."""
        self._signal_sessions(signal.SIGKILL)

    def freeze(self) -> None:
        """Have every connection stay open and answer nothing more."""
        self._signal_sessions(signal.SIGSTOP)

    def change_host_key(self) -> None:
        """Give the server another host key; it takes effect at the next `start`, and `known_hosts` stays as it is."""
        self._host_key.unlink(missing_ok=True)
        _generate_key(self._host_key)

    def pin_host_key(self) -> None:
        """Write `known_hosts` for the host key that the server has now."""
        kind, key, *_ = self._host_key.with_suffix(".pub").read_text().split()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {kind} {key}\n")

    def received(self) -> dict[str, bytes]:
        """What lies in the upstream's directory: name and content."""
        return {path.name: path.read_bytes() for path in sorted(self.uploads.iterdir())}

    def _listens_on(self, port: int) -> bool:
        """Start the server and wait until it listens; False where something else has the port."""
        command = [str(PROGRAM), "-D", "-e", "-f", str(self._write_settings(port))]
        with self._log.open("wb") as log:
            self._server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self._server.poll() is None:
            if b"Server listening on" in self._log.read_bytes():
                return True
            time.sleep(0.01)
        self._server.kill()
        self._server.wait(PATIENCE)
        self._server = None
        return False

    def _write_settings(self, port: int) -> Path:
        refused = f" -P {','.join(self._refused)}" if self._refused else ""
        path = self.root / "sshd_config"
        path.write_text(
            f"""
            ListenAddress 127.0.0.1:{port}
            HostKey {self._host_key}
            AuthorizedKeysFile {self.client_key}.pub
            PidFile none
            AuthenticationMethods publickey
            PermitRootLogin prohibit-password
            StrictModes no
            UseDNS no
            UsePAM no
            MaxStartups 200
            MaxSessions 200
            LogLevel VERBOSE
            Subsystem sftp internal-sftp{refused}
            ForceCommand internal-sftp{refused}
            {self._options}
            """
        )
        return path

    def _signal_sessions(self, number: signal.Signals) -> None:
        if self._server is not None:
            for pid in _descendants(self._server.pid):
                _signal(pid, number)


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition` holds; a test that waits in vain fails with `what`."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {PATIENCE:.0f} s in vain until {what}")
        time.sleep(0.005)


def _generate_key(path: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _descendants(pid: int) -> Iterator[int]:
    """Every process that `pid` started, and theirs: sshd puts each connection into a session of its own."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in map(int, children):
        yield from _descendants(child)
        yield child


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
