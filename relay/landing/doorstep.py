"""The doorstep: what stands between a connection's socket and asyncssh, and takes bytes in by small measures.

It bounds what a client may send before it has logged in (rule L20). While asyncssh works on a request to log in, it
takes in whatever else the client sends, without bounds, and copies all of it again with each piece: one client that
nobody knows could hold up everybody. A client that means to log in sends a few kilobytes.

And it lets nobody be served at the cost of all others. uvloop reads megabytes from one socket before it looks at the
next, and all of them are decrypted on the way: with eight uploads, everybody else would wait a sixth of a second for
each turn, and an operation takes several.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import asyncssh

_MOST_BYTES: Final = 256 * 1024

_A_TURN: Final = 128 * 1024
"""Bytes that a client may have taken in until everybody else has had a turn."""

_AT_ONCE: Final = memoryview(bytearray(64 * 1024))
"""Where bytes are received into. One for all, since an event loop receives and hands over in one go."""


class Doorstep(asyncio.BufferedProtocol):
    """Lets only so many bytes through to a connection: in all until it is opened, and at a time from then on.

    Args:
        connection: what they are passed on to.
        too_many: called when there were more before it was opened.
    """

    def __init__(self, connection: asyncssh.SSHServerConnection, too_many: Callable[[], None]) -> None:
        self._connection = connection
        self._too_many = too_many
        self._left: float = _MOST_BYTES
        self._left_of_turn = _A_TURN
        self._loop = asyncio.get_running_loop()
        # asyncssh hands its transport to nobody; a contract test watches that it is there.
        self._transport: asyncio.Transport = connection._transport  # type: ignore[assignment]  # noqa: SLF001
        self._transport.set_protocol(self)

    def open(self) -> None:
        """Let any number of bytes through: from now on the connection has windows that bound what comes in."""
        self._left = float("inf")

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  as the event loop calls it
        """Say where to receive into."""
        return _AT_ONCE

    def buffer_updated(self, nbytes: int) -> None:
        """Pass bytes on, or say that there were too many."""
        self._left -= nbytes
        if self._left < 0:
            self._too_many()
            return
        self._connection.data_received(bytes(_AT_ONCE[:nbytes]))
        self._left_of_turn -= nbytes
        if self._left_of_turn <= 0 and not self._transport.is_closing():
            self._transport.pause_reading()
            self._loop.call_soon(self._take_another_turn)

    def _take_another_turn(self) -> None:
        self._left_of_turn = _A_TURN
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
