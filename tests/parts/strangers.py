"""Files and directories that do not belong to the relay's user: root put them there."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65534

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may put files there that are not its user's")


@contextmanager
def as_the_relays_user() -> Iterator[Path]:
    """Be an ordinary user, to whom the directory that this gives belongs, until the block ends."""
    with tempfile.TemporaryDirectory() as directory:
        os.chown(directory, NOBODY, NOBODY)
        umask = os.umask(0o077)
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
        try:
            yield Path(directory)
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.umask(umask)


@contextmanager
def as_root() -> Iterator[None]:
    """Be root for a moment, within such a block."""
    os.seteuid(0)
    os.setegid(0)
    try:
        yield
    finally:
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
