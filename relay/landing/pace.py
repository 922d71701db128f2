"""Whether the disk keeps up with the clients.

A WRITE goes into the page cache and takes microseconds, so it is done on the event loop. Where the kernel makes it
wait, because the disk is behind or another file is being made durable, everybody would wait with it: then writes wait
in threads for a while, which costs more and stops nobody else.
"""

import time
from collections.abc import Callable
from typing import Final, TypeVar

_NOTICEABLE: Final = 0.05
"""Seconds. A busy processor alone also makes a write take some milliseconds now and then."""

_SLOW_FOR: Final = 5.0
"""Seconds for which a disk that was slow once is treated as slow."""

_Asked = TypeVar("_Asked")
_Answered = TypeVar("_Answered")


class Pace:
    """How fast the disk took its last writes; one for all sessions."""

    def __init__(self) -> None:
        self._slow_until = 0.0

    @property
    def is_slow(self) -> bool:
        """Whether a write had better wait in a thread."""
        return time.monotonic() < self._slow_until

    def timed(self, write: Callable[[_Asked], _Answered], asked: _Asked) -> _Answered:
        """Do a write, take note of how long it takes, and return what it returns."""
        began = time.monotonic()
        answered = write(asked)
        ended = time.monotonic()
        if ended - began > _NOTICEABLE:
            self._slow_until = ended + _SLOW_FOR
        return answered
