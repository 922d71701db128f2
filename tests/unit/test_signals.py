"""What the process is told by signals, through event loops that come and go."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from relay.signals import Signals


@pytest.fixture
def signals() -> Iterator[Signals]:
    """Those of this process, which hears them as before when the test is over."""
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)}
    yield Signals()
    for number, handler in before.items():
        signal.signal(number, handler)


def test_told_to_stop_once_is_told_for_good(signals: Signals) -> None:
    """The loop that comes after the one that heard it need not wait."""

    async def hear() -> None:
        stopping = signals.listen()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(stopping.wait(), 10)

    async def come_after() -> bool:
        return signals.listen().is_set()

    asyncio.run(hear())
    assert asyncio.run(come_after())


def test_a_reload_that_nobody_could_do_is_made_up_for_once(signals: Signals) -> None:
    """Whether no loop listened, or one that cannot reload: the first that can does it."""
    done: list[str] = []

    async def hear() -> None:
        stopping = signals.listen()
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(stopping.wait(), 10)

    async def reload(name: str) -> None:
        signals.listen(lambda: done.append(name))

    signals.await_loop()
    os.kill(os.getpid(), signal.SIGHUP)
    asyncio.run(reload("before"))
    signals.await_loop()
    asyncio.run(hear())
    asyncio.run(reload("after"))
    asyncio.run(reload("again"))
    assert done == ["before", "after"]
