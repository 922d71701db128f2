"""The history into the log: one line per transition, in order, whoever made it.

A transition and its row in the history are one transaction, so nothing that happened can miss its line: what a crash
kept from being written, and what an operator's command did in another process, is announced as soon as it is seen. A
crash between a line and its tick repeats the line with the same `seq`.
"""

import asyncio
import hashlib
import re
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from relay.config import Config
from relay.log import Event, emit
from relay.pulse import Pulse
from relay.store import Store

_LOOK_EVERY: Final = timedelta(seconds=0.5)


class Announcer:
    """Follows the history and writes what is new into the log."""

    def __init__(self, store: Store, wake: asyncio.Event, config: Config, *, pulse: Pulse) -> None:
        """Follow `store`; whoever commits to it sets `wake`."""
        self._store = store
        self._wake = wake
        self._config = config
        self._pulse = pulse
        self._finishing = False

    def reload(self, config: Config) -> None:
        """Use `config` from the next line on."""
        self._config = config

    async def run(self) -> None:
        """Announce until told to finish. Wakes when told, and looks often enough to see other processes' decisions."""
        while not self._finishing:
            self._pulse.turn("announcer", _LOOK_EVERY)
            await self._announce()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY.total_seconds()):
                    await self._wake.wait()
        await self._announce()

    def finish(self) -> None:
        """Have `run` announce what is there and return."""
        self._finishing = True
        self._wake.set()

    async def _announce(self) -> None:
        self._wake.clear()
        while transitions := await asyncio.to_thread(self._store.unlogged):
            for transition in transitions:
                emit(Event(transition.event), seq=transition.seq, **self._shown(transition.fields))
            await asyncio.to_thread(self._store.logged, transitions[-1].seq)

    def _shown(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the fields as the log may show them: a segment's name can be sensitive in itself."""
        if self._config.log.segment_names == "full":
            return fields
        return {name: _without_names(name, value) for name, value in fields.items()}


def _without_names(field: str, value: object) -> object:
    """Return a field's value with a hash for each segment's name; within words, names stand in “…”."""
    if field == "segment":
        return _hashed(str(value))
    if field in {"detail", "hint"} and isinstance(value, str):
        return re.sub("“([^”]*)”", lambda name: f"“{_hashed(name[1])}”", value)
    return value


def _hashed(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:12]
