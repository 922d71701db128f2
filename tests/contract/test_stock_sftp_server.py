"""The traps of asyncssh's own SFTP server, each beside what the landing zone does: why there is a server of ours.

A test that fails for `stock` is good news: asyncssh has changed, and the row can be looked at again.
"""

import asyncio
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import asyncssh
import paramiko
import pytest
from parts.descriptors import open_descriptors
from parts.landing import LandingZone, until, write_key
from parts.sftp import RawSftp, string

from relay.landing.filesystem import Disk

LIST = b"2125550123,VIP\n" * 100
MIB = 1 << 20


class Stock(asyncssh.SFTPServer):
    """asyncssh's server, of which a test can close what it leaves open."""

    opened: ClassVar[list[Any]] = []

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        """Open, and note what."""
        file = super().open(path, pflags, attrs)
        self.opened.append(file)
        return file


class StockZone:
    """asyncssh's SFTP server with a root directory of its own, in use as a context manager like a landing zone."""

    def __init__(self, directory: Path, kind: type[Stock] = Stock) -> None:
        self.root = directory / "root"
        self.key = directory / "client_key"
        self.port = 0
        self.connections: list[asyncssh.SSHServerConnection] = []
        self._kind = kind
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        (self.root / "uploads").mkdir(parents=True)
        write_key(self.key)
        self._thread.start()
        self._acceptor = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(30)
        self.port = self._acceptor.get_port()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        while Stock.opened:
            Stock.opened.pop().close()

    def visible(self) -> dict[str, bytes]:
        """The files that lie there: path and content."""
        return {f"/{path.relative_to(self.root)}": path.read_bytes() for path in self.root.rglob("*") if path.is_file()}

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            authorized_client_keys=f"{self.key}.pub",
            sftp_factory=lambda chan: self._kind(chan, chroot=str(self.root).encode()),
            acceptor=self.connections.append,
        )

    async def _end(self) -> None:
        self._acceptor.close()
        for connection in self.connections:
            connection.abort()
        await self._acceptor.wait_closed()


Zone = StockZone | LandingZone


@pytest.fixture(params=["stock", "ours"])
def zone(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Zone]:
    """Each of the two servers."""
    kind: type[StockZone | LandingZone] = StockZone if request.param == "stock" else LandingZone
    with kind(tmp_path / "zone") as zone:
        yield zone


def is_stock(zone: Zone) -> bool:
    """Whether the trap is there."""
    return isinstance(zone, StockZone)


def raw(zone: Zone) -> RawSftp:
    """A session for packets of our own."""
    return RawSftp(zone.port, "amperity", zone.key)


def test_a_dropped_upload(zone: Zone) -> None:
    """Stock: a file that was cut off lies there as if it were complete. Ours: it is not there (rule L2)."""
    with raw(zone) as client:
        client.write(client.open(b"/uploads/list.csv").handle, 0, LIST)
    until(lambda: not open_uploads(), "the upload to be given up")
    assert zone.visible() == ({"/uploads/list.csv": LIST} if is_stock(zone) else {})


def open_uploads() -> list[str]:
    """The files that the server in this process has open."""
    return [target for target in open_descriptors().values() if "list.csv" in target or "/incoming/amperity/" in target]


class ShortWrites(Stock):
    """A stock server on a disk that takes seven bytes of each write, as a full one takes the last block."""

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        """Write a part, and say how large it was."""
        return super().write(file_obj, offset, data[:7])  # type: ignore[return-value]  # it is not a coroutine here


def test_a_write_that_took_only_a_part(tmp_path: Path) -> None:
    """Stock: the count is not looked at, and the client reads success. Ours: it goes on with the rest (rule L2)."""
    disk = Disk(write=lambda descriptor, payload, offset: os.pwrite(descriptor, payload[:7], offset))
    zones: list[Zone] = [StockZone(tmp_path / "stock", ShortWrites), LandingZone(tmp_path / "ours", disk=disk)]
    kept = []
    for each in zones:
        with each as zone, raw(zone) as client:
            handle = client.open(b"/uploads/list.csv").handle
            assert client.write(handle, 0, LIST).status == 0
            assert client.close(handle).status == 0
            kept.append(zone.visible())
    assert kept == [{"/uploads/list.csv": LIST[:7]}, {"/uploads/list.csv": LIST}]


def test_a_link_moved_upwards(zone: Zone, tmp_path: Path) -> None:
    """Stock: what was legal where it was made leads out of the root afterwards. Ours: there are no links (rule L4)."""
    outside = (zone.root if isinstance(zone, StockZone) else zone.spool.landing("amperity")).parent / "secret"
    outside.write_bytes(b"not the client's")
    with raw(zone) as client:
        sftp = paramiko.SFTPClient.from_transport(client.transport)
        assert sftp is not None
        sftp.mkdir("/uploads/deep")
        try:
            sftp.symlink("../../secret", "/uploads/deep/link")
            sftp.rename("/uploads/deep/link", "/uploads/link")
            sftp.mkdir("/inner")
            with sftp.open("/uploads/link") as file:
                read = file.read()
        except OSError:
            read = b""
    assert read == (b"not the client's" if is_stock(zone) else b"")
    assert tmp_path in outside.parents


class SlowWrites(Stock):
    """A stock server whose writes wait for a slow disk."""

    taken = 0

    async def write(self, file_obj: object, offset: int, data: bytes) -> int:  # noqa: ARG002
        """Take a block after a while."""
        await asyncio.sleep(0.02)
        SlowWrites.taken += len(data)
        return len(data)


def test_a_client_faster_than_the_disk(tmp_path: Path) -> None:
    """Stock: each write lets a further window in, and memory grows. Ours: see the tests of bounded memory."""
    block, pushed = bytes(32768), 0
    with StockZone(tmp_path / "zone", SlowWrites) as zone, raw(zone) as client:
        handle = client.open(b"/uploads/list.csv").handle
        while pushed < 48 * MIB:
            client.send(6, string(handle) + struct.pack(">Q", pushed) + string(block))
            pushed += len(block)
        assert pushed - SlowWrites.taken > 10 * MIB


class FailingClose(Stock):
    """A stock server for which closing the first file fails."""

    def close(self, file_obj: Any) -> None:  # noqa: ANN401
        """Fail for the one, close the others."""
        if "first" in str(file_obj.name):
            raise OSError("this one cannot be closed")
        super().close(file_obj)


def test_a_close_that_fails_at_the_end(tmp_path: Path) -> None:
    """Stock: the handles behind it stay open. Ours: see the test of one handle that cannot be closed."""
    with StockZone(tmp_path / "zone", FailingClose) as zone:
        with raw(zone) as client:
            client.open(b"/uploads/first.csv")
            client.open(b"/uploads/second.csv")
        until(lambda: not has_open_channels(zone), "the session to end")
        assert any("second.csv" in target for target in open_descriptors().values())


def has_open_channels(zone: StockZone) -> bool:
    """Whether the client's connection is still there."""
    return any(not connection.is_closed() for connection in zone.connections)


def test_the_exit_status(zone: Zone) -> None:
    """Stock: there is none, and whoever looks at it takes a complete transfer for a failed one. Ours: 0."""
    with raw(zone) as client:
        client.channel.shutdown_write()
        assert client.exit_status() == (-1 if is_stock(zone) else 0)


def test_a_write_with_trailing_bytes(zone: Zone) -> None:
    """Stock: it is refused, and with it every upload of an older Go client. Ours: it is as liberal as OpenSSH."""
    with raw(zone) as client:
        handle = client.open(b"/uploads/list.csv").handle
        answer = client.write(handle, 0, LIST, trailing=b"\0" * 64)
        assert (answer.status == 0) is not is_stock(zone)
