"""A list that goes out as several files, while things go wrong half-way (rules D13 and D14)."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from asyncssh.constants import FX_FAILURE
from parts.lists import rows
from parts.outbox import Bench
from parts.sshd import NEEDS_SSHD, Sshd
from parts.upstream import Operation, ScriptedUpstream, drop, meanwhile, refuse

from relay.model import Decision, Delivery, DeliveryState
from relay.naming import names_in_a_row

SENT, DEFERRED, FAILED, HELD = DeliveryState.SENT, DeliveryState.DEFERRED, DeliveryState.FAILED, DeliveryState.HELD
LIST = rows(250)
PIECES = [LIST[: 15 * 100], LIST[15 * 100 : 15 * 200], LIST[15 * 200 :]]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """The state, empty."""
    with Bench(tmp_path / "state") as state:
        yield state


def names_of(delivery: Delivery) -> list[str]:
    """What its files are called."""
    return names_in_a_row(str(delivery.remote_name), delivery.files)


@NEEDS_SSHD
def test_the_files_arrive_in_order_each_under_its_number(bench: Bench, tmp_path: Path) -> None:
    """At a real OpenSSH server: the list is whole there, in pieces of the size asked for, and then it is sent."""
    with Sshd(tmp_path / "upstream") as sshd:
        split, other = bench.plan(LIST, split=100), bench.plan(rows(5, "Lapsed"), "Lapsed")

        async def run() -> None:
            async with bench.outbox(sshd.settings()):
                await bench.until_all(SENT, split, other)

        asyncio.run(run())
        names = [*names_of(split), str(other.remote_name)]
        assert sshd.received() == dict(zip(names, [*PIECES, rows(5, "Lapsed")], strict=True))
    ends = [it.event for it in bench.store.transitions(split.id)][-3:]
    assert ends == ["slice.sent", "slice.sent", "delivery.sent"]
    assert bench.now(split).verified


@pytest.mark.parametrize("piece", [0, 1, 2])
@pytest.mark.parametrize("after", [False, True])
def test_a_lost_connection_costs_no_file_that_is_there(
    bench: Bench, tmp_path: Path, piece: int, *, after: bool
) -> None:
    """The next attempt goes on with the file that it happened to, also where only the rename's answer was lost."""
    split = bench.plan(LIST, split=100)

    async def run() -> None:
        fault = drop("rename", after=after, skip=piece)
        async with ScriptedUpstream(tmp_path / "upstream", faults=(fault,)) as upstream:
            async with bench.outbox(upstream.settings()) as outbox:
                await bench.until_all(DEFERRED, split)
                assert bench.now(split).files_sent == piece
                bench.clock.advance(timedelta(minutes=1))
                outbox.wake.set()
                await bench.until_all(SENT, split)
            assert upstream.received() == dict(zip(names_of(split), PIECES, strict=True))
            # None that was there before was written once more.
            begun = [it for it in upstream.asked_for("open") if any(name in it for name in names_of(split)[:piece])]
            assert len(begun) == piece

    asyncio.run(run())
    assert bench.now(split).attempts == 2


def test_a_file_that_was_picked_up_is_not_sent_again(bench: Bench, tmp_path: Path) -> None:
    """The answer to its rename was lost, and Attentive took it: the files after it do not mistake that for theirs."""
    split = bench.plan(LIST, split=100)
    second = names_of(split)[1]

    async def run() -> None:
        taken = meanwhile("rename", lambda uploads: (uploads / second).unlink(), after=True, skip=1)
        lost = drop("rename", after=True, skip=1)
        async with ScriptedUpstream(tmp_path / "upstream", faults=(taken, lost)) as upstream:
            async with bench.outbox(upstream.settings()) as outbox:
                await bench.until_all(DEFERRED, split)
                bench.clock.advance(timedelta(minutes=1))
                outbox.wake.set()
                await bench.until_all(SENT, split)
            first, _, third = names_of(split)
            assert upstream.received() == {first: PIECES[0], third: PIECES[2]}

    asyncio.run(run())
    assert [it.verified for it in bench.store.slices(split.id)] == [True, False, True]
    assert bench.now(split).verified is False


def test_a_file_whose_name_is_taken_fails_the_list_half_way(bench: Bench, tmp_path: Path) -> None:
    """What was sent stays sent; once the name is free, a requeue sends the rest, and nothing twice (rule U4)."""
    split = bench.plan(LIST, split=100)
    second = names_of(split)[1]

    async def run() -> None:
        async with ScriptedUpstream(tmp_path / "upstream") as upstream:
            (upstream.uploads / second).write_bytes(b"theirs\n")
            async with bench.outbox(upstream.settings()) as outbox:
                await bench.until_all(FAILED, split)
                assert (bench.now(split).files_sent, bench.now(split).reason) == (1, "name_taken")
                (upstream.uploads / second).unlink()
                bench.store.requeue(split.id, Decision("mel", None), bench.clock.now)
                outbox.wake.set()
                await bench.until_all(SENT, split)
            assert upstream.received() == dict(zip(names_of(split), PIECES, strict=True))

    asyncio.run(run())


def test_a_list_that_is_stale_half_way_is_held_and_says_so(bench: Bench, tmp_path: Path) -> None:
    """The figures say how much of it is out, and a release sends the rest."""
    split = bench.plan(LIST, split=100)

    async def run() -> None:
        fault = refuse("rename", FX_FAILURE, skip=2)
        async with ScriptedUpstream(tmp_path / "upstream", faults=(fault,)) as upstream:
            async with bench.outbox(upstream.settings()) as outbox:
                await bench.until_all(DEFERRED, split)
                bench.clock.advance(timedelta(hours=49))
                outbox.wake.set()
                await bench.until_all(HELD, split)
                held = bench.now(split)
                assert held.reason == "stale"
                assert "but for 2 of 3 files" in str(held.detail)
                upstream.faults = ()
                now = bench.clock.now
                bench.store.release(split.id, Decision("mel", None), now.date(), now + timedelta(hours=48), now)
                outbox.wake.set()
                await bench.until_all(SENT, split)
            assert upstream.received() == dict(zip(names_of(split), PIECES, strict=True))

    asyncio.run(run())


@pytest.mark.parametrize("publish", ["rename", "direct"])
def test_a_death_between_two_files_costs_time_only(bench: Bench, tmp_path: Path, publish: str) -> None:
    """The next start finds the first file there, and goes on; with either way of publishing."""
    split = bench.plan(LIST, split=100)
    operation: Operation = "rename" if publish == "rename" else "close"

    async def run() -> None:
        reached = asyncio.Event()

        async with ScriptedUpstream(tmp_path / "upstream") as upstream:
            upstream.faults = (meanwhile(operation, lambda _: reached.set(), skip=1),)
            settings = upstream.settings(publish=publish)
            async with bench.outbox(settings):
                await reached.wait()
                await bench.crash()
            assert bench.now(split).files_sent == 1
            async with bench.outbox(settings):
                await bench.until_all(SENT, split)
            assert upstream.received() == dict(zip(names_of(split), PIECES, strict=True))

    asyncio.run(run())
