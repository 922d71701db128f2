"""What the service does while the disk or the database refuses: it stands still, and goes on by itself.

Every stage can begin from disk and database alone, so going on is beginning anew (rule T1).
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from relay.disk import DiskError, disk_trouble
from relay.log import Event, emit
from relay.notify import notify
from relay.signals import Signals

_FIRST_LOOK_SECONDS: Final = 1.0
_LONGEST_LOOK_SECONDS: Final = 60.0
_LASTING_SECONDS: Final = 120.0
"""A disk that stays well for so long is well; one that does not is looked at less and less often."""


class Standstill:
    """One for the life of the process. Each time, the log tells when it begins and when it is over."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._look_after = _FIRST_LOOK_SECONDS
        self._well_since = time.monotonic()

    async def outlast(self, trouble: DiskError, check: Callable[[], None]) -> bool:
        """Wait until `check`, which writes, has nothing to say; False where the service is told to stop before."""
        stopping = self._signals.listen()  # before anybody hears that it stands still, and tells it to stop
        emit(Event.RELAY_SUSPENDED, reason=trouble.reason, detail=trouble.message, hint=trouble.hint)
        notify("READY=1", f"STATUS=The relay stands still: {trouble.message}")
        if time.monotonic() - self._well_since >= _LASTING_SECONDS:
            self._look_after = _FIRST_LOOK_SECONDS
        while not stopping.is_set():
            notify("WATCHDOG=1")  # Standing still is no defect; beginning anew would help nobody.
            await _wait(stopping, self._look_after)
            self._look_after = min(self._look_after * 2, _LONGEST_LOOK_SECONDS)
            if not stopping.is_set() and await asyncio.to_thread(_is_well, check):
                self._well_since = time.monotonic()
                emit(Event.RELAY_RESUMED)
                notify("STATUS=")
                return True
        return False


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _is_well(check: Callable[[], None]) -> bool:
    try:
        check()
    except Exception as error:
        if disk_trouble(error) is None:
            raise
        return False
    return True
