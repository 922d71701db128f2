"""One file on its way in: bytes without a name, until a CLOSE gives them one (rules L1 to L3)."""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from secrets import token_hex
from typing import Final

from relay.landing.codec import RefusedError
from relay.landing.filesystem import RemotePath, Root, os_error, shown
from relay.landing.room import NoRoomError, Room
from relay.model import Fingerprint
from relay.sftp import Status

WRITE_BACK_EVERY: Final = 8 * 1024 * 1024
"""So many bytes are left to the operating system's leisure at most; the rest is under way, and CLOSE stays short."""

Background = Callable[[Callable[[], None]], object]
"""Has something done soon for which nobody waits."""

_MOST_ISLANDS: Final = 1024
_FULL: Final = {errno.ENOSPC, errno.EDQUOT}


class Upload:
    """An open upload. `write`, `commit` and the like are called one at a time.

    Args:
        root: the account's part of the disk.
        room: how much its account may still store.
        background: where the disk is told to begin with what was written.
        path: where the file is to appear.
        must_be_new: a file that is there by then is not replaced.
        readable: the client may read what it wrote.
    """

    def __init__(
        self, root: Root, room: Room, background: Background, path: RemotePath, *, must_be_new: bool, readable: bool
    ) -> None:
        self.path = path
        self.readable = readable
        self.failure = ""
        self._root = root
        self._room = room
        self._background = background
        self._must_be_new = must_be_new
        self._name = token_hex(16)
        self._descriptor = root.create_incoming(self._name)
        # The bytes from 0 on that were written without a gap, and what was written beyond: start and end.
        self._whole = 0
        self._islands: dict[int, int] = {}
        self._written_back = 0
        self._is_writing_back = False
        # What the account's room was asked for: the size, also where the file was made shorter again.
        self._counted = 0

    @property
    def size(self) -> int:
        """The highest offset written so far."""
        return max(self._whole, *self._islands.values()) if self._islands else self._whole

    def write(self, offset: int, payload: memoryview) -> None:
        """Write all of `payload`, or fail this upload for good (rule L2).

        Raises:
            RefusedError: a write has failed before, this one would leave too many gaps, or there is no room for it.
            OSError: the disk did not take it.
        """
        if self.failure:
            raise RefusedError(Status.FAILURE, "An earlier write of this file failed")
        end = offset + len(payload)
        try:
            if end > self._counted:
                self._count(end)
            self._write_all(offset, payload)
            self._note_written(offset, end)
            if self._whole - self._written_back >= WRITE_BACK_EVERY and not self._is_writing_back:
                self._room.check_floor()
                self._start_write_back()
        except BaseException as trouble:
            self.failure = _reason(trouble)
            raise

    def _count(self, size: int) -> None:
        self._room.take(size - self._counted, size)
        self._counted = size

    def _write_all(self, offset: int, payload: memoryview) -> None:
        while payload:
            count = self._root.disk.write(self._descriptor, payload, offset)
            if not count:
                raise os_error(errno.EIO)
            payload = payload[count:]
            offset += count

    def _note_written(self, offset: int, end: int) -> None:
        if offset > self._whole:
            if len(self._islands) >= _MOST_ISLANDS:
                raise RefusedError(Status.FAILURE, "Too much of the file was left out so far")
            self._islands[offset] = max(end, self._islands.get(offset, 0))
            return
        self._whole = max(self._whole, end)
        if self._islands:
            for start in sorted(self._islands):
                if start > self._whole:
                    break
                self._whole = max(self._whole, self._islands.pop(start))

    def _start_write_back(self) -> None:
        begin, length = self._written_back, self._whole - self._written_back
        # Its own descriptor: the upload may be over before the disk has a moment for it.
        descriptor = os.dup(self._descriptor)

        def write_back() -> None:
            # On Linux this starts writing the dirty pages of the range. It does not wait for them, but it may for a
            # place in the disk's queue.
            try:
                os.posix_fadvise(descriptor, begin, length, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)
                self._is_writing_back = False

        self._written_back, self._is_writing_back = self._whole, True
        self._background(write_back)

    def truncate(self, size: int) -> None:
        """Set the size. What a larger size adds counts as never written."""
        if size > self._counted:
            self._count(size)
        else:
            self._room.changed()
        os.ftruncate(self._descriptor, size)
        self._whole = min(self._whole, size)
        self._islands = {start: min(end, size) for start, end in self._islands.items() if start < size}
        self._written_back = min(self._written_back, size)

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes of what was written, if the file was opened for that too."""
        if not self.readable:
            raise RefusedError(Status.PERMISSION_DENIED, "The file was not opened for reading")
        return os.pread(self._descriptor, length, offset)

    def stat(self) -> os.stat_result:
        """Return what the file system knows of the file."""
        return os.fstat(self._descriptor)

    def sync(self) -> None:
        """Return when what was written so far is durable; a failure fails this upload for good."""
        try:
            self._root.disk.sync(self._descriptor)
        except OSError:
            # The kernel may report it only once, and call the pages clean from then on.
            self.failure = "not_durable"
            raise

    def commit(self, note: Callable[[Fingerprint, int], None]) -> int:
        """Make the file durable, give it its name, have it noted with its size, and return that size (rule L1).

        Whatever fails, `note` included: nothing is published, and the upload is over.

        Raises:
            RefusedError: the file is not complete.
            OSError: the disk did not do its part.
        """
        try:
            size = self._checked_size()
            self.sync()
            found = self.stat()
            with self._root.published(self._name, self.path, must_be_new=self._must_be_new) as replaced:
                note(Fingerprint(found.st_ino, found.st_mtime_ns), size)
        except BaseException:
            self.discard()
            raise
        if replaced:
            self._room.changed()
        self._give_back()
        return size

    def _checked_size(self) -> int:
        """Return the size, if every byte up to the highest offset was written and nothing failed (rule L2)."""
        if self.failure:
            raise RefusedError(Status.FAILURE, "A write of this file failed; it was not kept")
        size = self.stat().st_size
        if self._islands or size != self._whole:
            raise RefusedError(Status.FAILURE, f"Parts of {shown(self.path)} were never written; it was not kept")
        return size

    def discard(self) -> None:
        """Give everything up. A file that cannot be removed is left to the daily sweep (rule R3)."""
        if self._descriptor >= 0:
            self._give_back()
            self._room.changed()

    def _give_back(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        with suppress(OSError):
            os.close(descriptor)
        with suppress(OSError):
            self._root.discard_incoming(self._name)


def _reason(trouble: BaseException) -> str:
    """Return the log's fixed word for what made a write fail."""
    if isinstance(trouble, NoRoomError):
        return trouble.reason
    return "disk_full" if isinstance(trouble, OSError) and trouble.errno in _FULL else "incomplete"
