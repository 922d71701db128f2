"""Whose turn it is, and what becomes of lists that hang, are overtaken, or have left something behind."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from asyncssh.constants import FX_FAILURE, FX_PERMISSION_DENIED
from parts.lists import rows
from parts.outbox import Bench
from parts.upstream import Fault, ScriptedUpstream, drop, refuse, stall

from relay.model import Decision, Delivery, DeliveryState
from relay.naming import temporary_name

SENT, DEFERRED, HELD, QUEUED, SENDING, SUPERSEDED = (
    DeliveryState.SENT,
    DeliveryState.DEFERRED,
    DeliveryState.HELD,
    DeliveryState.QUEUED,
    DeliveryState.SENDING,
    DeliveryState.SUPERSEDED,
)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
LEASE = timedelta(minutes=6, seconds=30)
"""What the default deadlines make of it."""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """The state, empty."""
    with Bench(tmp_path / "state") as state:
        yield state


def _send_all(bench: Bench, upstream: ScriptedUpstream, *deliveries: Delivery, **changes: object) -> None:
    async def run() -> None:
        async with upstream, bench.outbox(upstream.settings(**changes)):
            await bench.until_all(SENT, *deliveries)

    asyncio.run(run())


def test_the_routes_take_turns(bench: Bench, tmp_path: Path) -> None:
    """A list of a small tenant does not wait for the whole backlog of a large one (rule D11)."""
    backlog = [bench.plan(rows(1), f"Segment {number}", route="large") for number in range(6)]
    late = [bench.plan(rows(2), f"Segment {number}", route="small") for number in range(2)]
    upstream = ScriptedUpstream(tmp_path / "upstream")
    _send_all(bench, upstream, *backlog, *late, connections=1)
    assert bench.taken() == [it.id for it in (backlog[0], late[0], backlog[1], late[1], *backlog[2:])]


def test_a_tenant_whose_upstream_is_suspended_delays_no_other(bench: Bench, tmp_path: Path) -> None:
    """Lists wait per upstream, however many there are (rule D11)."""
    waiting = [bench.plan(rows(1), f"Segment {number}", route="a", upstream="locked") for number in range(20)]
    going = bench.plan(rows(1), route="b")
    locked = ScriptedUpstream(tmp_path / "locked", (refuse("open", FX_PERMISSION_DENIED),))
    upstream = ScriptedUpstream(tmp_path / "upstream")

    async def run() -> None:
        async with locked, upstream, bench.outbox(locked.settings(name="locked"), upstream.settings()):
            await bench.until(lambda: "locked" in bench.store.suspensions(), "it is suspended")
            await bench.until_all(SENT, going)

    asyncio.run(run())
    assert {bench.now(it).state for it in waiting} <= {QUEUED, DEFERRED}


def test_after_an_outage_of_days_only_the_newest_list_goes_out(bench: Bench, tmp_path: Path) -> None:
    """Each day's list takes the place of the day before's, which never follows it (rule D7)."""
    upstream = ScriptedUpstream(tmp_path / "upstream", (refuse("write", FX_FAILURE),))
    lists: list[Delivery] = []

    async def run() -> None:
        async with upstream, bench.outbox(upstream.settings(connections=2)) as outbox:
            for count in (1, 2, 3, 4):
                bench.clock.advance(DAY)
                lists.append(await asyncio.to_thread(bench.plan, rows(count), stale_after=7 * DAY))
                while not bench.now(lists[-1]).attempts:
                    bench.clock.advance(15 * MINUTE)
                    await bench.look(outbox)
                await bench.until_all(DEFERRED, lists[-1])
            upstream.faults = ()
            bench.clock.advance(DAY)
            outbox.wake.set()
            await bench.until_all(SENT, lists[-1])

    asyncio.run(run())
    assert [bench.now(it).state for it in lists] == [SUPERSEDED, SUPERSEDED, SUPERSEDED, SENT]
    assert list(upstream.received().values()) == [rows(4)]


def test_an_outage_that_outlasts_a_list_ends_in_a_hold_and_not_in_a_late_list(bench: Bench, tmp_path: Path) -> None:
    """Tried to the end of its time, then a person's to decide (rule G8)."""
    upstream = ScriptedUpstream(tmp_path / "upstream", (refuse("write", FX_FAILURE),))
    delivery = bench.plan(rows(1))

    def has_failed(attempt: int) -> bool:
        now = bench.now(delivery)
        return (now.attempts, now.state) == (attempt, DEFERRED)

    async def run() -> None:
        async with upstream, bench.outbox(upstream.settings()) as outbox:
            for attempt in range(1, 49):
                await bench.until(partial(has_failed, attempt), f"attempt {attempt} has failed")
                bench.clock.advance(timedelta(hours=1))
                outbox.wake.set()
            await bench.until_all(HELD, delivery)
            upstream.faults = ()
            bench.clock.advance(DAY)
            await bench.look(outbox)

    asyncio.run(run())
    held = bench.now(delivery)
    assert (held.state, held.reason, held.attempts) == (HELD, "stale", 48)
    assert delivery.remote_name not in upstream.received()


def test_a_session_that_has_ended_between_two_lists_costs_no_attempt(bench: Bench, tmp_path: Path) -> None:
    """The first look verifies the connection; where it is stale, a fresh one sends the list."""
    lists = [bench.plan(rows(number + 1), f"Segment {number}") for number in range(2)]
    upstream = ScriptedUpstream(tmp_path / "upstream", (drop("stat", skip=4),))
    _send_all(bench, upstream, *lists, connections=1)
    assert upstream.sessions == 2
    assert [bench.now(it).attempts for it in lists] == [1, 1]
    assert bench.events().count("delivery.deferred") == 0


def test_a_transfer_that_hangs_is_taken_over(bench: Bench, tmp_path: Path) -> None:
    """Its claim runs out, its connection is closed, and a fresh one sends the list (rule U10)."""
    delivery = bench.plan(rows(1))
    upstream = ScriptedUpstream(tmp_path / "upstream", (stall("write"),))

    async def run() -> None:
        async with upstream, bench.outbox(upstream.settings()) as outbox:
            await bench.until(lambda: bool(upstream.asked_for("write")), "it hangs")
            await bench.look(outbox)
            bench.clock.advance(LEASE - timedelta(seconds=1))
            await bench.look(outbox)
            assert bench.now(delivery).state is SENDING
            bench.clock.advance(timedelta(seconds=1))
            outbox.wake.set()
            await bench.until_all(SENT, delivery)

    asyncio.run(run())
    assert (bench.now(delivery).attempts, upstream.sessions) == (2, 2)
    assert "delivery.recovered" in bench.events()
    assert upstream.received() == {delivery.remote_name: rows(1)}


def test_a_long_transfer_that_makes_progress_is_not_taken_over(bench: Bench, tmp_path: Path) -> None:
    """The claim is renewed while the upstream answers, however long it all takes (rule U10)."""
    delivery = bench.plan(rows(400_000))
    looked: list[int] = []

    async def run() -> None:
        one_by_one = asyncio.Lock()

        async def dawdle(_: ScriptedUpstream) -> None:
            async with one_by_one:
                bench.clock.advance(MINUTE)
                await bench.look(outbox)
                looked.append(bench.now(delivery).attempts)

        upstream.faults = (Fault("write", dawdle, times=None),)
        async with upstream, bench.outbox(upstream.settings()) as outbox:
            await bench.until_all(SENT, delivery)

    upstream = ScriptedUpstream(tmp_path / "upstream")
    asyncio.run(run())
    assert len(looked) * MINUTE > 2 * LEASE
    assert bench.now(delivery).attempts == 1


def test_temporary_files_of_lists_that_were_given_up_are_removed_and_no_others(bench: Bench, tmp_path: Path) -> None:
    """Own ones are known by their delivery; another relay's, which look the same, are not (rule U3)."""
    given_up = bench.plan(rows(5))
    upstream = ScriptedUpstream(tmp_path / "upstream", (drop("write"),))

    async def run() -> None:
        async with upstream, bench.outbox(upstream.settings()) as outbox:
            await bench.until_all(DEFERRED, given_up)
            bench.store.discard(given_up.id, Decision("ops", None), bench.clock.now)
            (upstream.uploads / theirs).write_bytes(b"x")
            (upstream.uploads / "notes.part").write_bytes(b"x")
            bench.clock.advance(timedelta(hours=1))
            going.append(await asyncio.to_thread(bench.plan, rows(1), "Lapsed"))
            outbox.wake.set()
            await bench.until_all(SENT, *going)

    going: list[Delivery] = []
    theirs = temporary_name("sirendenim_subscriber_segment_20261123_9.csv", "sirendenim-20261123T000000Z-abcdef.1", 1)
    asyncio.run(run())
    assert set(upstream.received()) == {theirs, "notes.part", going[0].remote_name}


def test_the_cut_off_beginning_of_a_list_that_was_given_up_is_removed(bench: Bench, tmp_path: Path) -> None:
    """Written directly, it lies under a final name, where Attentive would take it for the list (rule U9)."""
    given_up = bench.plan(rows(100_000))
    upstream = ScriptedUpstream(tmp_path / "upstream", (drop("write", skip=2),))

    async def run() -> None:
        async with upstream, bench.outbox(upstream.settings(publish="direct")) as outbox:
            await bench.until_all(DEFERRED, given_up)
            assert given_up.remote_name in upstream.received()
            bench.store.discard(given_up.id, Decision("ops", None), bench.clock.now)
            bench.clock.advance(timedelta(hours=1))
            going.append(await asyncio.to_thread(bench.plan, rows(1), "Lapsed"))
            outbox.wake.set()
            await bench.until_all(SENT, *going)

    going: list[Delivery] = []
    asyncio.run(run())
    assert set(upstream.received()) == {going[0].remote_name}


def test_a_crash_in_the_middle_of_a_direct_upload_is_made_good(bench: Bench, tmp_path: Path) -> None:
    """The state knows that the file under the final name may be our own, cut off (rule U9)."""
    content = rows(100_000)
    delivery = bench.plan(content)
    upstream = ScriptedUpstream(tmp_path / "upstream", (stall("write", skip=2),))

    async def crash() -> None:
        async with upstream, bench.outbox(upstream.settings(publish="direct")):
            await bench.until(lambda: len(upstream.asked_for("write")) > 2, "the upload has begun")
            await bench.crash()

    asyncio.run(crash())
    assert bench.now(delivery).unanswered == delivery.remote_name
    _send_all(bench, upstream, delivery, publish="direct")
    assert upstream.received() == {delivery.remote_name: content}
    assert bench.now(delivery).unanswered is None
