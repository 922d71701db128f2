"""The local file of one list, read from its beginning to its end while its size and its SHA-256 are watched."""

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import Final

from relay.upstream.failures import Reason, UpstreamError

_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Draft:
    """A list as it was planned, or one of the files that it goes out as: where its bytes lie and what they must be.

    With an `offset`, they are `size` bytes from there on, and what lies around them is not looked at.
    """

    path: Path
    size: int
    sha256: str
    offset: int | None = None

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """Yield the bytes, and end well only if they were all of them and the right ones.

        Raises:
            UpstreamError: the file is missing, unreadable, shorter, longer or other than planned. Whoever has sent the
                blocks before must then not publish them.
        """
        seen, digest = 0, hashlib.sha256()
        with _legible():
            # Not in a thread: a wait that is cancelled would lose the open file.
            file = self.path.open("rb", buffering=0)
        reading = _begin(file, self.offset or 0, self._wanted(0), digest)
        try:
            while block := await asyncio.shield(reading):
                seen += len(block)
                if seen > self.size:
                    raise UpstreamError(Reason.DRAFT_DAMAGED, f"it is longer than the {self.size:,} bytes planned")
                is_last = len(block) < _BLOCK  # A regular file gives less than it is asked for only at its end.
                if not is_last:
                    # The next block is read and hashed while this one is under way.
                    reading = _begin(file, (self.offset or 0) + seen, self._wanted(seen), digest)
                yield block
                if is_last:
                    break
        finally:
            reading.add_done_callback(lambda it: _end(file, it))
        if seen < self.size:
            raise UpstreamError(Reason.DRAFT_DAMAGED, f"it has {seen:,} bytes, planned were {self.size:,}")
        if digest.hexdigest() != self.sha256:
            raise UpstreamError(Reason.DRAFT_DAMAGED, "its SHA-256 is not the one planned")

    def _wanted(self, seen: int) -> int:
        """Return how many bytes to read next; of a whole file always a block, so that a longer one is noticed."""
        return _BLOCK if self.offset is None else min(_BLOCK, self.size - seen)

    async def sha256_of_first(self, size: int) -> str:
        """Return the SHA-256 of its first `size` bytes.

        Raises:
            UpstreamError: as `blocks`.
        """
        left, digest = size, hashlib.sha256()
        async for block in self.blocks():
            digest.update(block[:left])
            left -= min(left, len(block))
        return digest.hexdigest()

    async def check(self) -> None:
        """Read it once through, for the errors."""
        async for _ in self.blocks():
            pass


def _begin(file: RawIOBase, offset: int, length: int, digest: "hashlib._Hash") -> asyncio.Future[bytes]:
    """Begin to read a block in a thread, which nothing cancels."""
    return asyncio.ensure_future(asyncio.to_thread(_read, file, offset, length, digest))


def _end(file: RawIOBase, last_read: asyncio.Future[bytes]) -> None:
    """Close the file, of which nothing is being read any more; what came of that is nobody's question by now."""
    file.close()
    if not last_read.cancelled():
        last_read.exception()


def _read(file: RawIOBase, offset: int, length: int, digest: "hashlib._Hash") -> bytes:
    with _legible():
        block = os.pread(file.fileno(), length, offset)
    digest.update(block)
    return block


@contextmanager
def _legible() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise UpstreamError(Reason.DRAFT_MISSING, "there is no such file") from None
    except OSError as error:
        raise UpstreamError(Reason.DRAFT_DAMAGED, f"it cannot be read: {error.strerror}") from None
