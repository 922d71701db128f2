"""The rewrite's own files: readable by nobody else (rule R2), and on the disk before anybody counts on them."""

import os
from pathlib import Path
from typing import BinaryIO


def create(path: Path) -> BinaryIO:
    """Open a new file for writing.

    Raises:
        FileExistsError: there is one already.
    """
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def append(path: Path) -> BinaryIO:
    """Open a file for writing at its end; it must be there."""
    return path.open("ab")


def sync(path: Path) -> None:
    """Return when what was written to a file, or the names in a directory, would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
