"""What a client sees as its files: one account's directory, and no way out of it (rule L4).

Every path is resolved here and nowhere else: from the account's root, name by name, by descriptors that follow no link.
There are regular files and directories; whatever else may lie there does not exist for a client.
"""

import errno
import os
import stat
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relay.landing.codec import RefusedError
from relay.sftp import Status

RemotePath = tuple[str, ...]
"""A path as its names from the account's root: `("uploads", "list.csv")`; the root itself is empty."""

UPLOADS: Final[RemotePath] = ("uploads",)
"""The directory that every account has, and keeps (rule L7)."""

LONGEST_NAME: Final = 255
"""Of one name, in bytes."""

DEEPEST: Final = 12
"""Most names in a path, so that no path grows longer than the operating system can be given."""

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
# A pipe that somebody put there must not keep a thread waiting until somebody writes to it.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_NEW_FILE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_UNPRINTABLE: Final = {"Cc", "Zl", "Zp"}


@dataclass(frozen=True, slots=True)
class Disk:
    """The two calls on whose word custody is taken.

    `write(descriptor, bytes, offset)` returns how many bytes it took, `sync(descriptor)` returns when they are durable.
    """

    write: Callable[[int, memoryview, int], int] = os.pwrite
    sync: Callable[[int], None] = os.fsync


def remote_path(raw: bytes) -> RemotePath:
    """Read a path as a client wrote it: from the root, doubled and trailing slashes and dots taken out (rule L7).

    `..` goes up by one name and at the root stays there, whatever lies on disk: with no links, that is where it is.

    Raises:
        RefusedError: a name that is not UTF-8, has control characters, or is too long, or too many names.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise RefusedError(Status.FAILURE, "File names must be UTF-8") from None
    names: list[str] = []
    for name in text.split("/"):
        if name == "..":
            del names[-1:]
        elif name not in {"", "."}:
            _check_name(name)
            names.append(name)
    if len(names) > DEEPEST:
        raise RefusedError(Status.FAILURE, f"Directories may be nested {DEEPEST - 1} deep")
    return tuple(names)


def shown(path: RemotePath) -> str:
    """Write a path as a client knows it."""
    return "/" + "/".join(path)


def os_error(number: int) -> OSError:
    """Return the error that the operating system would raise with this `errno`."""
    return OSError(number, os.strerror(number))


def _check_name(name: str) -> None:
    if any(unicodedata.category(character) in _UNPRINTABLE for character in name):
        raise RefusedError(Status.FAILURE, "File names must not have control characters")
    if len(name.encode()) > LONGEST_NAME:
        raise RefusedError(Status.FAILURE, f"File names may be {LONGEST_NAME} bytes long")


def _is_nameable(name: str) -> bool:
    try:
        name.encode()
        _check_name(name)
    except (UnicodeEncodeError, RefusedError):
        return False
    return True


class Download:
    """A file open for reading."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset` on; none at the end."""
        return os.pread(self._descriptor, length, offset)

    def stat(self) -> os.stat_result:
        """Return what the file system knows of the file."""
        return os.fstat(self._descriptor)

    def close(self) -> None:
        """Give the file back, once: its number may be another file's from then on."""
        self._descriptor = _closed(self._descriptor)


class Listing:
    """A directory being listed: the names it had when it was opened."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._names = deque([".", "..", *filter(_is_nameable, os.listdir(descriptor))])

    def take(self, count: int) -> list[tuple[str, os.stat_result]]:
        """Return up to `count` entries that have not been returned yet; none at the end."""
        taken: list[tuple[str, os.stat_result]] = []
        while self._names and len(taken) < count:
            name = self._names.popleft()
            with suppress(FileNotFoundError):
                # The parent's attributes would say something about what is outside the root.
                taken.append((name, self.stat() if name == ".." else _look(self._descriptor, name)))
        return taken

    def stat(self) -> os.stat_result:
        """Return what the file system knows of the directory."""
        return os.fstat(self._descriptor)

    def close(self) -> None:
        """Give the directory back, once: its number may be another file's from then on."""
        self._descriptor = _closed(self._descriptor)


def _closed(descriptor: int) -> int:
    """Close a descriptor that is still open, and return what stands for one that is closed."""
    if descriptor >= 0:
        os.close(descriptor)
    return -1


class Root:
    """One account's part of the disk: `landing` is what the client sees, `incoming` holds what has no name yet.

    Every method may raise OSError. Both directories must lie on one file system.
    """

    def __init__(self, landing: Path, incoming: Path, disk: Disk) -> None:
        self.disk = disk
        with ExitStack() as opened:
            self._landing = os.open(landing, _DIRECTORY)
            opened.callback(os.close, self._landing)
            self._incoming = os.open(incoming, _DIRECTORY)
            opened.callback(os.close, self._incoming)
            with suppress(FileExistsError):
                os.mkdir(UPLOADS[0], 0o700, dir_fd=self._landing)
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Give the directories back."""
        self._opened.close()

    def stat(self, path: RemotePath) -> os.stat_result:
        """Return what the file system knows of a file or directory."""
        if not path:
            return os.fstat(self._landing)
        with self._parent(path) as (directory, name):
            return _look(directory, name)

    def statvfs(self) -> os.statvfs_result:
        """Return how full the file system is."""
        return os.fstatvfs(self._landing)

    def open_directory(self, path: RemotePath) -> Listing:
        """Open a directory for listing."""
        with self._directory(path) as directory:
            return Listing(os.dup(directory))

    def open_file(self, path: RemotePath) -> Download:
        """Open a file for reading."""
        with self._parent(path) as (directory, name):
            _look(directory, name)  # to open a device may already do something
            descriptor = os.open(name, _FILE, dir_fd=directory)
        download = Download(descriptor)
        if not stat.S_ISREG(download.stat().st_mode):
            download.close()
            raise os_error(errno.ENOENT)
        return download

    def make_directory(self, path: RemotePath) -> None:
        """Make a directory, durably: what lands in it is only as safe as its own name."""
        with self._parent(path) as (directory, name):
            os.mkdir(name, 0o700, dir_fd=directory)
            self.disk.sync(directory)

    def remove_directory(self, path: RemotePath) -> None:
        """Remove an empty directory."""
        _check_removable(path)
        with self._parent(path) as (directory, name):
            os.rmdir(name, dir_fd=directory)

    def remove_file(self, path: RemotePath) -> None:
        """Remove a file, durably: it must not come back, and be taken for a list."""
        with self._parent(path) as (directory, name):
            if stat.S_ISDIR(_look(directory, name).st_mode):
                raise os_error(errno.EISDIR)
            os.unlink(name, dir_fd=directory)
            self.disk.sync(directory)

    def rename(self, old: RemotePath, new: RemotePath, *, replace: bool) -> None:
        """Rename a file or directory, durably; a file replaces another only with `replace`, a directory never."""
        _check_removable(old)
        _check_removable(new)
        with self._parent(old) as (source, old_name), self._parent(new) as (target, new_name):
            if stat.S_ISDIR(_look(source, old_name).st_mode):
                self._check_depth(source, old_name, new)
                _check_absent(target, new_name)
            elif not replace:
                # Unlike a rename, a link is refused where the name is taken, at whatever moment it was.
                os.link(old_name, new_name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
                os.unlink(old_name, dir_fd=source)
                self._sync(target, source)
                return
            os.rename(old_name, new_name, src_dir_fd=source, dst_dir_fd=target)
            self._sync(target, source)

    def _sync(self, target: int, source: int) -> None:
        """Make the names in two directories durable: the new one first, so that a power cut leaves at least one."""
        self.disk.sync(target)
        if not os.path.sameopenfile(target, source):
            self.disk.sync(source)

    def create_incoming(self, name: str) -> int:
        """Create a file that no client can see, and return its descriptor."""
        return os.open(name, _NEW_FILE, 0o600, dir_fd=self._incoming)

    def discard_incoming(self, name: str) -> None:
        """Remove such a file, if it is still there."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._incoming)

    def check_publishable(self, path: RemotePath, *, must_be_new: bool) -> bool:
        """Say whether `path` names a file already, after checking that a file may have that name.

        Raises:
            RefusedError: the name is taken by a directory, or by a file and must not be.
        """
        with self._parent(path) as (directory, name):
            try:
                found = _look(directory, name)
            except FileNotFoundError:
                return False
        if must_be_new or stat.S_ISDIR(found.st_mode):
            raise RefusedError(Status.FAILURE, "The name is taken")
        return True

    @contextmanager
    def published(self, incoming: str, path: RemotePath, *, must_be_new: bool) -> Iterator[bool]:
        """Give the incoming file its name, durably, for good if the block ends well; say whether another one had it.

        If it does not, the name is taken back, and a file that had it before has it again: it may be one whose custody
        was acknowledged.
        """
        replaced = f"{incoming}.replaced"
        with self._parent(path) as (directory, name), ExitStack() as leftovers:
            leftovers.callback(self.discard_incoming, incoming)
            leftovers.callback(self.discard_incoming, replaced)
            inode = _look(self._incoming, incoming).st_ino
            is_taken = False
            if not must_be_new:
                with suppress(FileNotFoundError):
                    self._link(directory, name, self._incoming, replaced)
                    is_taken = True
                os.rename(incoming, name, src_dir_fd=self._incoming, dst_dir_fd=directory)
            else:
                self._link(self._incoming, incoming, directory, name)
            try:
                self.disk.sync(directory)
                yield is_taken
            except BaseException:
                try:
                    self._take_back(directory, name, inode, replaced if is_taken else None)
                except OSError:
                    leftovers.pop_all()  # What was replaced stays where it is for a day: it may be all there is.
                raise

    def _take_back(self, directory: int, name: str, inode: int, replaced: str | None) -> None:
        with suppress(FileNotFoundError):
            if _look(directory, name).st_ino != inode:
                return  # Another upload has taken the name meanwhile.
            if replaced is None:
                os.unlink(name, dir_fd=directory)
            else:
                # In one step: there is no moment at which neither has the name.
                os.rename(replaced, name, src_dir_fd=self._incoming, dst_dir_fd=directory)
            with suppress(OSError):  # This may be the very trouble.
                self.disk.sync(directory)

    @staticmethod
    def _link(source: int, old: str, target: int, new: str) -> None:
        os.link(old, new, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)

    @contextmanager
    def _directory(self, path: RemotePath) -> Iterator[int]:
        """Open the directory that `path` names, by descriptors alone."""
        with ExitStack() as opened:
            here = self._landing
            for name in path:
                here = os.open(name, _DIRECTORY, dir_fd=here)
                opened.callback(os.close, here)
            yield here

    @contextmanager
    def _parent(self, path: RemotePath) -> Iterator[tuple[int, str]]:
        """Open the directory that holds what `path` names, and give the name in it."""
        if not path:
            raise RefusedError(Status.PERMISSION_DENIED, "The root directory stays as it is")
        with self._directory(path[:-1]) as directory:
            yield directory, path[-1]

    @staticmethod
    def _check_depth(directory: int, name: str, new: RemotePath) -> None:
        """Refuse a place for a directory where what lies in it would be too deep to be reached."""
        deepest = max(found.count("/") for found, *_ in os.fwalk(name, dir_fd=directory))
        if len(new) + deepest + 1 > DEEPEST:
            raise RefusedError(Status.FAILURE, f"Directories may be nested {DEEPEST - 1} deep")


def _check_removable(path: RemotePath) -> None:
    if path in {(), UPLOADS}:
        raise RefusedError(Status.PERMISSION_DENIED, f"{shown(path)} stays as it is")


def _check_absent(directory: int, name: str) -> None:
    with suppress(FileNotFoundError):
        _look(directory, name)
        raise os_error(errno.EEXIST)


def _look(directory: int, name: str) -> os.stat_result:
    """Return what is known of an entry, if it is a file or a directory."""
    found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise os_error(errno.ENOENT)
    return found
