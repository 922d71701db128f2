"""A TCP proxy on loopback that misbehaves on demand, in front of a real server."""

import asyncio
import socket
import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

_CHUNK = 16 << 10
_NO_LINGER = struct.pack("ii", 1, 0)


class Trouble(StrEnum):
    """What happens to a connection."""

    CUT = "cut"
    """Both sides are closed in good order."""
    RESET = "reset"
    """Both sides see their connection reset."""
    STALL = "stall"
    """Nothing passes any more, and nothing is closed."""
    HALF_CLOSE = "half-close"
    """The client sees the end of what the server sends; the other direction stays open, and is read."""
    SLOW = "slow"
    """Everything passes, a little at a time."""


@dataclass
class Fault:
    """When it happens: after so many bytes from the client, of each connection, and at so many connections."""

    trouble: Trouble
    after: int = 0
    times: int | None = 1


class FaultProxy:
    """Passes on what a client and the server at `target` say, until the fault strikes; a context manager."""

    def __init__(self, target: int, fault: Fault | None = None) -> None:
        self.fault = fault
        self.port = 0
        self.passed: list[int] = []
        """How many bytes each connection's client has sent, in the order of the connections."""
        self._target = target
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._at_work: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._at_work:
            task.cancel()
        await asyncio.gather(*self._at_work, return_exceptions=True)
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault, number = self._next_fault(), len(self.passed)
        self.passed.append(0)
        there = await asyncio.open_connection("127.0.0.1", self._target)
        self._open |= {writer, there[1]}
        done = asyncio.Event()
        for pump in (
            self._up(reader, there[1], writer, number, fault, done),
            self._down(there[0], writer, fault, done),
        ):
            task = asyncio.create_task(pump)
            self._at_work.add(task)
            task.add_done_callback(self._at_work.discard)

    def _next_fault(self) -> Fault | None:
        fault = self.fault
        if fault is None or fault.times == 0:
            return None
        fault.times = fault.times and fault.times - 1
        return fault

    async def _up(
        self,
        reader: asyncio.StreamReader,
        server: asyncio.StreamWriter,
        client: asyncio.StreamWriter,
        number: int,
        fault: Fault | None,
        struck: asyncio.Event,
    ) -> None:
        """Pass on what the client says, count it, and strike when it is time."""
        while data := await _read(reader):
            if fault is not None and self.passed[number] + len(data) > fault.after and fault.trouble != Trouble.SLOW:
                data = data[: max(0, fault.after - self.passed[number])]
                if not struck.is_set():
                    server.write(data)
                    struck.set()
                    _strike(fault.trouble, server, client)
                continue
            self.passed[number] += len(data)
            server.write(data)
            await _drain(server)
            if fault is not None and fault.trouble is Trouble.SLOW:
                await asyncio.sleep(0.02)
        server.close()

    async def _down(
        self, reader: asyncio.StreamReader, client: asyncio.StreamWriter, fault: Fault | None, struck: asyncio.Event
    ) -> None:
        """Pass on what the server says, unless the fault has struck."""
        while data := await _read(reader):
            if struck.is_set() and fault is not None:
                continue
            client.write(data)
            await _drain(client)
        if not (struck.is_set() and fault is not None and fault.trouble is Trouble.STALL):
            client.close()


def _strike(trouble: Trouble, server: asyncio.StreamWriter, client: asyncio.StreamWriter) -> None:
    match trouble:
        case Trouble.CUT:
            server.close()
            client.close()
        case Trouble.RESET:
            for writer in (server, client):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                writer.transport.abort()
        case Trouble.HALF_CLOSE:
            client.write_eof()
        case Trouble.STALL | Trouble.SLOW:
            pass


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(_CHUNK)
    except OSError:
        return b""


async def _drain(writer: asyncio.StreamWriter) -> None:
    try:
        await writer.drain()
    except OSError:
        return
