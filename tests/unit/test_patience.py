"""Patience: no limit until an end is set, and one end for everything then."""

import asyncio

import pytest

from relay.outbox.patience import Patience


def test_without_an_end_nothing_is_cut_off() -> None:
    """What is under way takes the time that it takes."""

    async def run() -> bool:
        patience = Patience()
        async with patience.bound():
            await asyncio.sleep(0)
        return patience.ending

    assert not asyncio.run(run())


@pytest.mark.parametrize("begins", ["before", "after"])
def test_an_end_cuts_off_what_began_before_and_what_begins_after(begins: str) -> None:
    """A send that was claimed a moment before the stop does not outlive it either."""

    async def wait(patience: Patience) -> None:
        async with patience.bound():
            await asyncio.Event().wait()

    async def run() -> bool:
        patience = Patience()
        waiting = asyncio.ensure_future(wait(patience))
        if begins == "before":
            await asyncio.sleep(0)
        patience.end(0)
        with pytest.raises(TimeoutError):
            await waiting
        return patience.ending

    assert asyncio.run(run())


def test_what_is_done_in_time_is_not_disturbed() -> None:
    """An end that has not come yet changes nothing."""

    async def run() -> str:
        patience = Patience()
        async with patience.bound():
            patience.end(60)
            return "done"

    assert asyncio.run(run()) == "done"
