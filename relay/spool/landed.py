"""Files that clients can still remove, rename and replace while the relay looks at them.

A file is meant by its fingerprint. Each directory on the way to it is opened in the one before without following links,
and what was taken is looked at again afterwards. What cannot be looked at is not gone (rule L10).
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from relay.model import Fingerprint
from relay.spool.disk import hash_file

_COPIED_AT_ONCE: Final = 1 << 20
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_VANISHED: Final = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
_OF_THE_WHOLE_DISK: Final = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""What is in the way of everything, not of one file."""


class VanishedError(Exception):
    """A landed file is no longer the one that was noted: its client removed, renamed or replaced it."""


class UnreadableError(Exception):
    """Something in the landing zone cannot be read, taken or removed, which concerns nothing else (rule L10)."""

    def __init__(self, path: str, error: OSError) -> None:
        super().__init__(os.strerror(error.errno or errno.EIO))
        self.path = path
        self.error = error


@dataclass(frozen=True, slots=True)
class LandedFile:
    """A file in the landing zone, as a scan finds it.

    `path` is as the client names it. `changed_at` is when content or name last changed, whichever is later.
    """

    path: str
    fingerprint: Fingerprint
    size: int
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Unseen:
    """What a look could not look at, and why: a directory, or an entry of which not even that is known."""

    path: str
    error: OSError
    is_directory: bool


@dataclass(frozen=True, slots=True)
class Look:
    """What a look found: the regular files, and what it could not look at."""

    files: tuple[LandedFile, ...]
    unseen: tuple[Unseen, ...]

    def hides(self, path: str) -> bool:
        """Say whether something may be at `path`, or directly below it if it ends in a slash, that was not seen."""
        return any(
            f"{path}/".startswith(f"{it.path}/") or (not it.is_directory and path == f"{it.path.rpartition('/')[0]}/")
            for it in self.unseen
        )


def look_below(root: Path) -> Look:
    """Look at all regular files below `root`, which is `/` in their paths; no link is followed."""
    files: list[LandedFile] = []
    unseen: list[Unseen] = []
    ahead = [""]
    while ahead:
        above = ahead.pop()
        try:
            with _parent_of(root, f"{above}/.") as (directory, _):
                with os.scandir(directory) as entries:
                    names = [entry.name for entry in entries]
                for name in names:
                    _look_at(directory, name, f"{above}/{name}", files, unseen, ahead)
        except VanishedError:
            continue
        except UnreadableError as trouble:
            unseen.append(Unseen(above, trouble.error, is_directory=True))
    files.sort(key=lambda file: file.path)
    return Look(tuple(files), tuple(unseen))


def _look_at(
    directory: int, name: str, path: str, files: list[LandedFile], unseen: list[Unseen], ahead: list[str]
) -> None:
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return
    except PermissionError:
        raise  # Nothing in this directory may be looked at.
    except OSError as error:
        unseen.append(Unseen(path, error, is_directory=False))
        return
    if stat.S_ISDIR(status.st_mode):
        ahead.append(path)
    elif stat.S_ISREG(status.st_mode):
        files.append(LandedFile(path, _fingerprint(status), status.st_size, _changed_at(status)))


def link(root: Path, path: str, fingerprint: Fingerprint, to: Path) -> None:
    """Give the file that is meant the second name `to`.

    Raises:
        VanishedError: it is no longer there.
        UnreadableError: it cannot be linked.
    """
    with _parent_of(root, path) as (parent, entry):
        os.link(entry, to, src_dir_fd=parent, follow_symlinks=False)
    if not _is_meant(to.lstat(), fingerprint):
        to.unlink()
        raise VanishedError


def copy(root: Path, path: str, fingerprint: Fingerprint, to: Path) -> None:
    """Copy the file that is meant to the new file `to`.

    Raises:
        VanishedError: it is no longer there, or was changed meanwhile.
        UnreadableError: it cannot be read.
    """
    with _opened(root, path) as landed, os.fdopen(os.open(to, _NEW_FILE, 0o600), "wb") as copied:
        while piece := _read(landed, path, _COPIED_AT_ONCE):
            copied.write(piece)
        # Looked at after the last byte was read: it is still as it was when it was noted, so it was all the while.
        meant = _is_meant(os.fstat(landed.fileno()), fingerprint)
    if not meant:
        to.unlink()
        raise VanishedError


def read(root: Path, path: str, fingerprint: Fingerprint, at_most: int) -> bytes:
    """Return the first bytes of the file that is meant.

    Raises:
        VanishedError: it is no longer there, or was changed meanwhile.
        UnreadableError: it cannot be read.
    """
    with _opened(root, path) as file:
        content = _read(file, path, at_most)
        if not _is_meant(os.fstat(file.fileno()), fingerprint):
            raise VanishedError
    return content


def hash_taken(path: str, taken: Path) -> str:
    """Return the hash of a file that was taken; `path` is what its client called it.

    Raises:
        UnreadableError: its bytes cannot be read.
    """
    with concerning(path):
        return hash_file(taken)


def take_out_of_view(root: Path, file: LandedFile, aside: Path) -> bool:
    """Remove `file`, by way of the name `aside`, unless another one has its name by now; say whether it was.

    Raises:
        VanishedError: nothing has that name.
        UnreadableError: it cannot be removed.
    """
    with _parent_of(root, file.path) as (parent, entry):
        if not _is_meant(os.stat(entry, dir_fd=parent, follow_symlinks=False), file.fingerprint):
            return False
        os.rename(entry, aside, src_dir_fd=parent)
        # A client may have put a new file there at this very moment. That one goes back, unless it has been replaced
        # in its turn.
        was_meant = _is_meant(aside.lstat(), file.fingerprint)
        if not was_meant:
            with suppress(FileExistsError):
                os.link(aside, entry, dst_dir_fd=parent, follow_symlinks=False)
        aside.unlink()
        return was_meant


def _opened(root: Path, path: str) -> BinaryIO:
    """Open a file below `root` for reading.

    Raises:
        VanishedError: it is not there.
        UnreadableError: it cannot be opened.
    """
    with _parent_of(root, path) as (parent, entry):
        # Opening what turns out to be a pipe must not wait for its other end.
        descriptor = os.open(entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    return os.fdopen(descriptor, "rb")


def _read(file: BinaryIO, path: str, at_most: int) -> bytes:
    with concerning(path):
        return file.read(at_most)


@contextmanager
def _parent_of(root: Path, path: str) -> Iterator[tuple[int, str]]:
    """Give a descriptor of the directory that holds `path` below `root`, and the last part of the path.

    Raises:
        VanishedError: something on the way, or what the block looks for there, is not there or is a link.
        UnreadableError: something on the way, or what the block does there, is refused.
    """
    *directories, entry = path.strip("/").split("/")
    descriptor = os.open(root, _DIRECTORY)
    try:
        for directory in directories:
            inner = os.open(directory, _DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor, entry
    except OSError as error:
        if error.errno in _VANISHED:
            raise VanishedError from error
        with concerning(path):
            raise
    finally:
        os.close(descriptor)


@contextmanager
def concerning(path: str) -> Iterator[None]:
    """Take an error for that one path's, unless it is the whole disk's."""
    try:
        yield
    except OSError as error:
        if error.errno in _OF_THE_WHOLE_DISK:
            raise
        raise UnreadableError(path, error) from error


def _is_meant(status: os.stat_result, fingerprint: Fingerprint) -> bool:
    return stat.S_ISREG(status.st_mode) and _fingerprint(status) == fingerprint


def _fingerprint(status: os.stat_result) -> Fingerprint:
    return Fingerprint(status.st_ino, status.st_mtime_ns)


def _changed_at(status: os.stat_result) -> datetime:
    return datetime.fromtimestamp(max(status.st_mtime, status.st_ctime), UTC)
