"""Clients of the landing zone: OpenSSH's own `sftp`, and one that sends whatever packets a test wants."""

import shutil
import signal
import socket
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import paramiko
import pytest

NEEDS_SFTP = pytest.mark.skipif(shutil.which("sftp") is None, reason="needs openssh-client")
PATIENCE = 60.0

# The host key is not what these tests are about; those that are pin it themselves.
OPTIONS = (
    *("-F", "none"),
    *("-o", "BatchMode=yes"),
    *("-o", "IdentitiesOnly=yes"),
    *("-o", "StrictHostKeyChecking=no"),
    *("-o", "UserKnownHostsFile=/dev/null"),
    *("-o", "LogLevel=ERROR"),
)


def sftp(port: int, user: str, key: Path, *commands: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run commands of OpenSSH's `sftp` in one batch, which ends at the first that fails unless it begins with `-`.

    Raises:
        AssertionError: `check` is set and the batch failed.
    """
    done = subprocess.run(
        ["sftp", *OPTIONS, "-P", str(port), "-i", str(key), "-b", "-", f"{user}@127.0.0.1"],
        input="\n".join(commands) + "\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    if check and done.returncode:
        raise AssertionError(f"sftp ended with status {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


class SlowUpload:
    """An upload by OpenSSH's `sftp`, slowed down so that a test can do something to it in its middle."""

    def __init__(self, port: int, user: str, key: Path, local: Path, remote: str) -> None:
        command = ["sftp", *OPTIONS, "-l", "2000", "-P", str(port), "-i", str(key), f"{user}@127.0.0.1"]
        self._client = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._client.stdin is not None
        self._client.stdin.write(f'put "{local}" "{remote}"\n'.encode())
        self._client.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client.poll() is None:
            self._client.kill()
        self._client.wait(PATIENCE)
        assert self._client.stdin is not None
        self._client.stdin.close()

    def kill(self) -> None:
        """Kill the client, as a crash of its host would."""
        self._client.send_signal(signal.SIGKILL)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._client.send_signal(signal.SIGINT)


@dataclass
class Answer:
    """An answer's type, the number of its request, and what follows."""

    kind: int
    request: int
    body: bytes

    @property
    def status(self) -> int:
        """The code of a STATUS."""
        assert self.kind == 101, f"no STATUS but {self.kind}"
        return int.from_bytes(self.body[:4], "big")

    @property
    def message(self) -> str:
        """The message of a STATUS."""
        length = int.from_bytes(self.body[4:8], "big")
        return self.body[8 : 8 + length].decode()

    @property
    def handle(self) -> bytes:
        """The handle of a HANDLE."""
        assert self.kind == 102, f"no HANDLE but {self.kind}: {self.body!r}"
        return self.body[4:]


def string(value: bytes) -> bytes:
    """Return a string as the protocol writes it."""
    return struct.pack(">I", len(value)) + value


class RawSftp:
    """An SFTP session in which a test writes the packets itself."""

    def __init__(self, port: int, user: str, key: Path) -> None:
        self.transport = paramiko.Transport(socket.create_connection(("127.0.0.1", port)))
        self.transport.start_client(timeout=PATIENCE)
        self.transport.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(str(key)))
        self.channel = self.transport.open_session()
        self.channel.settimeout(PATIENCE)
        self.channel.invoke_subsystem("sftp")
        self._received = b""
        self._requests = 0

    def __enter__(self) -> Self:
        self.greeting = self.greet()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.transport.close()

    def greet(self) -> bytes:
        """Send INIT and return what VERSION says."""
        self.send_packet(struct.pack(">BI", 1, 3))
        return self._packet()

    def send_packet(self, packet: bytes) -> None:
        """Send a packet; its length is put before it."""
        self.channel.sendall(string(packet))

    def send(self, kind: int, body: bytes = b"") -> int:
        """Send a request and return its number."""
        self._requests += 1
        self.send_packet(struct.pack(">BI", kind, self._requests) + body)
        return self._requests

    def receive(self) -> Answer:
        """Wait for the next answer."""
        packet = self._packet()
        return Answer(packet[0], int.from_bytes(packet[1:5], "big"), packet[5:])

    def ask(self, kind: int, body: bytes = b"") -> Answer:
        """Send a request and wait for its answer."""
        number = self.send(kind, body)
        answer = self.receive()
        assert answer.request == number
        return answer

    def open(self, path: bytes, flags: int = 0x1A) -> Answer:
        """OPEN; by default to create or overwrite."""
        return self.ask(3, string(path) + struct.pack(">II", flags, 0))

    def write(self, handle: bytes, offset: int, content: bytes, trailing: bytes = b"") -> Answer:
        """WRITE, with bytes after it if asked for."""
        return self.ask(6, string(handle) + struct.pack(">Q", offset) + string(content) + trailing)

    def close(self, handle: bytes) -> Answer:
        """CLOSE."""
        return self.ask(4, string(handle))

    def exit_status(self) -> int:
        """Wait for the end of the session and return its exit status."""
        return self.channel.recv_exit_status()

    def _packet(self) -> bytes:
        length = int.from_bytes(self._take(4), "big")
        return self._take(length)

    def _take(self, count: int) -> bytes:
        while len(self._received) < count:
            more = self.channel.recv(65536)
            if not more:
                raise EOFError("the server has ended the session")
            self._received += more
        taken, self._received = self._received[:count], self._received[count:]
        return taken
