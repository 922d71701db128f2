"""The doorstep and its turns: how much of what a client sends is taken in at a time, and in which pieces."""

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from relay.landing.doorstep import Doorstep, Packets
from relay.landing.turns import A_ROUND, LEAST, Turns

if TYPE_CHECKING:
    import asyncssh

SENT = 4 * 1024 * 1024
ONE_READ = 256 * 1024
TAG = bytes(16)


def packet(content: bytes) -> bytes:
    """Return what looks like a packet of one of the ciphers that leave its length readable."""
    return len(content).to_bytes(4, "big") + content + TAG


class Watch:
    """Counts the turns of the event loop, and notes what all connections were given in each."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.given: list[list[bytes]] = [[]]
        self._tick()

    def _tick(self) -> None:
        self.given.append([])
        asyncio.get_running_loop().call_soon(self._tick)


class Connection(asyncio.Protocol):
    """What bytes are passed on to."""

    def __init__(self, watch: Watch, *, cipher: str = "", is_open: bool = True) -> None:
        self.received: list[bytes] = []
        self.over = asyncio.get_running_loop().create_future()
        self._watch = watch
        self._cipher = cipher
        self._is_open = is_open
        self._transport: asyncio.BaseTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Put the doorstep in front."""
        self._transport = transport
        doorstep = Doorstep(cast("asyncssh.SSHServerConnection", self), self._watch.turns, self._too_many)
        if self._is_open:
            doorstep.open()

    def get_extra_info(self, name: str) -> str | None:
        """Say which cipher is spoken."""
        return self._cipher if name == "recv_cipher" else None

    @staticmethod
    def _too_many() -> None:
        raise AssertionError("it is not that much")

    def data_received(self, data: bytes) -> None:
        """Note it."""
        self.received.append(data)
        self._watch.given[-1].append(data)

    def eof_received(self) -> None:
        """The end."""
        self.over.set_result(None)


def _same(connection: Connection) -> Connection:
    return connection


async def receive(content: bytes, *clients: Callable[[], Connection]) -> list[Connection]:
    """Have each client send `content` faster than anybody could take it in."""
    loop = asyncio.get_running_loop()
    connections, ends = [], []
    for client in clients:
        mine, theirs = socket.socketpair()
        for end in (mine, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, len(content))
            end.settimeout(0)
        sent = mine.send(content)
        ends.append((mine, content[sent:], theirs))
        connections.append(client())
    transports = [
        (await loop.connect_accepted_socket(partial(_same, made), theirs))[0]
        for made, (_, _, theirs) in zip(connections, ends, strict=True)
    ]
    async with asyncio.timeout(30):
        await asyncio.gather(*(loop.sock_sendall(mine, rest) for mine, rest, _ in ends))
        for mine, _, _ in ends:
            mine.shutdown(socket.SHUT_WR)
        await asyncio.gather(*(made.over for made in connections))
    for transport in transports:
        transport.close()
    for mine, _, _ in ends:
        mine.close()
    return connections


@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "aes128-ctr"])
def test_a_fast_client_has_its_turn_and_then_everybody_else(cipher: str) -> None:
    """uvloop would read megabytes from one socket before it looks at another; whatever comes, comes in order."""

    async def alone() -> tuple[list[Connection], Watch]:
        watch = Watch()
        return await receive(content, lambda: Connection(watch, cipher=cipher)), watch

    content = packet(bytes(range(256)) * 128) * (SENT // (128 * 256))
    [connection], watch = uvloop.run(alone())
    assert b"".join(connection.received) == content
    assert max(sum(map(len, pieces)) for pieces in watch.given) < A_ROUND + ONE_READ


def test_many_busy_clients_share_a_round() -> None:
    """The more there are, the less each has of a turn: so the wait of everybody else stays the same."""
    shares: dict[str, int] = {}

    async def deal(count: int) -> None:
        turns = Turns()
        for number in range(count):
            turns.after_the_others(lambda size, number=number: shares.update({str(number): size}))  # type: ignore[misc]
        await asyncio.sleep(0)

    asyncio.run(deal(1))
    assert shares == {"0": A_ROUND}
    asyncio.run(deal(8))
    assert set(shares.values()) == {A_ROUND // 8}
    asyncio.run(deal(1000))
    assert set(shares.values()) == {LEAST}


def test_logins_are_taken_one_step_at_a_time() -> None:
    """Forty at the same moment would be forty key exchanges in one turn of the event loop."""
    greeting = b"SSH-2.0-newcomer\r\n"

    async def crowd() -> tuple[list[Connection], Watch]:
        watch = Watch()
        return await receive(greeting, *[lambda: Connection(watch, is_open=False)] * 40), watch

    connections, watch = uvloop.run(crowd())
    assert [it.received for it in connections] == [[greeting]] * 40
    assert max(map(len, watch.given)) == 1


@given(st.lists(st.binary(max_size=300), max_size=20), st.lists(st.integers(1, 200), min_size=1))
def test_packets_are_passed_on_one_by_one(contents: list[bytes], reads: list[int]) -> None:
    """However they are received, a piece never goes beyond the end of a packet, and nothing is held back."""
    stream = memoryview(b"".join(map(packet, contents)))
    packets, at, turn = Packets(), 0, 0
    ends = set()
    while at < len(stream):
        received = stream[at : at + reads[turn % len(reads)]]
        turn += 1
        while received:
            size = packets.piece(received)
            assert size > 0
            at += size
            received = received[size:]
            ends.add(at)
    boundary = 0
    for content in contents:
        boundary += len(packet(content))
        assert boundary in ends


def test_bytes_that_are_no_packets_are_passed_on_as_they_come() -> None:
    """After a change to a cipher that hides the length, all that is lost is where packets begin."""
    packets = Packets()
    assert packets.piece(memoryview(packet(b"first"))) == len(packet(b"first"))
    rest = memoryview(bytes([255]) * 100_000)
    packets.piece(rest[:70_000])
    assert packets.piece(rest) == len(rest)
