"""The doorstep: what stands before a connection until its client has logged in (rule L20).

While asyncssh works on a request to log in, it takes in whatever else the client sends, without bounds, and copies all
of it again with each piece: one client that nobody knows could hold up everybody. A client that means to log in sends a
few kilobytes.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import asyncssh

_MOST_BYTES: Final = 256 * 1024


class Doorstep(asyncio.Protocol):
    """Lets only so many bytes through to a connection, until it is opened.

    Args:
        connection: what they are passed on to.
        too_many: called when there were more.
    """

    def __init__(self, connection: asyncssh.SSHServerConnection, too_many: Callable[[], None]) -> None:
        self._connection = connection
        self._too_many = too_many
        self._left = _MOST_BYTES
        # asyncssh hands its transport to nobody; a contract test watches that it is there.
        self._transport: asyncio.Transport = connection._transport  # type: ignore[assignment]  # noqa: SLF001
        self._transport.set_protocol(self)

    def open(self) -> None:
        """Step aside: from now on the connection has windows that bound what comes in."""
        self._transport.set_protocol(self._connection)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on, or say that there were too many."""
        self._left -= len(data)
        if self._left >= 0:
            self._connection.data_received(data)
        else:
            self._too_many()

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
