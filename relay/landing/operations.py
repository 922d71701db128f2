"""What a logged-in client may do, operation by operation.

One session does one operation at a time, as OpenSSH's server does. So answers come in the order of the requests, and
nothing here is ever entered twice at once, although most of it runs in threads.
"""

import errno
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Final

from relay.landing import codec
from relay.landing.codec import Answer, RefusedError, Write
from relay.landing.custody import Custody
from relay.landing.filesystem import Download, Listing, RemotePath, Root, os_error, remote_path, shown
from relay.landing.upload import Background, Upload
from relay.model import RelayError
from relay.sftp import MOST_DATA, MOST_PACKET, Fields, OpenFlag, Status

MOST_HANDLES: Final = 64
"""Files and directories that one session may have open at once."""

_ENTRIES_AT_ONCE: Final = 100

_Handle = Upload | Download | Listing


class Operations:
    """One session's open handles, and what can be done with them.

    `perform` and `end` block and are called in a thread, `write` is quick enough for the event loop.

    Args:
        root: the account's part of the disk.
        custody: whose uploads these are.
        background: has something done soon for which nobody waits.
    """

    def __init__(self, root: Root, custody: Custody, *, background: Background) -> None:
        self._root = root
        self._custody = custody
        self._background = background
        self._handles: dict[bytes, _Handle] = {}
        self._given_out = 0

    @property
    def uploads(self) -> list[Upload]:
        """The uploads that are open."""
        return [handle for handle in list(self._handles.values()) if isinstance(handle, Upload)]

    def perform(self, run: Callable[["Operations", Fields], Answer], fields: Fields) -> Answer:
        """Do one operation, which is a method of this class, and put what is in its way into an answer.

        Raises:
            BadMessageError: the request is broken.
        """
        try:
            return run(self, fields)
        except (RefusedError, OSError, RelayError) as trouble:
            return _answer_to(trouble)

    def write(self, request: Write) -> Answer:
        """Do WRITE: straight into the page cache, so that no client can be faster than its bytes are put away."""
        try:
            self._upload(request.handle).write(request.offset, request.payload)
        except (RefusedError, OSError) as trouble:
            return _answer_to(trouble)
        return codec.OK

    def end(self, reason: str) -> None:
        """Give up whatever is open. A trouble with one handle does not keep the others."""
        handles, self._handles = self._handles, {}
        with ExitStack() as stack:
            stack.callback(self._custody.handles.give_back, self._custody.account, len(handles))
            stack.callback(self._root.close)
            for handle in handles.values():
                if isinstance(handle, Upload):
                    stack.callback(self._custody.give_up, handle, reason)
                else:
                    stack.callback(handle.close)

    # Handles

    def _give_out(self, open_handle: Callable[[], _Handle]) -> Answer:
        if len(self._handles) >= MOST_HANDLES:
            raise RefusedError(Status.FAILURE, f"At most {MOST_HANDLES} files may be open at once")
        self._custody.handles.take(self._custody.account)
        try:
            opened = open_handle()
        except BaseException:
            self._custody.handles.give_back(self._custody.account)
            raise
        self._given_out += 1
        handle = self._given_out.to_bytes(codec.HANDLE_SIZE, "big")
        self._handles[handle] = opened
        return codec.handle(handle)

    def _open_handle(self, handle: bytes) -> _Handle:
        try:
            return self._handles[handle]
        except KeyError:
            raise RefusedError(Status.FAILURE, "This handle is not open") from None

    def _upload(self, handle: bytes) -> Upload:
        upload = self._open_handle(handle)
        if not isinstance(upload, Upload):
            raise RefusedError(Status.PERMISSION_DENIED, "This handle is not open for writing")
        return upload

    def _open_upload(self, path: RemotePath) -> Upload | None:
        """Return this session's own upload of a path, the last one begun: nobody else sees it (rule L9)."""
        return next((upload for upload in reversed(self.uploads) if upload.path == path), None)

    # Files

    def open(self, fields: Fields) -> Answer:
        """OPEN: an upload where the client wants to write, else a download."""
        path = remote_path(fields.string())
        flags = OpenFlag(fields.u32() & sum(OpenFlag))
        fields.size_attribute()
        if flags & OpenFlag.WRITE:
            return self._give_out(lambda: self._begin_upload(path, flags))
        return self._give_out(lambda: self._root.open_file(path))

    def _begin_upload(self, path: RemotePath, flags: OpenFlag) -> Upload:
        if self._custody.stopping():
            raise RefusedError(Status.FAILURE, "The relay is being stopped; send the file again in a minute")
        if flags & OpenFlag.APPEND:
            raise RefusedError(Status.OP_UNSUPPORTED, "Appending is not supported; send the whole file again")
        must_be_new = bool(flags & OpenFlag.EXCLUSIVE)
        exists = self._root.check_publishable(path, must_be_new=must_be_new)
        if exists and not flags & OpenFlag.TRUNCATE:
            raise RefusedError(Status.OP_UNSUPPORTED, "Resuming is not supported; send the whole file again")
        if not exists and not flags & OpenFlag.CREATE:
            raise os_error(errno.ENOENT)
        self._custody.admit(path)
        readable = bool(flags & OpenFlag.READ)
        return Upload(
            self._root, self._custody.room, self._background, path, must_be_new=must_be_new, readable=readable
        )

    def close(self, fields: Fields) -> Answer:
        """CLOSE: of an upload, the commit (rule L1)."""
        handle = fields.string()
        opened = self._open_handle(handle)
        try:
            if isinstance(opened, Upload):
                return replace(codec.OK, then=self._custody.take(opened))
            del self._handles[handle]
            opened.close()
        finally:
            self._handles.pop(handle, None)
            self._custody.handles.give_back(self._custody.account)
        return codec.OK

    def read(self, fields: Fields) -> Answer:
        """READ."""
        opened = self._open_handle(fields.string())
        offset, length = fields.u64(), min(fields.u32(), MOST_DATA)
        if isinstance(opened, Listing):
            raise RefusedError(Status.FAILURE, "A directory cannot be read")
        content = opened.read(offset, length) if offset + length < 1 << 63 else b""
        if not content and length:
            raise RefusedError(Status.EOF, "End of file")
        return codec.data(content)

    def remove(self, fields: Fields) -> Answer:
        """REMOVE."""
        self._root.remove_file(remote_path(fields.string()))
        self._custody.room.changed()
        return self._changed()

    def rename(self, fields: Fields) -> Answer:
        """RENAME, which overwrites nothing."""
        return self._rename(fields, replace_file=False)

    def posix_rename(self, fields: Fields) -> Answer:
        """Rename, and overwrite a file that has the name."""
        return self._rename(fields, replace_file=True)

    def _rename(self, fields: Fields, *, replace_file: bool) -> Answer:
        self._root.rename(remote_path(fields.string()), remote_path(fields.string()), replace=replace_file)
        if replace_file:
            self._custody.room.changed()
        return self._changed()

    def _changed(self) -> Answer:
        """Answer OK, and have it known that a file is elsewhere now."""
        return replace(codec.OK, then=self._custody.landed)

    def fsync(self, fields: Fields) -> Answer:
        """Return when what was written so far is durable."""
        self._upload(fields.string()).sync()
        return codec.OK

    # Attributes: of what a client wishes only the size of an open upload is granted, the rest is accepted and ignored

    def stat(self, fields: Fields) -> Answer:
        """STAT and LSTAT, which are the same where there are no links; sshfs also asks for what it has just begun."""
        path = remote_path(fields.string())
        upload = self._open_upload(path)
        return codec.attributes(upload.stat() if upload else self._root.stat(path))

    def fstat(self, fields: Fields) -> Answer:
        """FSTAT."""
        return codec.attributes(self._open_handle(fields.string()).stat())

    def setstat(self, fields: Fields) -> Answer:
        """SETSTAT: the size of an open upload, and for what has landed nothing (rule L3)."""
        path, size = remote_path(fields.string()), fields.size_attribute()
        if upload := self._open_upload(path):
            return self._set_size(upload, size)
        self._root.stat(path)
        if size is not None:
            raise RefusedError(Status.OP_UNSUPPORTED, "The size of a file that has landed stays as it is")
        return codec.OK

    def fsetstat(self, fields: Fields) -> Answer:
        """FSETSTAT: the size of an open upload."""
        handle = fields.string()
        self._open_handle(handle)
        size = fields.size_attribute()
        return codec.OK if size is None else self._set_size(self._upload(handle), size)

    @staticmethod
    def _set_size(upload: Upload, size: int | None) -> Answer:
        if size is not None:
            upload.truncate(size)
        return codec.OK

    def statvfs(self, fields: Fields) -> Answer:
        """Say how full the file system is."""
        self._root.stat(remote_path(fields.string()))
        found = self._root.statvfs()
        return codec.numbers64(
            found.f_bsize,
            found.f_frsize,
            found.f_blocks,
            found.f_bfree,
            found.f_bavail,
            found.f_files,
            found.f_ffree,
            found.f_favail,
            0,  # which file system it is, is nobody's business
            found.f_flag,
            found.f_namemax,
        )

    def limits(self, _: Fields) -> Answer:
        """Say how much may be asked for at once."""
        return codec.numbers64(MOST_PACKET, MOST_DATA, MOST_DATA, MOST_HANDLES)

    # Directories

    def realpath(self, fields: Fields) -> Answer:
        """REALPATH."""
        return codec.names([codec.bare_name(shown(remote_path(fields.string())))])

    def opendir(self, fields: Fields) -> Answer:
        """OPENDIR."""
        path = remote_path(fields.string())
        return self._give_out(lambda: self._root.open_directory(path))

    def readdir(self, fields: Fields) -> Answer:
        """READDIR."""
        listing = self._open_handle(fields.string())
        if not isinstance(listing, Listing):
            raise RefusedError(Status.FAILURE, "This handle is no directory's")
        entries = listing.take(_ENTRIES_AT_ONCE)
        if not entries:
            raise RefusedError(Status.EOF, "End of list")
        account, now = self._custody.account, time.time()
        return codec.names(codec.entry(name, found, account, now) for name, found in entries)

    def mkdir(self, fields: Fields) -> Answer:
        """MKDIR."""
        path = remote_path(fields.string())
        fields.size_attribute()
        self._custody.admit(path)
        self._root.make_directory(path)
        return codec.OK

    def rmdir(self, fields: Fields) -> Answer:
        """RMDIR."""
        self._root.remove_directory(remote_path(fields.string()))
        self._custody.room.changed()
        return codec.OK

    def refuse_links(self, _: Fields) -> Answer:
        """READLINK, SYMLINK: there are no links here (rule L4)."""
        raise RefusedError(Status.OP_UNSUPPORTED, "Links are not supported")

    def refuse(self, _: Fields) -> Answer:
        """Whatever else a client may ask for."""
        raise RefusedError(Status.OP_UNSUPPORTED, "Not supported")


_STATUS_OF: Final = {
    errno.ENOENT: Status.NO_SUCH_FILE,
    # A name of the path that is a file, or a link.
    errno.ENOTDIR: Status.NO_SUCH_FILE,
    errno.ELOOP: Status.NO_SUCH_FILE,
    errno.EACCES: Status.PERMISSION_DENIED,
    errno.EPERM: Status.PERMISSION_DENIED,
}


def _answer_to(trouble: RefusedError | OSError | RelayError) -> Answer:
    """Put trouble into the words of the protocol. No path of the host's is among them."""
    if isinstance(trouble, RefusedError):
        return codec.status(trouble.status, trouble.message)
    if isinstance(trouble, RelayError):
        return codec.status(Status.FAILURE, "The relay cannot take the file now")
    number = trouble.errno or errno.EIO
    return codec.status(_STATUS_OF.get(number, Status.FAILURE), os.strerror(number))
