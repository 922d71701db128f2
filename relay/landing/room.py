"""How much may still be stored: above the floor of free disk that all share, and each account's quota (rule L8).

Both are kept while there is room: a full disk would also stop what was acknowledged from being rewritten and noted.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relay.floor import Floor
from relay.landing.codec import RefusedError
from relay.settings import format_size
from relay.sftp import Status

_MEASURED_AGAIN_AFTER: Final = 5.0
"""Seconds for which a measurement is good. What leaves an account's view meanwhile still counts, as nobody says so."""


class NoRoomError(RefusedError):
    """There is no room for a file, or for the rest of it; `reason` is the log's fixed word for it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(Status.FAILURE, message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one account may store: bytes in one file, bytes in all, and how many files and directories."""

    file: int
    total: int
    entries: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What an account stores: bytes, and files and directories."""

    total: int
    entries: int


def measure(directories: Iterable[Path]) -> Usage:
    """Count what lies below some directories. What vanishes meanwhile does not count."""
    total = entries = 0
    for directory in directories:
        for _, inner, files, descriptor in os.fwalk(directory):
            entries += len(inner) + len(files)
            for name in files:
                try:
                    total += os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_size
                except FileNotFoundError:
                    entries -= 1
    return Usage(total, entries)


class Room:
    """What one account may still store, over all of its sessions.

    Args:
        allowance: what it may store; a reload may set another.
        measured: returns what it stores, in the landing zone and on its way into it.
        floor: the least free disk space.
    """

    def __init__(self, allowance: Allowance, measured: Callable[[], Usage], floor: Floor) -> None:
        self.allowance = allowance
        self._measured = measured
        self._floor = floor
        self._counting = threading.Lock()
        self._total = self._entries = 0
        self._measured_at = -_MEASURED_AGAIN_AFTER

    def admit(self) -> None:
        """See that a file or directory may be begun.

        Raises:
            NoRoomError: it may not.
        """
        self.check_floor()
        if time.monotonic() - self._measured_at >= _MEASURED_AGAIN_AFTER:
            self._measure()
        if self._total >= self.allowance.total:
            raise self._used_up()
        if self._entries >= self.allowance.entries:
            raise NoRoomError(
                "too_many_files", f"The quota of {self.allowance.entries:,} files and directories is used up"
            )
        with self._counting:
            self._entries += 1

    def check_floor(self) -> None:
        """See that the disk is not about to be full.

        Raises:
            NoRoomError: it is.
        """
        if self._floor.is_low():
            raise NoRoomError("disk_low", "The disk is nearly full; send the file again later")

    def take(self, count: int, size: int) -> None:
        """Count `count` more bytes of a file that has `size` bytes with them.

        Raises:
            NoRoomError: there is no room for them; they are not counted.
        """
        if size > self.allowance.file:
            raise NoRoomError("file_too_large", f"A file may have {format_size(self.allowance.file)}")
        with self._counting:
            if self._total + count > self.allowance.total:
                raise self._used_up()
            self._total += count

    def changed(self) -> None:
        """Measure anew at the next occasion: something was given up, removed, replaced or made shorter."""
        self._measured_at = -_MEASURED_AGAIN_AFTER

    def _measure(self) -> None:
        # Outside the lock, for which the event loop waits. What is written meanwhile may be counted twice or not at
        # all, until the next measurement.
        self._measured_at = time.monotonic()
        usage = self._measured()
        with self._counting:
            self._total, self._entries = usage.total, usage.entries

    def _used_up(self) -> NoRoomError:
        return NoRoomError("quota_used_up", f"The quota of {format_size(self.allowance.total)} is used up")
