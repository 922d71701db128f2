"""The upstream's directory, through the few requests that the relay makes of it (rule U3).

Every trouble leaves as an `UpstreamError`. There is no SETSTAT, no append and no overwriting rename here.
"""

import asyncio
import hashlib
import posixpath
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from relay.sftp import MOST_DATA, BadMessageError, Kind, OpenFlag, string
from relay.upstream import requests
from relay.upstream.client import SftpClient, Strand
from relay.upstream.failures import NO_SUCH, Reason, Step, UpstreamError, met_while
from relay.upstream.remote_file import RemoteFile
from relay.upstream.requests import StatusError

_READS_AT_ONCE: Final = 16
_SMALLEST_PIECE: Final = 4 << 10


class RemoteDirectory:
    """The directory that lists go to.

    Args:
        client: a greeted SFTP session.
        path: the directory, as the upstream names it.

    Every method raises `UpstreamError`.
    """

    def __init__(self, client: SftpClient, path: str) -> None:
        self._strand = Strand(client)
        self._path = path

    @property
    def answers(self) -> int:
        """How many answers the upstream has given to what was asked here; one more is progress."""
        return self._strand.answers

    async def sizes(self) -> dict[str, int]:
        """Return the sizes in bytes of what lies in it, by name; 0 where the server does not say.

        Names that are no UTF-8 are other people's, and no reason not to list the directory.
        """
        found: dict[str, int] = {}
        with met_while(Step.LIST):
            handle = string(requests.handle(await self._strand.ask(Kind.OPENDIR, _encoded(self._path))))
            while entries := requests.names(await self._strand.ask(Kind.READDIR, handle)):
                found |= {name.decode(errors="surrogateescape"): size or 0 for name, size in entries}
            requests.done(await self._strand.ask(Kind.CLOSE, handle))
        return found

    async def size_of(self, name: str) -> int | None:
        """Return the size of a file in bytes, or None where there is none of that name."""
        with met_while(Step.LOOK):
            try:
                size = requests.size(await self._strand.ask(Kind.STAT, self._at(name)))
            except StatusError as status:
                if status.code in NO_SUCH:
                    return None
                raise
        if size is None:
            raise UpstreamError(Reason.LOOK_REFUSED, f"{Step.LOOK}: the server does not say its size")
        return size

    async def open(self, name: str, *, exclusive: bool) -> RemoteFile:
        """Open a file for writing from its beginning: one that must not be there yet, or else emptied if it is."""
        with met_while(Step.OPEN):
            return RemoteFile(self._strand, await self._opened(name, _NEW if exclusive else _EMPTIED))

    async def put(self, name: str, content: bytes) -> None:
        """Write a small file that must not be there yet."""
        file = await self.open(name, exclusive=True)
        await file.write(content)

    async def rename(self, old: str, new: str) -> None:
        """Rename a file with plain RENAME, which does not overwrite."""
        with met_while(Step.RENAME):
            requests.done(await self._strand.ask(Kind.RENAME, self._at(old), self._at(new)))

    async def sha256_of(self, name: str) -> str | None:
        """Return the SHA-256 of a file's content; None where the upstream does not let it be read back."""
        digest = hashlib.sha256()
        try:
            with met_while(Step.READ):
                handle = await self._opened(name, OpenFlag.READ)
                try:
                    async with aclosing(self._content(handle)) as blocks:
                        async for block in blocks:
                            digest.update(block)
                except StatusError:
                    await self._strand.ask(Kind.CLOSE, string(handle))
                    raise
                requests.done(await self._strand.ask(Kind.CLOSE, string(handle)))
        except UpstreamError as error:
            if error.reason is Reason.OPERATION_FAILED:
                return None
            raise
        return digest.hexdigest()

    async def remove(self, name: str) -> None:
        """Remove a file of our own; that there is none of that name is no trouble."""
        with met_while(Step.REMOVE):
            try:
                requests.done(await self._strand.ask(Kind.REMOVE, self._at(name)))
            except StatusError as status:
                if status.code not in NO_SUCH:
                    raise

    async def clear_away(self, name: str) -> bool:
        """Remove a file of our own if that can be done, and say whether there is none of that name any more."""
        try:
            await self.remove(name)
        except UpstreamError:
            return False
        return True

    async def _opened(self, name: str, flags: OpenFlag) -> bytes:
        return requests.handle(await self._strand.ask(Kind.OPEN, self._at(name), requests.opening(flags)))

    async def _content(self, handle: bytes) -> AsyncGenerator[bytes, None]:
        """Yield what is in an open file, read in several pieces at a time.

        A server may give less than it is asked for; from then on it is asked for what it gives.
        """
        offset, piece = 0, MOST_DATA
        while True:
            places = [requests.place(offset + number * piece, piece) for number in range(_READS_AT_ONCE)]
            answers = await asyncio.gather(*[self._strand.ask(Kind.READ, string(handle), it) for it in places])
            for content in map(requests.data, answers):
                if not content:
                    return
                if len(content) > piece:
                    raise BadMessageError("more of a file than was asked for")
                yield content
                offset += len(content)
                if len(content) < piece:
                    piece = max(len(content), _SMALLEST_PIECE)
                    break

    def _at(self, name: str) -> bytes:
        return _encoded(posixpath.join(self._path, name))


_NEW: Final = OpenFlag.WRITE | OpenFlag.CREATE | OpenFlag.EXCLUSIVE
_EMPTIED: Final = OpenFlag.WRITE | OpenFlag.CREATE | OpenFlag.TRUNCATE


def _encoded(path: str) -> bytes:
    return string(path.encode(errors="surrogateescape"))
