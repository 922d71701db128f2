"""What the outbox makes of trouble: whose list waits, whose fails, and when an upstream is left in peace."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, cast

import pytest
from asyncssh import SFTPPermissionDenied
from asyncssh.constants import FX_FAILURE, FX_PERMISSION_DENIED
from parts.lists import rows
from parts.outbox import PATIENCE, Bench
from parts.upstream import PASSWORD, Fault, ScriptedUpstream, drop, meanwhile, refuse, stall

from relay.model import Decision, Delivery, DeliveryState
from relay.naming import temporary_name
from relay.outbox.health import Health
from relay.outbox.lane import Lane
from relay.outbox.patience import Patience
from relay.outbox.sender import Sender, Surroundings, lease_of
from relay.store import Store

SENT, SENDING, DEFERRED, FAILED, QUEUED = (
    DeliveryState.SENT,
    DeliveryState.SENDING,
    DeliveryState.DEFERRED,
    DeliveryState.FAILED,
    DeliveryState.QUEUED,
)
MINUTE = timedelta(minutes=1)


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


def test_one_session_serves_everything_that_is_due(bench: Bench, tmp_path: Path) -> None:
    """Lists of many segments go over one connection, and are taken in hand in the order in which they were planned."""
    lists = [bench.plan(rows(number + 1), f"Segment {number}") for number in range(8)]
    upstream = ScriptedUpstream(tmp_path / "upstream")
    _send_all(bench, upstream, *lists, connections=1)
    assert upstream.sessions == 1
    assert bench.taken() == [it.id for it in lists]


def test_two_segments_are_on_their_way_at_once(bench: Bench, tmp_path: Path) -> None:
    """With two connections, neither of two lists waits for the other: here each is renamed only beside the other."""
    both = asyncio.Barrier(2)

    async def meet(_: ScriptedUpstream) -> None:
        await both.wait()

    upstream = ScriptedUpstream(tmp_path / "upstream", (Fault("rename", meet, times=None),))
    _send_all(bench, upstream, bench.plan(rows(1)), bench.plan(rows(2), "Lapsed"), connections=2)
    assert upstream.sessions == 2


def test_there_are_no_more_connections_than_the_setting_says(bench: Bench, tmp_path: Path) -> None:
    """It is a limit that an upstream may rest on, however many lists go out over each."""
    seen: list[int] = []

    async def count(upstream: ScriptedUpstream) -> None:
        seen.append(upstream.connections)

    lists = [bench.plan(rows(100), f"Segment {number}") for number in range(30)]
    upstream = ScriptedUpstream(tmp_path / "upstream", (Fault("open", count, times=None),))
    _send_all(bench, upstream, *lists, connections=3)
    assert max(seen) == 3


def _lists(bench: Bench, *sizes: int) -> list[Delivery]:
    return [bench.plan(rows(size), f"Segment {number}") for number, size in enumerate(sizes)]


def test_eight_small_lists_and_no_more_are_on_their_way_over_one_connection(bench: Bench, tmp_path: Path) -> None:
    """The first goes alone: what is wrong with the upstream costs one list an attempt. None of eight waits then."""
    sending: list[int] = []

    async def count(_: ScriptedUpstream) -> None:
        sending.append(sum(bench.now(it).state is SENDING for it in lists))

    lists = _lists(bench, *[100] * 30)
    upstream = ScriptedUpstream(tmp_path / "upstream", (Fault("open", count, times=None),))
    _send_all(bench, upstream, *lists, connections=1)
    assert (sending[:2], max(sending), upstream.sessions) == ([1, 8], 8, 1)


def test_what_comes_after_a_large_list_waits_for_it(bench: Bench, tmp_path: Path) -> None:
    """A large list fills the connection by itself: what is claimed beside it would only hold its claim."""
    seen: list[list[DeliveryState]] = []

    async def look(upstream: ScriptedUpstream) -> None:
        if upstream.asked_for("rename")[-1] == large.remote_name:
            seen.append([bench.now(it).state for it in lists])

    lists = [*_lists(bench, 1, 2, 40_000), bench.plan(rows(1), "Last")]
    large = lists[2]
    upstream = ScriptedUpstream(tmp_path / "upstream", (Fault("rename", look, times=None),))
    _send_all(bench, upstream, *lists, connections=1)
    assert seen[0][-1] is QUEUED


def test_one_refused_list_among_eight_stops_no_other(bench: Bench, tmp_path: Path) -> None:
    """What is wrong with one list is that list's: the others are sent, and each as often as once."""
    lists = _lists(bench, *[100] * 9)
    refused = lists[4]
    upstream = ScriptedUpstream(tmp_path / "upstream")
    assert refused.remote_name is not None
    (upstream.uploads / refused.remote_name).write_bytes(b"another's")
    others = [it for it in lists if it is not refused]

    async def run() -> None:
        async with upstream, bench.outbox(upstream.settings(connections=1)):
            await bench.until_all(SENT, *others)
            await bench.until_all(FAILED, refused)

    asyncio.run(run())
    assert [bench.now(it).attempts for it in lists] == [1] * 9
    assert upstream.received()[refused.remote_name] == b"another's"


def test_each_of_eight_lists_is_looked_for_by_its_own_names(bench: Bench, tmp_path: Path) -> None:
    """A connection is lost when one of them was renamed: that one is found, and the others are renamed, once each."""
    lists = _lists(bench, *[100] * 9)
    upstream = ScriptedUpstream(tmp_path / "upstream", (drop("rename", skip=1, after=True),))

    async def run() -> None:
        async with upstream, bench.outbox(upstream.settings(connections=1)) as outbox:
            await bench.until_all(DEFERRED, *lists[1:])
            for it in map(bench.now, lists[1:]):
                assert it.unanswered in {None, temporary_name(str(it.remote_name), it.id, 1)}
            (renamed,) = [it for it in lists[1:] if it.remote_name in upstream.received()]
            assert bench.now(renamed).unanswered is not None
            bench.clock.advance(MINUTE)
            outbox.wake.set()
            await bench.until_all(SENT, *lists)
            assert upstream.asked_for("rename").count(str(renamed.remote_name)) == 1

    asyncio.run(run())
    assert sorted(upstream.received()) == sorted(str(it.remote_name) for it in lists)


def test_eight_lists_that_hang_are_taken_over(bench: Bench, tmp_path: Path) -> None:
    """Their claims run out, their connection is closed, and a fresh one sends them (rule U10)."""
    lists = _lists(bench, *[100] * 9)
    upstream = ScriptedUpstream(tmp_path / "upstream", (stall("write", skip=1),))

    async def run() -> None:
        async with upstream, bench.outbox(upstream.settings(connections=1)) as outbox:
            await bench.until(lambda: len(upstream.asked_for("write")) == 2, "they hang")
            bench.clock.advance(lease_of(upstream.settings()))
            outbox.wake.set()
            await bench.until_all(SENT, *lists)

    asyncio.run(run())
    assert [bench.now(it).attempts for it in lists] == [1] + [2] * 8
    assert upstream.sessions == 2


def test_a_refused_password_suspends_the_upstream_and_fails_nobodys_list(bench: Bench, tmp_path: Path) -> None:
    """One try, then peace: a probe after five minutes, ten, twenty … an hour, until the login works again."""
    lists = [bench.plan(rows(1)), bench.plan(rows(2), "Lapsed"), bench.plan(rows(3), "New")]
    upstream = ScriptedUpstream(tmp_path / "upstream", login="password")
    upstream.password.write_text("wrong\n", encoding="utf-8")

    def is_probed(due: datetime) -> bool:
        return bench.store.suspensions()["attentive"].probe_at > due

    async def run() -> None:
        async with upstream, bench.outbox(upstream.settings(connections=1)) as outbox:
            await bench.until(lambda: "attentive" in bench.store.suspensions(), "it is suspended")
            assert bench.store.suspensions()["attentive"].reason == "login_refused"
            for tries, minutes in enumerate((5, 10, 20, 40, 60, 60), start=1):
                assert bench.store.suspensions()["attentive"].probe_at == bench.clock.now + minutes * MINUTE
                bench.clock.advance(minutes * MINUTE - timedelta(seconds=1))
                await bench.look(outbox)
                assert upstream.tries == tries
                bench.clock.advance(timedelta(seconds=1))
                outbox.wake.set()
                await bench.until(partial(is_probed, bench.clock.now), "it was probed")
            assert [bench.now(it).attempts for it in lists] == [1, 0, 0]
            upstream.password.write_text(f"{PASSWORD}\n", encoding="utf-8")
            bench.clock.advance(60 * MINUTE)
            outbox.wake.set()
            await bench.until_all(SENT, *lists)
            assert upstream.tries == 1 + 6 + 1 + 1

    asyncio.run(run())
    assert [event for event in bench.events() if event.startswith("upstream")] == [
        "upstream.suspended",
        "upstream.resumed",
    ]
    assert "delivery.failed" not in bench.events()


def test_a_restart_probes_a_suspended_upstream_at_once(bench: Bench, tmp_path: Path) -> None:
    """Who corrects the password and restarts does not wait for an hour."""
    delivery = bench.plan(rows(1))
    upstream = ScriptedUpstream(tmp_path / "upstream", login="password")
    upstream.password.write_text("wrong\n", encoding="utf-8")

    async def suspend() -> None:
        async with upstream, bench.outbox(upstream.settings()):
            await bench.until_all(DEFERRED, delivery)

    asyncio.run(suspend())
    assert "attentive" in bench.store.suspensions()
    upstream.password.write_text(f"{PASSWORD}\n", encoding="utf-8")
    _send_all(bench, upstream, delivery)


def test_an_operator_lifts_a_suspension_without_a_restart(bench: Bench, tmp_path: Path) -> None:
    """The word of another process counts as soon as it is seen."""
    delivery = bench.plan(rows(1))
    upstream = ScriptedUpstream(tmp_path / "upstream", (refuse("open", FX_PERMISSION_DENIED, times=1),))

    async def run() -> None:
        async with upstream, bench.outbox(upstream.settings()):
            await bench.until_all(DEFERRED, delivery)
            bench.store.resume("attentive", Decision("ops", None), bench.clock.now)
            await bench.until_all(SENT, delivery)

    asyncio.run(run())


def test_a_probe_that_may_not_list_the_directory_does_not_resume(bench: Bench, tmp_path: Path) -> None:
    """A login alone does not make an upstream well: it is asked what a list would need."""
    delivery = bench.plan(rows(1))
    faults = (refuse("open", FX_PERMISSION_DENIED, times=1), refuse("list", FX_PERMISSION_DENIED))
    upstream = ScriptedUpstream(tmp_path / "upstream", faults)

    async def run() -> None:
        async with upstream, bench.outbox(upstream.settings()) as outbox:
            await bench.until_all(DEFERRED, delivery)
            bench.clock.advance(5 * MINUTE)
            outbox.wake.set()
            await bench.until(
                lambda: bench.store.suspensions()["attentive"].probe_at == bench.clock.now + 10 * MINUTE,
                "it was probed",
            )
            assert bench.now(delivery).state is DEFERRED

    asyncio.run(run())


def test_a_list_whose_name_is_taken_fails_alone(bench: Bench, tmp_path: Path) -> None:
    """It is that list's trouble: the others go out at once (rule U4)."""
    taken, other = bench.plan(rows(1)), bench.plan(rows(2), "Lapsed")
    upstream = ScriptedUpstream(tmp_path / "upstream")
    theirs = bytes(len(rows(1)))
    (upstream.uploads / str(taken.remote_name)).write_bytes(theirs)
    _send_all(bench, upstream, other, connections=1)
    assert (bench.now(taken).state, bench.now(taken).reason) == (FAILED, "name_taken")
    assert upstream.received() == {taken.remote_name: theirs, other.remote_name: rows(2)}


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_lost_draft_fails_alone_and_is_no_fault_of_the_upstream(bench: Bench, tmp_path: Path, damage: str) -> None:
    """What the relay itself has lost or spoilt is not sent, not tried for ever, and stops nobody."""
    lost, other = bench.plan(rows(5)), bench.plan(rows(2), "Lapsed")
    draft = bench.spool.draft(lost)
    draft.unlink() if damage == "missing" else draft.write_bytes(rows(4))
    upstream = ScriptedUpstream(tmp_path / "upstream")
    _send_all(bench, upstream, other, connections=1)
    assert (bench.now(lost).state, bench.now(lost).reason) == (FAILED, f"draft_{damage}")
    assert upstream.received() == {other.remote_name: rows(2)}
    assert bench.store.suspensions() == {}


def test_a_list_that_is_picked_up_at_once_is_sent_and_not_verified(bench: Bench, tmp_path: Path) -> None:
    """The record says what is known and no more (rule U5)."""
    delivery = bench.plan(rows(1))
    pick_up = meanwhile("rename", lambda uploads: (uploads / str(delivery.remote_name)).unlink(), after=True)
    _send_all(bench, ScriptedUpstream(tmp_path / "upstream", (pick_up,)), delivery)
    assert bench.now(delivery).verified is False


def test_a_refused_rename_is_recorded_as_a_direct_upload(bench: Bench, tmp_path: Path) -> None:
    """Whoever reads the history sees which promise was given (rule U2)."""
    delivery = bench.plan(rows(1))
    upstream = ScriptedUpstream(tmp_path / "upstream", (refuse("rename", FX_PERMISSION_DENIED),))
    _send_all(bench, upstream, delivery)
    assert bench.store.transitions(delivery.id)[-1].fields["publish"] == "direct"
    assert upstream.received() == {delivery.remote_name: rows(1)}


def test_where_only_the_answer_was_lost_the_retry_finds_the_list(bench: Bench, tmp_path: Path) -> None:
    """It is recorded as sent, and not uploaded a second time (rule U7)."""
    delivery = bench.plan(rows(1))
    upstream = ScriptedUpstream(tmp_path / "upstream", (drop("rename", after=True),))

    async def run() -> None:
        async with upstream, bench.outbox(upstream.settings()) as outbox:
            await bench.until_all(DEFERRED, delivery)
            bench.clock.advance(MINUTE)
            outbox.wake.set()
            await bench.until_all(SENT, delivery)

    asyncio.run(run())
    assert len(upstream.asked_for("rename")) == 1
    assert bench.store.transitions(delivery.id)[-1].fields["publish"] == "found"


def test_attempts_that_fail_come_ever_more_rarely(bench: Bench, tmp_path: Path) -> None:
    """15 seconds and doubling, up to half of 15 minutes where chance is kindest; the count is in the store."""
    delivery = bench.plan(rows(1))
    upstream = ScriptedUpstream(tmp_path / "upstream", (refuse("close", FX_FAILURE, times=8),))
    waits: list[float] = []

    def has_failed(attempt: int) -> bool:
        now = bench.now(delivery)
        return (now.attempts, now.state) == (attempt, DEFERRED)

    async def run() -> None:
        async with upstream, bench.outbox(upstream.settings()) as outbox:
            for attempt in range(1, 9):
                await bench.until(partial(has_failed, attempt), f"attempt {attempt} has failed")
                wait = (bench.now(delivery).due_at or bench.clock.now) - bench.clock.now
                waits.append(wait.total_seconds())
                bench.clock.advance(wait)
                outbox.wake.set()
            await bench.until_all(SENT, delivery)

    asyncio.run(run())
    assert waits == [15, 30, 60, 120, 240, 450, 450, 450]


def test_trouble_of_the_upstream_spares_the_lists_behind(bench: Bench, tmp_path: Path) -> None:
    """Where the disk is full, the next list would fare the same: the whole lane rests, and longer each time."""
    full = refuse("write", FX_FAILURE, times=2)
    first, second = bench.plan(rows(1)), bench.plan(rows(2), "Lapsed")
    upstream = ScriptedUpstream(tmp_path / "upstream", (full,))
    quarter = timedelta(seconds=15)

    async def run() -> None:
        async with upstream, bench.outbox(upstream.settings(connections=1)) as outbox:
            await bench.until_all(DEFERRED, first)
            bench.clock.advance(quarter)
            await bench.look(outbox)
            await bench.until(lambda: bench.now(first).attempts == 2, "it was tried again")
            await bench.until_all(DEFERRED, first)
            bench.clock.advance(quarter)
            await bench.look(outbox)
            assert (bench.now(second).state, bench.now(second).attempts) == (QUEUED, 0)
            bench.clock.advance(quarter)
            outbox.wake.set()
            await bench.until_all(SENT, first, second)
            # What went well again begins again with a short rest.
            full.times = 1
            third = await asyncio.to_thread(bench.plan, rows(3), "New")
            await bench.until_all(DEFERRED, third)
            bench.clock.advance(quarter)
            await bench.until_all(SENT, third)

    asyncio.run(run())


def test_a_suspension_stops_the_senders_that_are_doing_well(bench: Bench, tmp_path: Path) -> None:
    """Whoever finishes while another is refused begins no further list."""
    going, refused, waiting = bench.plan(rows(1)), bench.plan(rows(2), "Lapsed"), bench.plan(rows(3), "New")

    async def until_suspended(_: ScriptedUpstream) -> None:
        await bench.until(lambda: "attentive" in bench.store.suspensions(), "it is suspended")

    async def refuse_one(upstream: ScriptedUpstream) -> None:
        if str(refused.remote_name) in upstream.asked_for("open")[-1]:
            raise SFTPPermissionDenied("no")

    faults = (Fault("open", refuse_one, times=None), Fault("rename", until_suspended))
    upstream = ScriptedUpstream(tmp_path / "upstream", faults)

    async def run() -> None:
        async with upstream, bench.outbox(upstream.settings(connections=2)) as outbox:
            await bench.until_all(SENT, going)
            await bench.until_all(DEFERRED, refused)
            await bench.look(outbox)
            assert [bench.now(it).attempts for it in (refused, waiting)] == [1, 0]

    asyncio.run(run())


def test_each_suspension_begins_with_a_short_wait(bench: Bench, tmp_path: Path) -> None:
    """That an upstream was in trouble before does not make it wait for an hour now."""
    delivery = bench.plan(rows(1))
    upstream = ScriptedUpstream(tmp_path / "upstream", (refuse("open", FX_PERMISSION_DENIED, times=2),))

    async def run() -> None:
        async with upstream, bench.outbox(upstream.settings()):
            for attempt in (1, 2):
                await bench.until(lambda: "attentive" in bench.store.suspensions(), "it is suspended")
                await bench.until_all(DEFERRED, delivery)
                assert bench.store.suspensions()["attentive"].probe_at == bench.clock.now + 5 * MINUTE
                assert bench.now(delivery).attempts == attempt
                bench.store.resume("attentive", Decision("ops", None), bench.clock.now)
            await bench.until_all(SENT, delivery)

    asyncio.run(run())


def test_a_reload_sends_to_where_the_upstream_is_now(bench: Bench, tmp_path: Path) -> None:
    """New settings count from the next list on, without a restart."""
    old, new = ScriptedUpstream(tmp_path / "old"), ScriptedUpstream(tmp_path / "new")
    first = bench.plan(rows(1))

    async def run() -> None:
        async with old, new, bench.outbox(old.settings()) as outbox:
            await bench.until_all(SENT, first)
            outbox.reload(bench.config(new.settings()))
            await bench.until_all(SENT, await asyncio.to_thread(bench.plan, rows(2), "Lapsed"))

    asyncio.run(run())
    assert (list(old.received().values()), list(new.received().values())) == ([rows(1)], [rows(2)])


def test_an_upstream_that_a_reload_takes_out_gets_nothing_more(bench: Bench, tmp_path: Path) -> None:
    """What is in hand is finished; the next list of the same session stays."""
    taken_out = asyncio.Event()

    async def until_taken_out(_: ScriptedUpstream) -> None:
        await taken_out.wait()

    upstream = ScriptedUpstream(tmp_path / "upstream", (Fault("rename", until_taken_out),))
    first, second = bench.plan(rows(1)), bench.plan(rows(2))

    async def run() -> None:
        async with upstream, bench.outbox(upstream.settings()) as outbox:
            await bench.until(lambda: bool(upstream.asked_for("rename")), "the first is in hand")
            outbox.reload(bench.config())
            taken_out.set()
            await bench.until_all(SENT, first)
            await bench.look(outbox)
            assert (bench.now(second).state, bench.now(second).attempts) == (QUEUED, 0)

    asyncio.run(run())


def test_a_connection_that_breaks_between_two_lists_costs_no_attempt(bench: Bench, tmp_path: Path) -> None:
    """No list is begun on a session that is known to be lost."""
    first, second = bench.plan(rows(1)), bench.plan(rows(2), "Lapsed")
    upstream = ScriptedUpstream(tmp_path / "upstream", (drop("stat", skip=3),))
    _send_all(bench, upstream, first, second, connections=1)
    assert (bench.now(first).verified, bench.now(second).attempts) == (False, 1)
    assert upstream.sessions == 2


class SlowToNote:
    """A store that takes its time to note that a list is sent."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.noting, self.may_note = Event(), Event()

    def __getattr__(self, verb: str) -> Any:  # noqa: ANN401  whatever the store has
        return getattr(self._store, verb)

    def sent(self, *arguments: Any, **options: Any) -> list[Delivery]:
        """Wait, then note."""
        self.noting.set()
        assert self.may_note.wait(PATIENCE)
        return self._store.sent(*arguments, **options)


def test_a_list_claimed_by_a_sender_that_is_cut_off_is_given_back(bench: Bench, tmp_path: Path) -> None:
    """The next one was claimed with the note that one is sent: nobody has it in hand, so it is due at once."""
    first, second = bench.plan(rows(1)), bench.plan(rows(2), "Lapsed")
    store, upstream = SlowToNote(bench.store), ScriptedUpstream(tmp_path / "upstream")

    async def run() -> None:
        shared = Surroundings(
            bench.spool, cast("Store", store), Patience(), lambda: 0.0, bench.clock, bench.clock.steady, lambda: None
        )
        async with upstream:
            settings = upstream.settings()
            claimed = bench.store.claim_due(bench.clock.now, lease_of(settings), ["attentive"])
            assert claimed is not None
            sender = Sender(settings, shared, Health(bench.clock.now), Lane(settings, shared))
            work = asyncio.create_task(sender.run(claimed))
            await asyncio.to_thread(store.noting.wait, PATIENCE)
            work.cancel()
            await asyncio.sleep(0)
            store.may_note.set()
            with pytest.raises(asyncio.CancelledError):
                await work

    asyncio.run(run())
    assert bench.now(first).state is SENT
    given_back = bench.now(second)
    assert (given_back.state, given_back.due_at) == (DEFERRED, bench.clock.now)


def test_a_clock_set_back_makes_no_rest_longer(bench: Bench, tmp_path: Path) -> None:
    """A list waits for the longest pause between attempts at most, and its upstream rests no longer either."""
    planned = bench.plan(rows(1))
    upstream = ScriptedUpstream(tmp_path / "upstream", (drop("rename"),))

    async def run() -> None:
        async with upstream, bench.outbox(upstream.settings()):
            await bench.until_all(DEFERRED, planned)
            bench.clock.advance(MINUTE)
            bench.clock.set_back(timedelta(hours=1) + MINUTE)
            await bench.until_all(SENT, planned)

    asyncio.run(run())


def test_a_clock_set_back_delays_no_probe(bench: Bench, tmp_path: Path) -> None:
    """A suspended upstream is probed when the time has gone by, whatever the clock shows."""
    planned = bench.plan(rows(1))
    upstream = ScriptedUpstream(tmp_path / "upstream", login="password")
    upstream.password.write_text("wrong\n", encoding="utf-8")

    async def run() -> None:
        async with upstream, bench.outbox(upstream.settings()):
            await bench.until(lambda: "attentive" in bench.store.suspensions(), "it is suspended")
            upstream.password.write_text(f"{PASSWORD}\n", encoding="utf-8")
            bench.clock.set_back(timedelta(hours=1))
            bench.clock.advance(5 * MINUTE)
            await bench.until_all(SENT, planned)

    asyncio.run(run())
