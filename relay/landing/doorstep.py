"""The doorstep: what stands between a connection's socket and asyncssh, and takes bytes in by small measures.

It bounds what a client may send before it has logged in (rule L20). While asyncssh works on a request to log in, it
takes in whatever else the client sends, without bounds, and copies all of it again with each piece: one client that
nobody knows could hold up everybody. A client that means to log in sends a few kilobytes.

It lets nobody be served at the cost of all others: what comes is taken in by turns.

And it hands packets over one by one: asyncssh copies all that it has behind a packet, twice, before it takes the next.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import asyncssh

from relay.landing.turns import A_ROUND, Turns

_MOST_BYTES: Final = 256 * 1024

_AT_ONCE: Final = memoryview(bytearray(256 * 1024))
"""Where bytes are received into. One for all, since an event loop receives and hands over in one go."""

_GCM: Final = frozenset({"aes128-gcm@openssh.com", "aes256-gcm@openssh.com"})
"""Ciphers that leave the length of a packet readable, and sign it with so many bytes:"""
_TAG: Final = 16

_LENGTH: Final = 4
_LONGEST: Final = 64 * 1024


class Packets:
    """Finds the ends of packets in a stream that begins with one. Bytes are only looked at, never held back.

    If it is mistaken, because a client changed to another cipher, nothing is lost but some speed.
    """

    def __init__(self) -> None:
        self._beginning = b""
        self._left = 0
        self._is_lost = False

    def piece(self, received: memoryview) -> int:
        """Return how many of the bytes that come next belong to the packet that comes next."""
        if self._is_lost:
            return len(received)
        if not self._left:
            seen = len(self._beginning)
            self._beginning += received[: _LENGTH - seen]
            if len(self._beginning) < _LENGTH:
                return len(received)
            length = int.from_bytes(self._beginning, "big")
            self._is_lost = length > _LONGEST
            self._beginning, self._left = b"", _LENGTH + length + _TAG - seen
        size = min(self._left, len(received))
        self._left -= size
        return size


class Doorstep(asyncio.BufferedProtocol):
    """Lets only so many bytes through to a connection: in all until it is opened, and at a time from then on.

    Args:
        connection: what they are passed on to.
        turns: when.
        too_many: called when there were more before it was opened.
    """

    def __init__(self, connection: asyncssh.SSHServerConnection, turns: Turns, too_many: Callable[[], None]) -> None:
        self._connection = connection
        self._turns = turns
        self._too_many = too_many
        self._is_open = False
        self._packets: Packets | None = None
        self._left = _MOST_BYTES
        # asyncssh hands its transport to nobody; a contract test watches that it is there.
        self._transport: asyncio.Transport = connection._transport  # type: ignore[assignment]  # noqa: SLF001
        self._transport.set_protocol(self)

    def open(self) -> None:
        """Let any number of bytes through: from now on the connection has windows that bound what comes in."""
        self._is_open = True
        self._left = A_ROUND
        if self._connection.get_extra_info("recv_cipher") in _GCM:
            # A client waits for the answer to its login, so what comes next is the beginning of a packet.
            self._packets = Packets()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  as the event loop calls it
        """Say where to receive into."""
        return _AT_ONCE

    def buffer_updated(self, nbytes: int) -> None:
        """Pass bytes on when it is their turn, or say that there were too many."""
        self._left -= nbytes
        received = _AT_ONCE[:nbytes]
        if not self._is_open:
            self._take_newcomer(bytes(received))
            return
        if self._packets is None:
            self._connection.data_received(bytes(received))
        else:
            self._pass_packets(received, self._packets)
        if self._left <= 0 and not self._transport.is_closing():
            self._transport.pause_reading()
            self._turns.after_the_others(self._take_another_turn)

    def _take_newcomer(self, received: bytes) -> None:
        if self._left < 0:
            self._too_many()
            return
        self._transport.pause_reading()
        self._turns.one_by_one(lambda: self._let_in(received))

    def _let_in(self, received: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._connection.data_received(received)

    def _pass_packets(self, received: memoryview, packets: Packets) -> None:
        at = 0
        while at < len(received) and not self._transport.is_closing():
            end = at + packets.piece(received[at:])
            self._connection.data_received(bytes(received[at:end]))
            at = end

    def _take_another_turn(self, size: int) -> None:
        self._left = size
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def eof_received(self) -> None:
        """Pass it on."""
        self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on."""
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass it on."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._connection.resume_writing()
