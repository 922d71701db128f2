"""Files that clients can still remove, rename and replace while the relay looks at them.

A file is meant by its fingerprint. Each directory on the way to it is opened in the one before without following links,
and what was taken is looked at again afterwards.
"""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from relay.model import Fingerprint

_COPIED_AT_ONCE: Final = 1 << 20
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class VanishedError(Exception):
    """A landed file is no longer the one that was noted: its client removed, renamed or replaced it."""


@dataclass(frozen=True, slots=True)
class LandedFile:
    """A file in the landing zone, as a scan finds it.

    `path` is as the client names it. `changed_at` is when content or name last changed, whichever is later.
    """

    path: str
    fingerprint: Fingerprint
    size: int
    changed_at: datetime


def files_below(root: Path) -> Iterator[LandedFile]:
    """Go through the regular files below `root`, which is `/` in their paths; no link is followed."""
    top = str(root)
    for directory, _, names, descriptor in os.fwalk(top):
        above = directory.removeprefix(top)
        for name in sorted(names):
            with suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    yield LandedFile(f"{above}/{name}", _fingerprint(status), status.st_size, _changed_at(status))


def link(root: Path, path: str, fingerprint: Fingerprint, to: Path) -> None:
    """Give the file that is meant the second name `to`.

    Raises:
        VanishedError: it is no longer there.
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
    """
    with _opened(root, path) as landed, os.fdopen(os.open(to, _NEW_FILE, 0o600), "wb") as copied:
        shutil.copyfileobj(landed, copied, _COPIED_AT_ONCE)
        # Looked at after the last byte was read: it is still as it was when it was noted, so it was all the while.
        meant = _is_meant(os.fstat(landed.fileno()), fingerprint)
    if not meant:
        to.unlink()
        raise VanishedError


def read(root: Path, path: str, fingerprint: Fingerprint, at_most: int) -> bytes:
    """Return the first bytes of the file that is meant.

    Raises:
        VanishedError: it is no longer there, or was changed meanwhile.
    """
    with _opened(root, path) as file:
        content = file.read(at_most)
        if not _is_meant(os.fstat(file.fileno()), fingerprint):
            raise VanishedError
    return content


def take_out_of_view(root: Path, file: LandedFile, aside: Path) -> None:
    """Remove `file`, by way of the name `aside`, unless another one has its name by now.

    Raises:
        VanishedError: nothing has that name.
    """
    with _parent_of(root, file.path) as (parent, entry):
        os.rename(entry, aside, src_dir_fd=parent)
        # A client may have put a new file there since it was looked at. That one goes back, unless it has been
        # replaced in its turn.
        if not _is_meant(aside.lstat(), file.fingerprint):
            with suppress(FileExistsError):
                os.link(aside, entry, dst_dir_fd=parent, follow_symlinks=False)
        aside.unlink()


def _opened(root: Path, path: str) -> BinaryIO:
    """Open a file below `root` for reading.

    Raises:
        VanishedError: it is not there.
    """
    with _parent_of(root, path) as (parent, entry):
        # Opening what turns out to be a pipe must not wait for its other end.
        descriptor = os.open(entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    return os.fdopen(descriptor, "rb")


@contextmanager
def _parent_of(root: Path, path: str) -> Iterator[tuple[int, str]]:
    """Give a descriptor of the directory that holds `path` below `root`, and the last part of the path.

    Raises:
        VanishedError: something on the way, or what the block looks for there, is not there or is a link.
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
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            raise VanishedError from error
        raise
    finally:
        os.close(descriptor)


def _is_meant(status: os.stat_result, fingerprint: Fingerprint) -> bool:
    return stat.S_ISREG(status.st_mode) and _fingerprint(status) == fingerprint


def _fingerprint(status: os.stat_result) -> Fingerprint:
    return Fingerprint(status.st_ino, status.st_mtime_ns)


def _changed_at(status: os.stat_result) -> datetime:
    return datetime.fromtimestamp(max(status.st_mtime, status.st_ctime), UTC)
