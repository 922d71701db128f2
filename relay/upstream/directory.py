"""The upstream's directory, through the few requests that the relay makes of it (rule U3).

Every request has a deadline, since the library waits for ever for a peer that has gone silent, and every trouble leaves
as an `UpstreamError`. There is no SETSTAT, no append and no overwriting rename here.
"""

import asyncio
import hashlib
import posixpath
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Final, cast

import asyncssh

from relay.upstream.deadline import Deadline
from relay.upstream.draft import Draft
from relay.upstream.failures import Reason, Step, UpstreamError

_READ_AT_ONCE: Final = 4 << 20
_LARGEST_PIECE: Final = 255 << 10
_IN_FLIGHT_BYTES: Final = 4 << 20
_IN_FLIGHT_WRITES: Final = 128


class RemoteDirectory:
    """The directory that lists go to.

    Args:
        sftp: an open SFTP session.
        path: the directory, as the upstream names it.
        deadline: how long the upstream may take to answer.

    Every method raises `UpstreamError`.
    """

    def __init__(self, sftp: asyncssh.SFTPClient, path: str, deadline: Deadline) -> None:
        self._sftp = sftp
        self._path = path
        self._deadline = deadline

    async def sizes(self) -> dict[str, int]:
        """Return the sizes in bytes of what lies in it, by name; 0 where the server does not say."""
        found: dict[str, int] = {}
        async with (
            self._deadline.asking(Step.LIST) as answered,
            aclosing(cast("AsyncGenerator[asyncssh.SFTPName, None]", self._sftp.scandir(self._path))) as entries,
        ):
            async for entry in entries:
                answered()
                found[str(entry.filename)] = entry.attrs.size or 0
        return found

    async def size_of(self, name: str) -> int | None:
        """Return the size of a file in bytes, or None where there is none of that name."""
        async with self._deadline.asking(Step.LOOK):
            try:
                size = (await self._sftp.stat(self._at(name))).size
            except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
                return None
        if size is None:
            raise UpstreamError(Reason.LOOK_REFUSED, f"{Step.LOOK}: the server does not say its size")
        return size

    async def open(self, name: str, *, exclusive: bool) -> "RemoteFile":
        """Open a file for writing from its beginning: one that must not be there yet, or else emptied if it is."""
        async with self._deadline.asking(Step.OPEN):
            # block_size=0 makes one request of each write; splitting and pipelining is done here.
            file = await self._sftp.open(self._at(name), "xb" if exclusive else "wb", block_size=0)
        return RemoteFile(file, min(self._sftp.limits.max_write_len, _LARGEST_PIECE), self._deadline)

    async def put(self, name: str, content: bytes) -> None:
        """Write a small file that must not be there yet."""
        file = await self.open(name, exclusive=True)
        await file.write(content)

    async def rename(self, old: str, new: str) -> None:
        """Rename a file with plain RENAME, which does not overwrite."""
        async with self._deadline.asking(Step.RENAME):
            await self._sftp.rename(self._at(old), self._at(new))

    async def sha256_of(self, name: str) -> str | None:
        """Return the SHA-256 of a file's content; None where the upstream does not let it be read back."""
        digest, offset = hashlib.sha256(), 0
        try:
            async with self._deadline.asking(Step.READ) as answered, self._sftp.open(self._at(name), "rb") as file:
                while block := cast("bytes", await file.read(_READ_AT_ONCE, offset)):
                    digest.update(block)
                    offset += len(block)
                    answered()
        except UpstreamError as error:
            if error.reason is Reason.OPERATION_FAILED:
                return None
            raise
        return digest.hexdigest()

    async def remove(self, name: str) -> None:
        """Remove a file of our own; that there is none of that name is no trouble."""
        async with self._deadline.asking(Step.REMOVE):
            with suppress(asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
                await self._sftp.remove(self._at(name))

    async def clear_away(self, name: str) -> bool:
        """Remove a file of our own if that can be done, and say whether there is none of that name any more."""
        try:
            await self.remove(name)
        except UpstreamError:
            return False
        return True

    def _at(self, name: str) -> str:
        return posixpath.join(self._path, name)


class RemoteFile:
    """A file at the upstream that is open for writing."""

    def __init__(self, file: asyncssh.SFTPClientFile, piece: int, deadline: Deadline) -> None:
        self._file = file
        self._piece = piece
        self._deadline = deadline

    async def write(self, content: bytes) -> None:
        """Write the whole of a small `content` and close the file."""
        async with self._deadline.asking(Step.WRITE):
            await self._file.write(content, 0)
            await self._file.close()

    async def fill(self, draft: Draft) -> None:
        """Write the whole of `draft` and close the file; when this returns, the upstream acknowledged all of it.

        Raises:
            UpstreamError: whatever the upstream answers, no acknowledgement in the time that a stall may last, or a
                draft that is not what was planned. The file stays behind as it is.
        """
        async with self._deadline.asking(Step.WRITE) as answered, aclosing(draft.blocks()) as blocks:
            writes = _Writes(self._file, self._piece, answered)
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
