"""How long what waits for an upstream may still take: as long as it likes, until a drain sets an end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Patience:
    """One end for everything that is under way, and for what begins after it was set."""

    def __init__(self) -> None:
        self._end: float | None = None
        self._limits: set[asyncio.Timeout] = set()

    @property
    def ending(self) -> bool:
        """Whether an end was set, so that nothing new should begin."""
        return self._end is not None

    def end(self, within: float) -> None:
        """Give everything under way `within` more seconds."""
        self._end = asyncio.get_running_loop().time() + within
        for limit in self._limits:
            limit.reschedule(self._end)

    @asynccontextmanager
    async def bound(self) -> AsyncIterator[None]:
        """Run the body until it is done or the end comes.

        Raises:
            TimeoutError: the end came first; the body was cancelled.
        """
        async with asyncio.timeout_at(self._end) as limit:
            self._limits.add(limit)
            try:
                yield
            finally:
                self._limits.discard(limit)
