"""One SFTP session on a channel of the test's own: how it ends."""

import asyncio
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any, cast

import pytest
from parts.sftp import string

from relay.floor import Floor
from relay.landing.codec import Answer
from relay.landing.custody import Custody
from relay.landing.filesystem import Disk, Root
from relay.landing.handles import Handles
from relay.landing.operations import Operations
from relay.landing.pace import Pace
from relay.landing.room import Allowance, Room, Usage
from relay.landing.session import SftpSession
from relay.sftp import Fields, Kind

PATIENCE = 20.0
INIT = b"\1\0\0\0\3"
BROKEN_STAT = bytes([Kind.STAT]) + struct.pack(">II", 7, 100)
"""It says that a path of a hundred bytes follows, and none does."""


class Channel:
    """What a session needs of a channel."""

    def is_closing(self) -> bool:
        """It stays open."""
        return False

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


class Counted(Operations):
    """A session's operations, which count their ends and can be kept waiting."""

    def __init__(self, root: Root, custody: Custody) -> None:
        super().__init__(root, custody, background=lambda work: work())
        self.ends: list[str] = []
        self.may_go_on = Event()
        self.may_go_on.set()

    def perform(self, run: Callable[[Operations, Fields], Answer], fields: Fields) -> Answer:
        """Do it when the test lets it."""
        assert self.may_go_on.wait(PATIENCE)
        return super().perform(run, fields)

    def end(self, reason: str) -> None:
        """End, and count it."""
        self.ends.append(reason)
        super().end(reason)


def operations(directory: Path) -> Counted:
    """The operations of a session with an empty landing zone."""
    for name in ("landing", "incoming"):
        (directory / name).mkdir()
    room = Room(Allowance(1000, 3000, 200), lambda: Usage(0, 0), Floor(lambda: 1 << 50, 1000))
    custody = Custody("amperity", "s1", room, Handles(1 << 20), lambda _: None, lambda: None, lambda: False)
    return Counted(Root(directory / "landing", directory / "incoming", Disk()), custody)


def packet(body: bytes) -> bytes:
    """A packet with its length."""
    return string(body)


@pytest.mark.parametrize(
    ("request_", "lost_meanwhile", "reason"),
    [(BROKEN_STAT, False, "bad_message"), (BROKEN_STAT, True, "not_closed"), (b"", True, "not_closed")],
    ids=["broken packet", "lost with a broken packet in hand", "lost with nothing in hand"],
)
def test_a_session_is_wound_up_once(tmp_path: Path, request_: bytes, reason: str, *, lost_meanwhile: bool) -> None:
    """Twice at once, descriptors would be closed twice, the second time whosever they are by then."""
    it = operations(tmp_path)
    troubles: list[Any] = []

    async def run(pool: ThreadPoolExecutor) -> None:
        session = SftpSession(lambda: it, pool, Pace(), changed=lambda: None, failed=troubles.append)
        session.connection_made(cast("Any", Channel()))
        assert session.subsystem_requested("sftp")
        session.data_received(packet(INIT), None)
        it.may_go_on.clear()
        if request_:
            session.data_received(packet(request_), None)
        if lost_meanwhile:
            session.connection_lost(None)
        it.may_go_on.set()
        async with asyncio.timeout(PATIENCE):
            while not session.ended:  # noqa: ASYNC110  it wakes nobody
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.02)

    with ThreadPoolExecutor(4) as pool:
        asyncio.run(run(pool))
    assert (it.ends, troubles) == ([reason], [])
