"""What must be said although nothing happens: it is the clock that makes it due."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from relay.config import Config
from relay.guards import GuardPolicy
from relay.pulse import Pulse
from relay.store import Store

LAST_WARNING: Final = timedelta(days=2)
"""How long before it is discarded what still waits is said once more."""

_LOOK_EVERY: Final = timedelta(seconds=5)


class Vigil:
    """Looks at the clock every few seconds. What was said already is in the store, so a restart repeats nothing."""

    def __init__(self, config: Config, store: Store, *, now: Callable[[], datetime], pulse: Pulse) -> None:
        self._config = config
        self._store = store
        self._now = now
        self._pulse = pulse

    def reload(self, config: Config) -> None:
        """Use `config` from the next look on."""
        self._config = config

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._pulse.turn("vigil", _LOOK_EVERY)
            await asyncio.to_thread(self.look)
            await asyncio.sleep(_LOOK_EVERY.total_seconds())

    def look(self) -> None:
        """Say what is due by now."""
        for route in self._config.routes.values():
            if route.expectation is not None:
                self._store.judge_freshness(route.name, route.expectation, self._now())
        kept = self._config.retention.held
        # The last reminder comes two days before retention decides by itself (rule R5).
        after = {
            route.name: (*route.guards.remind_after, kept - LAST_WARNING) for route in self._config.routes.values()
        }
        self._store.remind(after, self._now(), otherwise=(*GuardPolicy().remind_after, kept - LAST_WARNING), kept=kept)
