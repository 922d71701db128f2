"""Whether every loop of the service still turns, so that one that hangs is found out (rule T4).

A loop says at each turn how long it will rest at most. Idle is well, and so is what takes hours elsewhere: a loop is
stuck when it is overdue, as when it waits for a thread that the disk never lets go.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

PATIENCE: Final = timedelta(minutes=15)
"""How long one turn may take. The longest by far hashes the files of an export that comes in many."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """A loop that should have turned by now, and since when."""

    loop: str
    by: timedelta


class Pulse:
    """When each loop turned last. Loops may turn in any thread.

    Args:
        patience: how long one turn may take.
        clock: seconds, never set back.
    """

    def __init__(self, patience: timedelta = PATIENCE, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience.total_seconds()
        self._clock = clock
        self._due: dict[str, float] = {}
        self._finished = False

    @property
    def loops(self) -> frozenset[str]:
        """The loops that turn."""
        return frozenset(self._due)

    def turn(self, loop: str, rest: timedelta = timedelta()) -> None:
        """Note that `loop` turns, and will again within `rest` and the patience."""
        self._due[loop] = self._clock() + rest.total_seconds() + self._patience

    def finish(self) -> None:
        """Expect nothing more of any loop: they come to their end."""
        self._finished = True

    def overdue(self) -> list[Overdue]:
        """Return the loops that are stuck."""
        if self._finished:
            return []
        now = self._clock()
        return [Overdue(loop, timedelta(seconds=now - due)) for loop, due in list(self._due.items()) if due < now]
