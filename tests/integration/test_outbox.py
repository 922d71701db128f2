"""The outbox end to end: a real store and spool on one side, a real OpenSSH server on the other."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from parts.lists import rows
from parts.outbox import Bench
from parts.sshd import NEEDS_SSHD, Sshd

from relay.model import Delivery, DeliveryState

pytestmark = NEEDS_SSHD

SENT, DEFERRED, HELD, QUEUED = DeliveryState.SENT, DeliveryState.DEFERRED, DeliveryState.HELD, DeliveryState.QUEUED
A_MINUTE = timedelta(minutes=1)


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    """The upstream."""
    with Sshd(tmp_path / "upstream") as server:
        yield server


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """The state, empty."""
    with Bench(tmp_path / "state") as state:
        yield state


def test_what_is_queued_arrives_under_its_name_and_is_recorded(bench: Bench, sshd: Sshd) -> None:
    """The main job: every list as planned, sent and verified, with the time that each stage took."""
    vip, lapsed = bench.plan(rows(3000)), bench.plan(rows(20, "Lapsed"), "Lapsed")

    async def run() -> None:
        async with bench.outbox(sshd.settings()):
            await bench.until_all(SENT, vip, lapsed)

    asyncio.run(run())
    assert sshd.received() == {vip.remote_name: rows(3000), lapsed.remote_name: rows(20, "Lapsed")}
    assert (bench.now(vip).verified, bench.now(vip).attempts) == (True, 1)
    (line,) = [it for it in bench.store.transitions(vip.id) if it.event == "delivery.sent"]
    assert line.fields["publish"] == "rename"
    assert set(line.fields["delays"]) == {"landing", "rewrite", "queue", "connect", "transfer"}


def test_what_is_queued_later_is_found_without_being_told(bench: Bench, sshd: Sshd) -> None:
    """An operator's command in another process releases a list; nobody wakes the outbox for it."""

    async def run() -> None:
        async with bench.outbox(sshd.settings()) as outbox:
            await bench.until_all(SENT, await asyncio.to_thread(bench.plan, rows(1)))
            await bench.look(outbox)
            await bench.until_all(SENT, await asyncio.to_thread(bench.plan, rows(2), "Lapsed"))

    asyncio.run(run())
    assert sorted(sshd.received().values()) == [rows(1), rows(2)]


def test_lists_of_one_segment_go_out_one_after_the_other_in_order(bench: Bench, sshd: Sshd) -> None:
    """However many connections are free, a list never passes an earlier one of its segment (rule D8)."""
    lists = [bench.plan(rows(count)) for count in (30_000, 20_000, 10)]

    async def run() -> None:
        async with bench.outbox(sshd.settings(connections=4)):
            await bench.until_all(SENT, *lists)

    asyncio.run(run())
    moves = [it for it in bench.store.unlogged() if it.event in {"delivery.sending", "delivery.sent"}]
    assert [(it.subject, it.event) for it in moves] == [
        (it.id, event) for it in lists for event in ("delivery.sending", "delivery.sent")
    ]


def test_an_upstream_that_is_down_costs_one_try_and_is_served_when_it_is_up(bench: Bench, sshd: Sshd) -> None:
    """A refused connection defers the list in hand, spares the others, and both go out later (rule D1)."""
    sshd.stop()
    first, second = bench.plan(rows(1)), bench.plan(rows(2), "Lapsed")

    async def run() -> None:
        async with bench.outbox(sshd.settings(connections=1)) as outbox:
            await bench.until_all(DEFERRED, first)
            assert (bench.now(first).reason, bench.now(second).attempts) == ("unreachable", 0)
            await asyncio.to_thread(sshd.start)
            bench.clock.advance(A_MINUTE)
            outbox.wake.set()
            await bench.until_all(SENT, first, second)

    asyncio.run(run())
    assert sshd.received() == {first.remote_name: rows(1), second.remote_name: rows(2)}
    assert bench.now(first).attempts == 2


def test_a_wrong_host_key_suspends_the_upstream_until_the_pin_is_corrected(bench: Bench, sshd: Sshd) -> None:
    """Nothing is sent, no list fails; a reload after the correction resumes at once (rule U6)."""
    sshd.stop()
    sshd.change_host_key()
    sshd.start()
    lists = [bench.plan(rows(1)), bench.plan(rows(2), "Lapsed")]

    async def run() -> None:
        async with bench.outbox(sshd.settings(connections=1)) as outbox:
            await bench.until(lambda: "attentive" in bench.store.suspensions(), "it is suspended")
            await bench.until_all(DEFERRED, lists[0])
            assert bench.store.suspensions()["attentive"].reason == "host_key_refused"
            assert sshd.received() == {}
            sshd.pin_host_key()
            outbox.reload(bench.config(sshd.settings(connections=1)))
            await bench.until_all(SENT, *lists)

    asyncio.run(run())
    assert [event for event in bench.events() if event.startswith("upstream")] == [
        "upstream.suspended",
        "upstream.resumed",
    ]
    assert "delivery.failed" not in bench.events()


def test_a_connection_cut_in_mid_transfer_is_made_good(bench: Bench, sshd: Sshd) -> None:
    """The same name and the same bytes, and nothing left over (rules D1 and U7)."""
    content = rows(1_000_000)
    delivery = bench.plan(content)

    async def run() -> None:
        async with bench.outbox(sshd.settings()) as outbox:
            await bench.until(lambda: any(sshd.uploads.iterdir()), "the upload has begun")
            sshd.drop_connections()
            await bench.until_all(DEFERRED, delivery)
            assert bench.now(delivery).reason == "connection_lost"
            assert delivery.remote_name not in sshd.received()
            bench.clock.advance(A_MINUTE)
            outbox.wake.set()
            await bench.until_all(SENT, delivery)

    asyncio.run(run())
    assert sshd.received() == {delivery.remote_name: content}
    assert bench.now(delivery).remote_name == delivery.remote_name


def test_a_server_that_falls_silent_is_given_up_and_tried_again(bench: Bench, sshd: Sshd) -> None:
    """A stall is an attempt that failed like another."""
    content = rows(1_000_000)
    delivery = bench.plan(content)

    async def run() -> None:
        async with bench.outbox(sshd.settings(stall_timeout="0.3s")) as outbox:
            await bench.until(lambda: any(sshd.uploads.iterdir()), "the upload has begun")
            sshd.freeze()
            await bench.until_all(DEFERRED, delivery)
            assert bench.now(delivery).reason == "stalled"
            outbox.reload(bench.config(sshd.settings()))
            bench.clock.advance(A_MINUTE)
            outbox.wake.set()
            await bench.until_all(SENT, delivery)

    asyncio.run(run())
    assert sshd.received() == {delivery.remote_name: content}


def test_after_a_crash_in_mid_transfer_the_next_start_goes_on(bench: Bench, sshd: Sshd) -> None:
    """What was in hand is taken back at the start and sent under the same name (rule U7)."""
    content = rows(1_000_000)
    delivery = bench.plan(content)

    async def crash() -> None:
        async with bench.outbox(sshd.settings()):
            await bench.until(lambda: any(sshd.uploads.iterdir()), "the upload has begun")
            await bench.crash()

    asyncio.run(crash())
    assert bench.now(delivery).state is DeliveryState.SENDING
    _send(bench, sshd, delivery)
    assert sshd.received() == {delivery.remote_name: content}
    assert bench.events()[1:] == [
        "delivery.sending",
        "delivery.recovered",
        "delivery.sending",
        "delivery.sent",
    ]


def test_a_drain_gives_back_what_it_cuts_off(bench: Bench, sshd: Sshd) -> None:
    """What is not done within the time is due at once for the next start."""
    content = rows(1_000_000)
    delivery, other = bench.plan(content), bench.plan(rows(1), "Lapsed")

    async def stop() -> None:
        async with bench.outbox(sshd.settings(connections=1)) as outbox:
            await bench.until(lambda: any(sshd.uploads.iterdir()), "the upload has begun")
            await outbox.drain(timedelta(0))

    asyncio.run(stop())
    given_back = bench.now(delivery)
    assert (given_back.state, given_back.reason, given_back.due_at) == (DEFERRED, "stopped", bench.clock.now)
    assert bench.now(other).state is QUEUED
    _send(bench, sshd, delivery, other)
    assert sshd.received() == {delivery.remote_name: content, other.remote_name: rows(1)}


def test_a_drain_lets_what_is_in_hand_finish_and_begins_nothing_more(bench: Bench, sshd: Sshd) -> None:
    """Within its time, a stop costs no attempt."""
    content = rows(1_000_000)
    delivery, other = bench.plan(content), bench.plan(rows(1), "Lapsed")

    async def stop() -> None:
        async with bench.outbox(sshd.settings(connections=1)) as outbox:
            await bench.until(lambda: any(sshd.uploads.iterdir()), "the upload has begun")
            await outbox.drain(A_MINUTE)

    asyncio.run(stop())
    assert (bench.now(delivery).state, bench.now(other).state) == (SENT, QUEUED)
    assert sshd.received() == {delivery.remote_name: content}


def test_a_list_that_could_not_be_sent_for_too_long_is_held(bench: Bench, sshd: Sshd) -> None:
    """Retries end where a list is stale; a person decides (rule G8)."""
    sshd.stop()
    delivery = bench.plan(rows(1), stale_after=timedelta(hours=2))

    async def run() -> None:
        async with bench.outbox(sshd.settings()) as outbox:
            await bench.until_all(DEFERRED, delivery)
            bench.clock.advance(timedelta(hours=2))
            outbox.wake.set()
            await bench.until_all(HELD, delivery)

    asyncio.run(run())
    assert bench.now(delivery).reason == "stale"


def test_one_upstream_that_is_down_does_not_stop_another(bench: Bench, sshd: Sshd, tmp_path: Path) -> None:
    """Lists wait and fail per upstream."""
    with Sshd(tmp_path / "down") as down:
        down.stop()
        waiting = bench.plan(rows(1), upstream="down")
        going = bench.plan(rows(2), "Lapsed")

        async def run() -> None:
            async with bench.outbox(down.settings(name="down"), sshd.settings()):
                await bench.until_all(SENT, going)
                await bench.until_all(DEFERRED, waiting)

        asyncio.run(run())


def _send(bench: Bench, sshd: Sshd, *deliveries: Delivery) -> None:
    """Start the outbox and stop it when `deliveries` are sent."""

    async def run() -> None:
        async with bench.outbox(sshd.settings()):
            await bench.until_all(SENT, *deliveries)

    asyncio.run(run())
