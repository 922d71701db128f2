"""Writing one file at the upstream: several pieces at a time, and each acknowledgement looked at."""

from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from relay.sftp import Kind, string
from relay.upstream import requests
from relay.upstream.client import Strand
from relay.upstream.draft import Draft
from relay.upstream.failures import Step, met_while

if TYPE_CHECKING:
    import asyncio

    from relay.upstream.requests import Answer

_IN_FLIGHT_BYTES: Final = 4 << 20
_IN_FLIGHT_WRITES: Final = 128


class RemoteFile:
    """A file at the upstream that is open for writing."""

    def __init__(self, strand: Strand, handle: bytes) -> None:
        self._strand = strand
        self._handle = handle

    async def write(self, content: bytes) -> None:
        """Write the whole of a small `content` and close the file.

        Raises:
            UpstreamError: as `fill`.
        """
        with met_while(Step.WRITE):
            requests.done(await self._strand.write(self._handle, 0, memoryview(content)))
            await self._close()

    async def fill(self, draft: Draft) -> None:
        """Write the whole of `draft` and close the file; when this returns, the upstream acknowledged all of it.

        Raises:
            UpstreamError: whatever the upstream answers, no acknowledgement in the time that a stall may last, or a
                draft that is not what was planned. The file stays behind as it is.
        """
        with met_while(Step.WRITE):
            writes = _Writes(self._strand, self._handle)
            try:
                async with aclosing(draft.blocks()) as blocks:
                    async for block in blocks:
                        await writes.send(block)
                await writes.settle()
            finally:
                writes.abandon()
            await self._close()

    async def _close(self) -> None:
        requests.done(await self._strand.ask(Kind.CLOSE, string(self._handle)))


class _Writes:
    """Writes under way to one file: several at a time, so that the round trip is paid once and not for each piece."""

    def __init__(self, strand: Strand, handle: bytes) -> None:
        self._strand = strand
        self._handle = handle
        self._piece = strand.piece
        self._most = max(1, min(_IN_FLIGHT_BYTES // self._piece, _IN_FLIGHT_WRITES))
        self._under_way: deque[asyncio.Future[Answer]] = deque()
        self._offset = 0

    async def send(self, block: bytes) -> None:
        """Send a block in pieces, waiting for the oldest one whenever too many are under way."""
        view = memoryview(block)
        for start in range(0, len(block), self._piece):
            if len(self._under_way) == self._most:
                await self._oldest()
            piece = view[start : start + self._piece]
            self._under_way.append(self._strand.write(self._handle, self._offset, piece))
            self._offset += len(piece)

    async def settle(self) -> None:
        """Wait until every write was acknowledged."""
        while self._under_way:
            await self._oldest()

    def abandon(self) -> None:
        """Look at no answer any more."""
        for answer in self._under_way:
            answer.cancel()

    async def _oldest(self) -> None:
        requests.done(await self._under_way.popleft())
