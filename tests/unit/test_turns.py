"""Lists for one destination are planned one after the other, also where a reload changes the destination."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from parts.zone import configuration

from relay.config import RouteSettings
from relay.intake.turns import Turns


@dataclass
class Asked:
    """A route that a reload can change."""

    route: RouteSettings

    def move(self, client_domain: str) -> None:
        """Reload it with another destination."""
        self.route = self.route.model_copy(update={"client_domain": client_domain})

    def __call__(self) -> RouteSettings:
        """Return it as it is now."""
        return self.route


def _asked(tmp_path: Path, client_domain: str) -> Asked:
    asked = Asked(configuration(tmp_path).routes["sirendenim"])
    asked.move(client_domain)
    return asked


async def _idle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_route_that_moves_while_it_waits_takes_its_turn_where_it_is(tmp_path: Path) -> None:
    """It waits for the list that is being planned there, and plans with the settings of that moment."""
    old, new = _asked(tmp_path, "old"), _asked(tmp_path, "new")
    waiting = _asked(tmp_path, "old")
    turns, planned = Turns(), list[str]()

    async def plan() -> None:
        async with turns.taken(waiting) as route:
            planned.append(cast("Any", route).client_domain)

    async def run() -> None:
        async with turns.taken(new):
            async with turns.taken(old):
                work = asyncio.create_task(plan())
                await _idle()
                waiting.move("new")
            await _idle()
            assert planned == []
        await work

    asyncio.run(run())
    assert planned == ["new"]


def test_destinations_do_not_wait_for_one_another(tmp_path: Path) -> None:
    """A slow list holds up its own destination only."""

    async def run() -> None:
        turns = Turns()
        async with turns.taken(_asked(tmp_path, "one")), turns.taken(_asked(tmp_path, "other")) as route:
            assert cast("Any", route).client_domain == "other"
        async with turns.taken(lambda: None) as missing:
            assert missing is None

    asyncio.run(run())
