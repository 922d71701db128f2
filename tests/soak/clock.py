"""A clock that a test moves: `clock.c` between the daemon and its clock, and a file that says how far ahead it is.

Only the wall clock moves. The monotonic one and the file system's times stay what they are, as on a machine whose
clock was set. Not libfaketime: it keeps locks, which a fork copies, held, into a child that then waits for ever.
"""

import mmap
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

COMPILER: Final = shutil.which("cc")
_SOURCE: Final = Path(__file__).with_suffix(".c")


class Clock:
    """The wall clock of every process started within `moved`.

    Args:
        directory: where what it needs is put.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / "ahead"
        self._file.write_bytes(bytes(mmap.PAGESIZE))
        with self._file.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self._library = directory / "clock.so"
        subprocess.run(
            [str(COMPILER), "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", self._library, _SOURCE], check=True
        )
        self._ahead = timedelta()

    @property
    def now(self) -> datetime:
        """What it shows."""
        return datetime.now(UTC) + self._ahead

    def set(self, instant: datetime) -> None:
        """Set it."""
        self.move(instant - self.now)

    def move(self, by: timedelta) -> None:
        """Move it on, or back, by whole seconds: at once, for everybody."""
        self._ahead = timedelta(seconds=round((self._ahead + by).total_seconds()))
        # Written as a whole, eight bytes that do not cross a page: a reader never finds half of it.
        self._shared[:8] = struct.pack("=q", round(self._ahead.total_seconds()))

    @contextmanager
    def moved(self) -> Iterator[None]:
        """Have every process that is started in the block see this clock."""
        settings = {"LD_PRELOAD": str(self._library), "SOAK_CLOCK": str(self._file)}
        before = dict(os.environ)
        os.environ.update(settings)
        try:
            yield
        finally:
            for name in settings:
                os.environ.pop(name)
            os.environ.update(before)
