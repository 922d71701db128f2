"""What the service tells about itself while it runs: that it is alive, and how things stand.

The service manager hears both, if one started us; `relay status --health` sees the first on the lock (rule T4).
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

from relay.log import Event, emit
from relay.notify import notify
from relay.pulse import Overdue, Pulse
from relay.spool import Spool
from relay.standing import Standing

_LONGEST_SILENCE: Final = timedelta(seconds=15)
_STANDING_EVERY: Final = timedelta(minutes=1)
_STANDING_AT_MOST_EVERY: Final = timedelta(seconds=5)


class Vitals:
    """Tells until it is cancelled.

    Args:
        pulse: whether every loop turns.
        spool: whose lock is marked.
        standing: looks how things stand; called in a thread.
        changed: set when something has changed.
    """

    def __init__(self, pulse: Pulse, spool: Spool, standing: Callable[[], Standing], changed: asyncio.Event) -> None:
        self._pulse = pulse
        self._spool = spool
        self._standing = standing
        self._changed = changed
        self._stuck: list[str] = []

    async def tell_alive(self) -> None:
        """Say that the service is alive, as long as every loop turns; else that it is stuck."""
        while True:
            overdue = self._pulse.overdue()
            self._tell_stuck(overdue)
            if not overdue:
                notify("WATCHDOG=1")
                await asyncio.to_thread(self._spool.mark_alive)
            await asyncio.sleep(_silence().total_seconds())

    def _tell_stuck(self, overdue: list[Overdue]) -> None:
        """Say once what hangs, and have the service manager do what it does when it hears nothing."""
        before, self._stuck = self._stuck, [it.loop for it in overdue]
        if self._stuck and self._stuck != before:
            emit(
                Event.RELAY_STALLED,
                detail="; ".join(f"{it.loop} should have turned {it.by.total_seconds():.0f} s ago" for it in overdue),
                hint="If it does not begin anew by itself, restart it: nothing is lost by that. Look at the disk, and "
                "if that is well, report this with its detail.",
            )
            notify("WATCHDOG=trigger")

    async def tell_standing(self) -> None:
        """Say in a line how things stand: at once, soon after a change, and every minute."""
        while True:
            self._changed.clear()
            standing = await asyncio.to_thread(self._standing)
            notify(f"STATUS={standing.headline}")
            await asyncio.sleep(_STANDING_AT_MOST_EVERY.total_seconds())
            with suppress(TimeoutError):
                async with asyncio.timeout(_STANDING_EVERY.total_seconds()):
                    await self._changed.wait()


def _silence() -> timedelta:
    """Return how long the service manager may be left without a word: it asks for one within WATCHDOG_USEC."""
    demanded = timedelta(microseconds=int(os.environ.get("WATCHDOG_USEC") or 0))
    return min(_LONGEST_SILENCE, demanded / 4) if demanded else _LONGEST_SILENCE
