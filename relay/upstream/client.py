"""The asking side of an SFTP session: requests out, answers in, and nobody waits for ever."""

import asyncio
from typing import Final

import asyncssh

from relay.sftp import MOST_DATA, BadMessageError, Fields, Inbox, Kind
from relay.upstream import requests
from relay.upstream.requests import Answer

_SAFE_WRITE: Final = 32 * 1024
"""Bytes that a WRITE may carry wherever the server does not say: what every server must take."""

_FLUSH_AT: Final = 64 * 1024
"""Requests of so many bytes do not wait for others to go with them."""


class Strand:
    """One list's requests in a session that several lists share: `answers` counts its own.

    So it shows when this list makes no progress, whatever the others do.
    """

    def __init__(self, client: "SftpClient") -> None:
        self._client = client
        self.answers = 0

    @property
    def piece(self) -> int:
        """How many bytes a WRITE may carry."""
        return self._client.piece

    def ask(self, kind: Kind, *fields: bytes) -> asyncio.Future[Answer]:
        """As `SftpClient.ask`."""
        return self._counted(self._client.ask(kind, *fields))

    def write(self, handle: bytes, offset: int, content: memoryview) -> asyncio.Future[Answer]:
        """As `SftpClient.write`."""
        return self._counted(self._client.write(handle, offset, content))

    def _counted(self, answer: asyncio.Future[Answer]) -> asyncio.Future[Answer]:
        answer.add_done_callback(self._count)
        return answer

    def _count(self, answer: asyncio.Future[Answer]) -> None:
        if not answer.cancelled() and answer.exception() is None:
            self.answers += 1


class SftpClient(asyncssh.SSHClientSession[bytes]):
    """SFTP version 3 over one of asyncssh's channels.

    Requests that are made in one turn of the event loop leave in one piece, for each write on a channel costs two
    packets; their answers come in any order. What makes the session useless (it ends, goes silent, or breaks the
    protocol) is raised by every request that waits, and by each that is made afterwards.

    Args:
        patience: seconds without any answer, while one is due, after which the server counts as silent: asyncssh
            would wait for ever.
    """

    def __init__(self, patience: float) -> None:
        self.answers = 0
        """How many answers there were; one more is progress."""
        self.piece = _SAFE_WRITE
        """How many bytes a WRITE may carry."""
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._channel: asyncssh.SSHClientChannel[bytes]
        self._inbox = Inbox()
        self._outgoing: list[bytes | memoryview] = []
        self._outgoing_bytes = 0
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._greeting: asyncio.Future[bytes] | None = None
        self._requests = 0
        self._heard_at = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._over: Exception | None = None

    @property
    def over(self) -> bool:
        """Whether the session is of no more use."""
        return self._over is not None

    async def greet(self) -> None:
        """Agree on the version and learn how long a WRITE may be; what everything else begins with.

        Raises:
            BadMessageError: the server speaks no SFTP version 3.
            asyncssh.Error, OSError: the session or its connection has ended.
        """
        self._greeting = self._loop.create_future()
        self._expect()
        self._send(requests.INIT)
        if requests.announces_limits(await self._greeting):
            most = requests.longest_write(await self.ask(Kind.EXTENDED, requests.LIMITS))
            self.piece = min(most, MOST_DATA) or _SAFE_WRITE

    def ask(self, kind: Kind, *fields: bytes) -> asyncio.Future[Answer]:
        """Make a request, and return what becomes its answer.

        Raises:
            asyncssh.Error, OSError, BadMessageError: what ended the session; the future raises it, too.
        """
        number, answer = self._number()
        self._send(requests.request(kind, number, *fields))
        return answer

    def write(self, handle: bytes, offset: int, content: memoryview) -> asyncio.Future[Answer]:
        """Ask for a WRITE of at most `piece` bytes; as `ask`. The content is copied before this returns or soon after.

        It must not be changed before the event loop has had a turn.
        """
        number, answer = self._number()
        self._send(requests.head_of_write(number, handle, offset, len(content)), content)
        return answer

    # What asyncssh calls

    def connection_made(self, chan: "asyncssh.SSHClientChannel[bytes]") -> None:
        """Keep the channel."""
        self._channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Hand out the answers that have come in."""
        if self._over is not None or datatype is not None:  # What the server's program complains of is no answer.
            return
        try:
            self._inbox.feed(data)
            while (packet := self._inbox.take()) is not None:
                self._hand_out(bytes(packet))
                del packet
        except BadMessageError as trouble:
            self._end(trouble)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self._end(exc or asyncssh.ConnectionLost("the session was ended"))

    # Requests

    def _number(self) -> tuple[int, asyncio.Future[Answer]]:
        if self._over is not None:
            raise self._over
        self._expect()
        self._requests = number = (self._requests + 1) & 0xFFFFFFFF
        answer = self._waiting[number] = self._loop.create_future()
        return number, answer

    def _send(self, *parts: bytes | memoryview) -> None:
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing += parts
        self._outgoing_bytes += sum(map(len, parts))
        if self._outgoing_bytes >= _FLUSH_AT:
            self._flush()

    def _flush(self) -> None:
        if not self._outgoing or self._over is not None:
            return
        packets = b"".join(self._outgoing)
        self._outgoing.clear()
        self._outgoing_bytes = 0
        try:
            self._channel.write(packets)
        except OSError as trouble:
            self._end(trouble)

    # Answers

    def _hand_out(self, packet: bytes) -> None:
        self._heard_at = self._loop.time()
        if self._greeting is not None and not self._greeting.done():
            self._greeting.set_result(packet)
            return
        fields = Fields(packet[1:])
        waiter = self._waiting.pop(fields.u32(), None)
        if waiter is None:
            raise BadMessageError("an answer to nothing that was asked")
        self.answers += 1
        if not waiter.done():  # Whoever asked may have given up.
            waiter.set_result(Answer(packet[0], fields))

    # Silence

    def _expect(self) -> None:
        """Begin to wait, unless an answer is due already."""
        if not self._waiting:
            self._heard_at = self._loop.time()
        if self._watch is None:
            self._watch = self._loop.call_later(self._patience, self._look)

    def _look(self) -> None:
        self._watch = None
        if not self._is_due():
            return
        left = self._heard_at + self._patience - self._loop.time()
        if left > 0:
            self._watch = self._loop.call_later(left, self._look)
        else:
            self._end(TimeoutError("no answer in time"))

    def _is_due(self) -> bool:
        return bool(self._waiting) or (self._greeting is not None and not self._greeting.done())

    # The end

    def _end(self, trouble: Exception) -> None:
        if self._over is not None:
            return
        self._over = trouble
        if self._watch is not None:
            self._watch.cancel()
        self._outgoing.clear()
        for waiter in self._waiting.values():
            if not waiter.done():
                waiter.set_exception(trouble)
        self._waiting.clear()
        if self._greeting is not None and not self._greeting.done():
            self._greeting.set_exception(trouble)
        self._channel.abort()
