"""The doorstep: how much of what a client sends is taken in at a time."""

import asyncio
import socket
from typing import TYPE_CHECKING, cast

import uvloop

from relay.landing.doorstep import Doorstep

if TYPE_CHECKING:
    import asyncssh

SENT = 2 * 1024 * 1024
A_TURN = 128 * 1024
ONE_READ = 64 * 1024


class Connection(asyncio.Protocol):
    """What bytes are passed on to; it notes how many came within one turn of the event loop."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.turns: list[int] = [0]
        self.over = asyncio.get_running_loop().create_future()
        self._transport: asyncio.BaseTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Put the doorstep in front, open."""
        self._transport = transport
        Doorstep(cast("asyncssh.SSHServerConnection", self), self._too_many).open()
        self._tick()

    def _tick(self) -> None:
        self.turns.append(0)
        if not self.over.done():
            asyncio.get_running_loop().call_soon(self._tick)

    @staticmethod
    def _too_many() -> None:
        raise AssertionError("it is open")

    def data_received(self, data: bytes) -> None:
        """Count."""
        self.received.append(data)
        self.turns[-1] += len(data)

    def eof_received(self) -> None:
        """The end."""
        self.over.set_result(None)


async def receive(content: bytes) -> Connection:
    """Send `content` faster than anybody could take it in."""
    loop = asyncio.get_running_loop()
    mine, theirs = socket.socketpair()
    for end in (mine, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, len(content))
        end.settimeout(0)
    sent = mine.send(content)
    transport, connection = await loop.connect_accepted_socket(Connection, theirs)
    await loop.sock_sendall(mine, content[sent:])
    mine.shutdown(socket.SHUT_WR)
    async with asyncio.timeout(30):
        await connection.over
    transport.close()
    mine.close()
    return connection


def test_a_fast_client_has_its_turn_and_then_everybody_else() -> None:
    """uvloop would read two megabytes from one socket before it looks at another; whatever comes, comes in order."""
    content = bytes(range(256)) * (SENT // 256)
    connection = uvloop.run(receive(content))
    assert b"".join(connection.received) == content
    assert max(connection.turns) < A_TURN + ONE_READ
