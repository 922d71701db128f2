"""A clock that a test moves: libfaketime between the daemon and its clock, told by a file how far to go.

Only the wall clock moves. The monotonic one and the file system's times stay what they are, as on a machine whose
clock was set.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

# Not the one for threads: its lock is copied, held, into what a thread's neighbour forks, which then waits for ever.
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


class Clock:
    """The wall clock of every process started within `moved`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._ahead = timedelta()
        self.move(timedelta())

    @property
    def now(self) -> datetime:
        """What it shows."""
        return datetime.now(UTC) + self._ahead

    def set(self, instant: datetime) -> None:
        """Set it."""
        self.move(instant - self.now)

    def move(self, by: timedelta) -> None:
        """Move it on."""
        self._ahead += by
        # Replaced as a whole: a reader never finds half of it.
        beside = self._file.with_suffix(".new")
        beside.write_text(f"{self._ahead.total_seconds():+.0f}\n", encoding="ascii")
        beside.rename(self._file)

    @contextmanager
    def moved(self) -> Iterator[None]:
        """Have every process that is started in the block see this clock."""
        settings = {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        before = dict(os.environ)
        os.environ.update(settings)
        try:
            yield
        finally:
            for name in settings:
                os.environ.pop(name)
            os.environ.update(before)
