"""Turns: in which order what clients send is taken in, so that nobody waits for long while others do their worst.

uvloop reads megabytes from one socket before it looks at the next, and asyncssh decrypts all of them on the way; forty
clients that log in at the same moment are forty key exchanges in one go. Everybody else would wait for all of that, and
an operation takes several turns of the event loop.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

A_ROUND: Final = 1024 * 1024
"""Bytes of the clients inside that are taken in, of all of them together, until everybody has had a turn."""

LEAST: Final = 64 * 1024
"""Bytes of one turn, however many clients are busy."""


class Turns:
    """Deals out the turns of one event loop."""

    def __init__(self) -> None:
        self._busy: list[Callable[[int], None]] = []
        self._newcomers: deque[Callable[[], None]] = deque()
        self._is_due = False

    def after_the_others(self, take_another: Callable[[int], None]) -> None:
        """Have a client go on that has used up its turn, with the bytes that its next one may have."""
        self._busy.append(take_another)
        self._be_due()

    def one_by_one(self, step: Callable[[], None]) -> None:
        """Have a step of a login done: one in each turn of the event loop, whoever's it is."""
        self._newcomers.append(step)
        self._be_due()

    def _be_due(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._is_due = False
        busy, self._busy = self._busy, []
        for take_another in busy:
            take_another(max(A_ROUND // len(busy), LEAST))
        if self._newcomers:
            self._newcomers.popleft()()
        if self._newcomers:
            self._be_due()
