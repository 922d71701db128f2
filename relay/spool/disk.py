"""Directories and files of the relay's own: private, durable, and without following links (rule R2)."""

import fcntl
import hashlib
import os
import re
import shutil
import stat
from pathlib import Path
from typing import Final

from relay.disk import disk_trouble
from relay.model import RelayError

_PRIVATE: Final = 0o700


def make_directory(path: Path) -> None:
    """Make a directory with mode 0700 where there is none, or give it that mode."""
    try:
        path.mkdir(0o700, parents=True, exist_ok=True)
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            raise RelayError(f"{path} is a link, and the relay follows none", hint="Put a directory in its place.")
        if stat.S_IMODE(status.st_mode) != _PRIVATE:
            path.chmod(_PRIVATE)
    except OSError as error:
        raise _refused(path, error) from error


def keep_names(directory: Path) -> None:
    """Return when the directories that were made in one would survive a power cut.

    Raises:
        RelayError: the file system refuses.
    """
    try:
        sync(directory)
    except OSError as error:
        raise _refused(directory, error) from error


def mounts_below(directory: Path) -> list[Path]:
    """Return where something is mounted below a directory.

    Also where that is a part of the same file system: a link cannot cross into it either.
    """
    mounts = Path("/proc/self/mountinfo").read_bytes().splitlines()
    # Blanks and the like are written as three octal digits.
    places = [re.sub(rb"\\([0-7]{3})", lambda it: bytes([int(it[1], 8)]), mount.split()[4]) for mount in mounts]
    return [
        path for path in map(Path, map(os.fsdecode, places)) if path != directory and path.is_relative_to(directory)
    ]


def open_lock(path: Path) -> int:
    """Return a descriptor that holds the lock until it is closed."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _refused(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise RelayError(
            f"another relay is running on {path.parent}",
            hint="Stop it first, or give this one a `state_dir` of its own.",
        ) from None
    return descriptor


def keep_lock(path: Path) -> int | None:
    """Return a descriptor that holds the lock until it is closed, where that takes no writing; None where it cannot."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def is_locked(path: Path) -> bool:
    """Say whether somebody holds the lock. Asking takes none, so that nobody who starts meanwhile is refused."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    held = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    try:
        locks = Path("/proc/locks").read_text(encoding="ascii")
    except FileNotFoundError:
        # The unit hides all of /proc but processes from the service.
        return _is_refused(path)
    return any(held in line.split() for line in locks.splitlines())


def _is_refused(path: Path) -> bool:
    """Say whether somebody holds the lock, by asking for a part of it for a moment."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(path: Path) -> None:
    """Remove a file, or a directory with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Return when what is in a file, or the names in a directory, would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refused(path: Path, error: OSError) -> RelayError:
    return disk_trouble(error) or RelayError(
        f"{path} cannot be made or opened: {error.strerror}",
        hint="`state_dir` must belong to the relay's user; run the command as that user.",
    )
