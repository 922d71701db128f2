"""Whose turn it is to be planned: lists for one destination in the order in which they came."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from relay.config import RouteSettings


class Turns:
    """One turn at a time for each destination: segments belong to one, and the newest list of a segment wins (D7)."""

    def __init__(self) -> None:
        self._turns: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    @asynccontextmanager
    async def taken(self, route_now: Callable[[], RouteSettings | None]) -> AsyncIterator[RouteSettings | None]:
        """Wait for a turn at a route's destination, and give the route as it is then.

        Args:
            route_now: returns the route as it is configured now; it may get another destination while it waits.
        """
        destination = _destination(route_now())
        while True:
            async with self._turns[destination]:
                route = route_now()
                if _destination(route) == destination:
                    yield route
                    return
            destination = _destination(route)


def _destination(route: RouteSettings | None) -> tuple[str, str]:
    return (route.upstream, route.client_domain) if route else ("", "")
