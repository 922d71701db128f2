"""The upstream's directory, through the few requests that the relay makes of it (rule U3).

Every request has a deadline, since the library waits for ever for a peer that has gone silent, and every trouble leaves
as an `UpstreamError`. There is no SETSTAT, no append and no overwriting rename here.
"""

import asyncio
import posixpath
from collections import deque
from collections.abc import Callable
from contextlib import aclosing, suppress
from typing import Final

import asyncssh

from relay.upstream.draft import Draft
from relay.upstream.failures import Reason, Step, UpstreamError, met_while

_LARGEST_PIECE: Final = 255 << 10
_IN_FLIGHT_BYTES: Final = 4 << 20
_IN_FLIGHT_WRITES: Final = 128


class RemoteDirectory:
    """The directory that lists go to.

    Args:
        sftp: an open SFTP session.
        path: the directory, as the upstream names it.
        stall: seconds without any progress after which the upstream counts as stalled.

    Every method raises `UpstreamError`.
    """

    def __init__(self, sftp: asyncssh.SFTPClient, path: str, stall: float) -> None:
        self._sftp = sftp
        self._path = path
        self._stall = stall

    async def list(self) -> None:
        """Read the directory, to see that it can be read."""
        with met_while(Step.LIST):
            async with asyncio.timeout(self._stall):
                await self._sftp.listdir(self._path)

    async def size_of(self, name: str) -> int | None:
        """Return the size of a file in bytes, or None where there is none of that name."""
        with met_while(Step.LOOK):
            async with asyncio.timeout(self._stall):
                try:
                    size = (await self._sftp.stat(self._at(name))).size
                except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
                    return None
        if size is None:
            raise UpstreamError(Reason.LOOK_REFUSED, f"{Step.LOOK}: the server does not say its size")
        return size

    async def open(self, name: str, *, exclusive: bool) -> "RemoteFile":
        """Open a file for writing from its beginning: one that must not be there yet, or else emptied if it is."""
        with met_while(Step.OPEN):
            async with asyncio.timeout(self._stall):
                # block_size=0 makes one request of each write; splitting and pipelining is done here.
                file = await self._sftp.open(self._at(name), "xb" if exclusive else "wb", block_size=0)
        return RemoteFile(file, min(self._sftp.limits.max_write_len, _LARGEST_PIECE), self._stall)

    async def rename(self, old: str, new: str) -> None:
        """Rename a file with plain RENAME, which does not overwrite."""
        with met_while(Step.RENAME):
            async with asyncio.timeout(self._stall):
                await self._sftp.rename(self._at(old), self._at(new))

    async def clear_away(self, name: str) -> None:
        """Remove a file of our own if that can be done; if not, nobody is worse off than before."""
        with suppress(UpstreamError), met_while(Step.REMOVE):
            async with asyncio.timeout(self._stall):
                await self._sftp.remove(self._at(name))

    def _at(self, name: str) -> str:
        return posixpath.join(self._path, name)


class RemoteFile:
    """A file at the upstream that is open for writing."""

    def __init__(self, file: asyncssh.SFTPClientFile, piece: int, stall: float) -> None:
        self._file = file
        self._piece = piece
        self._stall = stall

    async def fill(self, draft: Draft) -> None:
        """Write the whole of `draft` and close the file; when this returns, the upstream acknowledged all of it.

        Raises:
            UpstreamError: whatever the upstream answers, no acknowledgement in the time that a stall may last, or a
                draft that is not what was planned. The file stays behind as it is.
        """
        with met_while(Step.WRITE):
            async with asyncio.timeout(self._stall) as patience, aclosing(draft.blocks()) as blocks:
                writes = _Writes(self._file, self._piece, lambda: patience.reschedule(_monotonic() + self._stall))
                try:
                    async for block in blocks:
                        await writes.send(block)
                    await writes.settle()
                finally:
                    await writes.abandon()
                await self._file.close()


class _Writes:
    """Writes under way to one file: several at a time, so that the round trip is paid once and not for each piece."""

    def __init__(self, file: asyncssh.SFTPClientFile, piece: int, acknowledged: Callable[[], None]) -> None:
        self._file = file
        self._piece = piece
        self._acknowledged = acknowledged
        self._most = max(1, min(_IN_FLIGHT_BYTES // piece, _IN_FLIGHT_WRITES))
        self._under_way: deque[asyncio.Task[int]] = deque()
        self._offset = 0

    async def send(self, block: bytes) -> None:
        """Send a block in pieces, waiting for the oldest one whenever too many are under way."""
        for start in range(0, len(block), self._piece):
            if len(self._under_way) == self._most:
                await self._oldest()
            piece = block[start : start + self._piece]
            self._under_way.append(asyncio.create_task(self._file.write(piece, self._offset)))
            self._offset += len(piece)

    async def settle(self) -> None:
        """Wait until every write was acknowledged."""
        while self._under_way:
            await self._oldest()

    async def abandon(self) -> None:
        """Give up what is still under way."""
        for write in self._under_way:
            write.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _oldest(self) -> None:
        await self._under_way.popleft()
        self._acknowledged()


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
