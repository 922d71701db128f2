"""The least free disk that everybody shares: whether it is reached, and what the log says of it, once each way."""

import threading
from collections.abc import Callable
from typing import Final

from relay.log import Event, emit
from relay.settings import format_size

_RECOVERED_AT: Final = 1.1
"""How much of the floor must be free until the disk counts as recovered, so that it does not do so over and over."""


class Floor:
    """The least free disk space. It is low below that, or while something that was tried found no room.

    Args:
        free: returns the free bytes of the disk.
        least: how many there are to be.
    """

    def __init__(self, free: Callable[[], int], least: int) -> None:
        self.least = least
        self._free = free
        self._is_low = False
        self._without_room: set[str] = set()
        self._deciding = threading.Lock()

    def is_low(self) -> bool:
        """Look at the disk, and say whether it is too full for another upload (rule L8)."""
        free = self._free()
        with self._deciding:
            was_low, limit = self._is_low, self.least * (_RECOVERED_AT if self._is_low else 1)
            self._is_low = free < limit
            has_recovered = was_low and not self._is_low and not self._without_room
        if self._is_low and not was_low:
            _tell_low(
                free,
                f"landing.min_free is {format_size(self.least)}",
                "Uploads are refused until there is room: see `relay purge`, or enlarge the disk.",
            )
        elif has_recovered:
            emit(Event.DISK_RECOVERED, bytes=free)
        return free < self.least

    def found_no_room(self, export_id: str, hint: str) -> None:
        """Note that the disk took no more of an export's rewrite, which waits (rule T2); said once of each."""
        with self._deciding:
            is_new = export_id not in self._without_room
            self._without_room.add(export_id)
        if is_new:
            _tell_low(self._free(), f"{export_id} waits to be rewritten", hint)

    def found_room(self, export_id: str) -> None:
        """Note that an export's rewrite was done; said if it was the last that waited for room."""
        with self._deciding:
            waited = export_id in self._without_room
            self._without_room.discard(export_id)
            has_recovered = waited and not self._is_low and not self._without_room
        if has_recovered:
            emit(Event.DISK_RECOVERED, bytes=self._free())


def _tell_low(free: int, detail: str, hint: str) -> None:
    emit(Event.DISK_LOW, bytes=free, detail=detail, hint=hint)
