"""How long an upstream may go without an answer: the library itself would wait for ever for a silent peer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from relay.upstream.failures import Step, met_while


class Deadline:
    """One session's patience: seconds without any answer after which the upstream counts as stalled."""

    def __init__(self, stall: float) -> None:
        self._stall = stall
        self.answers = 0
        """How many answers there were; one more is progress."""

    @asynccontextmanager
    async def asking(self, step: Step) -> AsyncIterator[Callable[[], None]]:
        """Turn trouble in the body, also a wait that is too long, into an `UpstreamError` met while doing `step`.

        It gives what is to be called at each answer that the body gets on its way; its end is one, too.
        """
        with met_while(step):
            async with asyncio.timeout(self._stall) as limit:

                def answered() -> None:
                    self.answers += 1
                    limit.reschedule(asyncio.get_running_loop().time() + self._stall)

                yield answered
                self.answers += 1
