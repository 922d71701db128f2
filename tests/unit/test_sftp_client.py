"""The asking side of SFTP: what it sends, what it takes for an answer, and how it ends."""

import asyncio
import hashlib
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar, cast

import asyncssh
import pytest
from parts.answers import OK, VERSION, Asked, Channel, answer, status
from parts.lists import an_upload, rows
from parts.sftp import string

from relay.sftp import MOST_DATA, MOST_PACKET, BadMessageError, Fields, Kind
from relay.upstream import requests
from relay.upstream.client import SftpClient
from relay.upstream.directory import RemoteDirectory
from relay.upstream.failures import Reason, UpstreamError
from relay.upstream.requests import StatusError

T = TypeVar("T")
PATIENCE = 0.2
LIMITS = struct.pack(">4Q", 262144, 261120, 261120, 100)


class Peer:
    """A client and what it has asked; with `reply`, each request after INIT is answered by what that returns."""

    def __init__(
        self,
        reply: Callable[[Asked], bytes] | None = None,
        *,
        version: bytes = VERSION,
        patience: float = PATIENCE,
    ) -> None:
        self.asked: list[Asked] = []
        self.channel = Channel(self._take)
        self.client = SftpClient(patience)
        self.client.connection_made(cast("asyncssh.SSHClientChannel[bytes]", self.channel))
        self._loop = asyncio.get_running_loop()
        self._reply = reply
        self._version = version

    def hear(self, *packets: bytes) -> None:
        """Have the client receive something."""
        self.client.data_received(b"".join(packets), None)

    def _take(self, asked: Asked) -> None:
        if asked.kind == Kind.INIT:
            self._loop.call_soon(self.hear, self._version)
            return
        self.asked.append(asked)
        if self._reply is not None:
            self._loop.call_soon(self.hear, self._reply(asked))


def with_peer(
    use: Callable[[Peer], Awaitable[T]],
    reply: Callable[[Asked], bytes] | None = None,
    version: bytes = VERSION,
    patience: float = PATIENCE,
) -> T:
    """Run `use` with a client that was greeted."""

    async def run() -> T:
        async with asyncio.timeout(10):
            peer = Peer(reply, version=version, patience=patience)
            await peer.client.greet()
            return await use(peer)

    return asyncio.run(run())


def test_requests_of_one_turn_leave_in_one_piece() -> None:
    """Each write on a channel costs two packets, so small requests share one."""

    async def use(peer: Peer) -> int:
        before = peer.channel.writes
        await asyncio.gather(*[peer.client.ask(Kind.STAT, string(b"%d" % number)) for number in range(20)])
        return peer.channel.writes - before

    assert with_peer(use, lambda asked: status(asked.number)) == 1


def test_answers_may_come_in_any_order_and_in_any_pieces() -> None:
    """Each goes to the request whose number it has."""

    async def use(peer: Peer) -> list[bytes]:
        waiting = [peer.client.ask(Kind.OPEN, string(b"name"), bytes(8)) for _ in range(3)]
        await asyncio.sleep(0)
        stream = b"".join(answer(Kind.HANDLE, it.number, string(b"h%d" % it.number)) for it in reversed(peer.asked))
        for at in range(len(stream)):
            peer.hear(stream[at : at + 1])
        return [requests.handle(await it) for it in waiting]

    assert with_peer(use) == [b"h1", b"h2", b"h3"]


def test_each_request_has_a_number_of_its_own() -> None:
    """Also while the answers to others are due."""

    async def use(peer: Peer) -> list[int]:
        await asyncio.gather(*[peer.client.ask(Kind.STAT, string(b"x")) for _ in range(50)])
        return [it.number for it in peer.asked]

    assert len(set(with_peer(use, lambda asked: status(asked.number)))) == 50


@pytest.mark.parametrize(
    ("announced", "limits", "piece"),
    [
        (b"", b"", 32768),
        (string(b"limits@openssh.com") + string(b"1"), LIMITS, MOST_DATA),
        (string(b"limits@openssh.com") + string(b"1"), struct.pack(">4Q", 1, 1, 9000, 1), 9000),
        (string(b"limits@openssh.com") + string(b"1"), bytes(32), 32768),
        (string(b"limits@openssh.com") + string(b"2"), LIMITS, 32768),
    ],
    ids=["not announced", "large", "small", "unlimited", "another revision"],
)
def test_a_write_is_as_long_as_the_server_takes(announced: bytes, limits: bytes, piece: int) -> None:
    """What it says where it says anything, and never more than fits into a packet."""

    async def use(peer: Peer) -> int:
        return peer.client.piece

    version = string(VERSION[4:] + announced)
    assert with_peer(use, lambda asked: answer(Kind.EXTENDED_REPLY, asked.number, limits), version) == piece


@pytest.mark.parametrize(
    "version",
    [
        string(struct.pack(">BI", Kind.VERSION, 2)),
        string(struct.pack(">BI", Kind.STATUS, 3)),
        string(b"\x02\0\0"),
        string(VERSION[4:] + string(b"a name without a value")),
        b"This account is not available.\n",
        (MOST_PACKET + 1).to_bytes(4, "big"),
    ],
    ids=["version 2", "no VERSION", "cut short", "half an extension", "a shell's words", "too large"],
)
def test_what_does_not_speak_the_protocol_is_told_apart(version: bytes) -> None:
    """A login script that prints something, for one: nobody waits for the rest of a packet that never comes."""

    async def use(_: Peer) -> None:
        pass

    with pytest.raises(BadMessageError):
        with_peer(use, version=version)


@pytest.mark.parametrize(
    "nonsense",
    [
        status(99),
        status(0),
        (MOST_PACKET + 1).to_bytes(4, "big"),
        string(b"\x65\0\0"),
        bytes(4),
    ],
    ids=["a number nobody uses", "number nought", "too large", "without a number", "empty"],
)
def test_nonsense_ends_the_session_for_everybody_who_waits(nonsense: bytes) -> None:
    """After it nothing that comes in can be trusted, so the channel is closed and nothing more is asked."""

    async def use(peer: Peer) -> tuple[list[object], bool]:
        waiting = [peer.client.ask(Kind.STAT, string(b"x")) for _ in range(3)]
        await asyncio.sleep(0)
        peer.hear(nonsense, status(1))
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        with pytest.raises(BadMessageError):
            peer.client.ask(Kind.STAT, string(b"x"))
        return [type(it) for it in outcomes], peer.channel.aborted and peer.client.over

    assert with_peer(use) == ([BadMessageError] * 3, True)


def test_a_second_answer_to_one_request_is_nonsense() -> None:
    """Its number is nobody's any more."""

    async def use(peer: Peer) -> bool:
        await peer.client.ask(Kind.STAT, string(b"x"))
        return peer.client.over

    assert with_peer(use, lambda asked: status(asked.number) * 2)


def test_what_the_servers_program_complains_of_is_no_answer() -> None:
    """It comes on the same channel, marked as such."""

    async def use(peer: Peer) -> bool:
        peer.client.data_received(b"sftp-server: warning\n", asyncssh.EXTENDED_DATA_STDERR)
        await peer.client.ask(Kind.STAT, string(b"x"))
        return peer.client.over

    assert not with_peer(use, lambda asked: status(asked.number))


def test_silence_ends_the_session() -> None:
    """Every request that waits learns it, and the next is not even sent."""

    async def use(peer: Peer) -> list[object]:
        waiting = [peer.client.ask(Kind.STAT, string(b"x")) for _ in range(2)]
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        asked = len(peer.asked)
        with pytest.raises(TimeoutError):
            peer.client.ask(Kind.STAT, string(b"x"))
        assert len(peer.asked) == asked
        return [type(it) for it in outcomes]

    assert with_peer(use) == [TimeoutError] * 2


def test_a_server_that_never_greets_is_given_up() -> None:
    """The greeting is an answer that is due, like any other."""

    async def run() -> None:
        peer = Peer(version=b"")
        with pytest.raises(TimeoutError):
            await peer.client.greet()

    asyncio.run(run())


def test_an_answer_is_progress_for_everybody_who_waits() -> None:
    """A request behind others has not to fear that these take long, as long as they are answered."""

    async def use(peer: Peer) -> None:
        last = peer.client.ask(Kind.STAT, string(b"last"))
        for _ in range(6):
            other = peer.client.ask(Kind.STAT, string(b"x"))
            await asyncio.sleep(PATIENCE / 2)
            peer.hear(status(peer.asked[-1].number))
            await other
        peer.hear(status(peer.asked[0].number))
        await last

    with_peer(use)


def test_time_in_which_nothing_is_due_is_no_silence() -> None:
    """Between two lists, or while a draft is read, nobody expects an answer."""

    async def use(peer: Peer) -> None:
        await peer.client.ask(Kind.STAT, string(b"x"))
        await asyncio.sleep(PATIENCE * 2)
        await peer.client.ask(Kind.STAT, string(b"x"))

    with_peer(use, lambda asked: status(asked.number))


def test_an_answer_that_nobody_waits_for_any_more_is_dropped() -> None:
    """Whoever was cancelled leaves the session as good as it was."""

    async def use(peer: Peer) -> bool:
        peer.client.ask(Kind.STAT, string(b"x")).cancel()
        await asyncio.sleep(0)
        peer.hear(status(peer.asked[-1].number))
        return peer.client.over

    assert not with_peer(use)


@pytest.mark.parametrize("end", [None, asyncssh.ConnectionLost("x"), ConnectionResetError("x")])
def test_the_end_of_the_connection_is_told_to_whoever_waits(end: Exception | None) -> None:
    """However it came."""

    async def use(peer: Peer) -> BaseException:
        waiting = peer.client.ask(Kind.STAT, string(b"x"))
        peer.client.connection_lost(end)
        with pytest.raises((asyncssh.ConnectionLost, ConnectionResetError)) as caught:
            await waiting
        return caught.value

    assert isinstance(with_peer(use), type(end) if end else asyncssh.ConnectionLost)


@pytest.mark.parametrize(("piece", "most"), [(255 << 10, 16), (16 << 10, 128), (8 << 10, 128)])
def test_a_silent_server_is_sent_only_so_much(tmp_path: Path, piece: int, most: int) -> None:
    """About 4 MiB and at most 128 writes are under way, however long the list is."""

    def reply(asked: Asked) -> bytes:
        return answer(Kind.HANDLE, asked.number, string(b"h")) if asked.kind == Kind.OPEN else b""

    async def use(peer: Peer) -> int:
        peer.client.piece = piece
        file = await RemoteDirectory(peer.client, "/uploads").open("x", exclusive=True)
        with pytest.raises(UpstreamError) as caught:
            await file.fill(an_upload(tmp_path, rows(1_000_000)).draft)
        assert caught.value.reason is Reason.STALLED
        return sum(it.kind == Kind.WRITE for it in peer.asked)

    # Long enough for a busy machine to read as much.
    assert with_peer(use, reply, patience=1.0) == most


def test_every_write_is_looked_at_before_the_file_is_closed(tmp_path: Path) -> None:
    """One that fails among many that go well is enough."""

    def reply(asked: Asked) -> bytes:
        if asked.kind == Kind.OPEN:
            return answer(Kind.HANDLE, asked.number, string(b"h"))
        return status(asked.number, 4 if asked.number == 5 else OK)

    async def use(peer: Peer) -> list[int]:
        file = await RemoteDirectory(peer.client, "/uploads").open("x", exclusive=True)
        with pytest.raises(UpstreamError) as caught:
            await file.fill(an_upload(tmp_path, rows(30_000)).draft)
        assert caught.value.reason is Reason.OPERATION_FAILED
        return [it.kind for it in peer.asked]

    assert Kind.CLOSE not in with_peer(use, reply)


@pytest.mark.parametrize("given", [MOST_DATA, 32768, 1000, 1])
def test_a_file_is_read_back_whole_however_little_a_read_gives(given: int) -> None:
    """A server may answer a READ with less than was asked for."""
    content = bytes(range(256)) * (given * 3 // 256 + 1)

    def reply(asked: Asked) -> bytes:
        if asked.kind == Kind.OPEN:
            return answer(Kind.HANDLE, asked.number, string(b"h"))
        if asked.kind == Kind.CLOSE:
            return status(asked.number)
        offset, length = struct.unpack(">QI", asked.body[5:])
        piece = content[offset : offset + min(length, given)]
        return answer(Kind.DATA, asked.number, string(piece)) if piece else status(asked.number, 1)

    async def use(peer: Peer) -> str | None:
        return await RemoteDirectory(peer.client, "/uploads").sha256_of("x")

    assert with_peer(use, reply) == hashlib.sha256(content).hexdigest()


def test_more_of_a_file_than_was_asked_for_is_nonsense() -> None:
    """What would be taken twice is not hashed."""

    def reply(asked: Asked) -> bytes:
        if asked.kind == Kind.OPEN:
            return answer(Kind.HANDLE, asked.number, string(b"h"))
        return answer(Kind.DATA, asked.number, string(bytes(MOST_DATA + 1)))

    async def use(peer: Peer) -> Reason:
        with pytest.raises(UpstreamError) as caught:
            await RemoteDirectory(peer.client, "/uploads").sha256_of("x")
        return caught.value.reason

    assert with_peer(use, reply) is Reason.PROTOCOL_ERROR


def test_a_status_is_told_by_its_number_alone() -> None:
    """The peer's words are neither looked at nor repeated."""
    packet = status(7, 4)[4:]
    with pytest.raises(StatusError) as caught:
        requests.done(requests.Answer(packet[0], Fields(packet[5:])))
    assert (caught.value.code, str(caught.value)) == (4, "SFTP status 4")


def test_answers_to_one_list_are_no_progress_of_another() -> None:
    """Several share a session, and each directory counts what it has asked for itself."""

    async def use(peer: Peer) -> tuple[int, int]:
        heard, hanging = (RemoteDirectory(peer.client, "/uploads") for _ in range(2))
        waiting = [asyncio.ensure_future(it.open("x", exclusive=True)) for it in (heard, hanging)]
        await asyncio.wait(waiting, timeout=0.01)
        peer.hear(answer(Kind.HANDLE, peer.asked[0].number, string(b"h")))
        await waiting[0]
        waiting[1].cancel()
        await asyncio.wait(waiting)
        return heard.answers, hanging.answers

    assert with_peer(use) == (1, 0)
