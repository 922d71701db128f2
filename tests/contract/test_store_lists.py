"""The store's verbs on deliveries: names, order, attempts, and who overtakes whom."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from parts.books import LEASE, ROUTE, UPSTREAM, Books, draft, receipt, sha256

from relay.guards import Earlier, History
from relay.lifecycle import IllegalTransitionError
from relay.model import Delivery, DeliveryState, Duplicate, Hold, HoldReason, Overtaken, Queue
from relay.store import Sent

DAY = timedelta(days=1)
HOLD = Hold(HoldReason.SHRUNK, "20 rows, last sent 1,000", "look")


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    """A new store."""
    with Books(tmp_path / "relay.db") as books:
        yield books


def number_of(delivery: Delivery) -> str:
    """The date and the number in a delivery's name."""
    assert delivery.remote_name is not None
    return delivery.remote_name.removeprefix(f"{ROUTE}_subscriber_segment_").removesuffix(".csv")


def sent(books: Books, content: str = "sent", *, segment: str = "VIP", rows: int = 1000) -> Delivery:
    """A list that is planned and sent at once."""
    delivery = books.plan(segment=segment, content=content, rows=rows)
    assert books.claim() is not None
    books.send(delivery)
    return books.look(delivery)


def states(books: Books, *deliveries: Delivery) -> list[str]:
    """Where deliveries stand by now."""
    return [books.look(it).state.value for it in deliveries]


def judged_against(books: Books, *, segment: str = "VIP", upstream: str = UPSTREAM) -> History:
    """The history that a new list, come now, would be judged against."""
    return books.store.history(upstream, ROUTE, segment, day=books.today, last_arrival=books.store.next_arrival())


# Names


def test_names_are_given_when_lists_are_queued(books: Books) -> None:
    """Numbers of a date begin at 1 and go up, across segments and exports (rules A2 and D1)."""
    planned = books.accept(books.receive(), draft(1, segment="one"), draft(2, segment="two"))
    planned.append(books.plan(segment="three"))
    assert [number_of(it) for it in planned] == ["20261123_1", "20261123_2", "20261123_3"]
    assert {it.remote_date for it in planned} == {books.today}


def test_numbers_are_unique_per_upstream_domain_and_date(books: Books) -> None:
    """Each of the three has numbers of its own (rule D3)."""
    first = books.plan()
    elsewhere, other = books.plan(upstream="backup"), books.plan(client_domain="other")
    books.wait(DAY)
    tomorrow = books.plan()
    assert number_of(first) == number_of(elsewhere) == "20261123_1"
    assert other.remote_name == "other_subscriber_segment_20261123_1.csv"
    assert number_of(tomorrow) == "20261124_1"


def test_numbers_are_not_used_again(books: Books) -> None:
    """Neither after the list was given up nor after a restart (rule D1)."""
    first = books.plan()
    books.hold(first)
    books.discard(first)
    books.reopen()
    assert number_of(books.plan()) == "20261123_2"


def test_only_what_is_queued_uses_a_number(books: Books) -> None:
    """A held list, a duplicate and an overtaken one have no name (rules D1 and D4)."""
    others = [books.plan(verdict) for verdict in (HOLD, Duplicate("x.1"), Overtaken("x.1"))]
    assert [it.remote_name for it in others] == [None, None, None]
    assert [it.state.value for it in others] == ["held", "duplicated", "superseded"]
    assert number_of(books.plan()) == "20261123_1"


def test_a_delivery_keeps_its_name_through_retries_past_midnight(books: Books) -> None:
    """Name and date stay whatever happens to the attempts (rules D1 and D2)."""
    delivery = books.plan()
    for _ in range(3):
        claimed = books.claim()
        assert claimed is not None
        books.defer(claimed)
        books.wait(timedelta(hours=10))
    last = books.look(delivery)
    assert (last.remote_name, last.remote_date, last.attempts) == (delivery.remote_name, delivery.remote_date, 3)


# What planning knows


def test_a_new_segment_has_no_history(books: Books) -> None:
    """Nothing was sent and nothing waits."""
    assert judged_against(books) == History(None, (), is_new=True)


def test_planning_knows_the_rows_last_sent(books: Books) -> None:
    """Of the list sent last, not of one that only waits; and the delivery keeps the figure."""
    sent(books, rows=900)
    books.wait(DAY)
    sent(books, rows=1100)
    books.wait(DAY)
    waiting = books.plan(rows=5)
    assert judged_against(books).last_sent_rows == 1100
    assert waiting.previous_rows == 1100
    assert books.look(waiting).previous_rows == 1100


def test_planning_knows_the_lists_in_effect_of_the_date(books: Books) -> None:
    """Newest first, without what was given up (rules D4 and D5)."""
    first = sent(books, "A")
    books.wait()
    held = books.plan(HOLD, content="B")
    books.wait()
    books.discard(books.plan(HOLD, content="C"))
    books.wait()
    assert judged_against(books).earlier == (
        Earlier(held.id, DeliveryState.HELD, books.today, held.last_arrival, sha256("B"), None),
        Earlier(first.id, DeliveryState.SENT, books.today, first.last_arrival, sha256("A"), first.remote_name),
    )


def test_planning_knows_lists_of_another_date_only_if_they_came_later(books: Books) -> None:
    """Yesterday's list matters to nobody but an export that is judged late (rule D7)."""
    earlier = books.land()
    books.wait(timedelta(hours=1))
    newer = sent(books)
    books.wait(30 * DAY)
    assert judged_against(books).earlier == ()
    late = books.store.history(UPSTREAM, ROUTE, "VIP", day=books.today, last_arrival=earlier.id)
    assert [it.delivery_id for it in late.earlier] == [newer.id]


def test_a_released_list_counts_for_the_date_in_its_name(books: Books) -> None:
    """Not for the date of planning (rule D2)."""
    held = books.plan(HOLD)
    books.wait(DAY)
    books.release(held)
    assert [it.list_date for it in judged_against(books).earlier] == [books.today]


def test_segments_of_other_accounts_have_their_own_history(books: Books) -> None:
    """A name means another segment at another upstream or for another client domain (rule D3)."""
    sent(books)
    new = History(None, (), is_new=True)
    assert judged_against(books, segment="Lapsed") == new
    assert judged_against(books, upstream="backup") == new
    assert books.store.history(UPSTREAM, "other", "VIP", day=books.today, last_arrival=0) == new


def test_two_routes_may_feed_one_segment(books: Books) -> None:
    """What counts is where lists go, not how they came (rule D3)."""
    sent(books)
    other = books.receive(route="other")
    assert books.accept(other, draft())[0].previous_rows == 1000


# Newest wins (rule D7)


@pytest.mark.parametrize("before", ["queued", "held", "deferred", "failed"])
def test_a_queued_list_supersedes_what_is_unsent_of_earlier_dates(books: Books, before: str) -> None:
    """In whatever state it waits, and the history names the newer one."""
    old = books.plan(HOLD if before == "held" else None)
    if before in {"deferred", "failed"}:
        claimed = books.claim()
        assert claimed is not None
        (books.defer if before == "deferred" else books.fail)(claimed)
    assert states(books, old) == [before]
    books.wait(DAY)
    new = books.plan()
    assert states(books, old, new) == ["superseded", "queued"]
    last = books.store.transitions(old.id)[-1]
    assert (last.event, last.from_state, last.fields["other"]) == ("delivery.superseded", before, new.id)


def test_a_sent_list_is_never_superseded(books: Books) -> None:
    """It was live."""
    old = sent(books)
    books.wait(DAY)
    books.plan()
    assert states(books, old) == ["sent"]


@pytest.mark.parametrize("verdict", [HOLD, Duplicate("x.1"), Overtaken("x.1")])
def test_a_list_that_is_not_queued_supersedes_nothing(books: Books, verdict: Hold | Duplicate | Overtaken) -> None:
    """If it turns out to be wrong, the earlier one must still go out."""
    old = books.plan()
    books.wait(DAY)
    books.plan(verdict)
    assert states(books, old) == ["queued"]


def test_lists_of_one_date_do_not_supersede_one_another_unasked(books: Books) -> None:
    """With `same_day = "send"` both go out, in order."""
    first, second = books.plan(), books.plan()
    assert states(books, first, second) == ["queued", "queued"]


def test_a_list_may_replace_those_of_its_own_date(books: Books) -> None:
    """With `same_day = "supersede"`."""
    first = books.plan()
    second = books.plan(Queue(replace_same_day=True))
    assert states(books, first, second) == ["superseded", "queued"]


def test_lists_of_other_segments_are_left_alone(books: Books) -> None:
    """A bad segment is nobody else's trouble."""
    others = [books.plan(segment="other"), books.plan(upstream="backup"), books.plan(client_domain="other")]
    books.wait(DAY)
    books.plan()
    assert states(books, *others) == ["queued", "queued", "queued"]


def test_a_list_that_landed_later_is_not_superseded_by_one_judged_late(books: Books) -> None:
    """A held list that is newer stays: released, it still follows the older one."""
    earlier = books.land()
    books.wait()
    held = books.plan(HOLD)
    books.wait(DAY)
    late = books.plan(last_arrival=earlier.id)
    assert states(books, held, late) == ["held", "queued"]
    books.release(held)
    assert states(books, held, late) == ["queued", "superseded"]


@pytest.mark.parametrize("end", ["deferred", "failed", "recovered"])
def test_a_list_overtaken_while_it_is_sent_yields_when_its_attempt_ends(books: Books, end: str) -> None:
    """It is not tried again after a newer one entered the queue."""
    old = books.plan()
    claimed = books.claim()
    assert claimed is not None
    books.wait(DAY)
    new = books.plan()
    assert states(books, old, new) == ["sending", "queued"]
    if end == "recovered":
        books.store.recover(books.now, everything=True)
    else:
        (books.defer if end == "deferred" else books.fail)(claimed)
    assert states(books, old, new) == ["superseded", "queued"]
    assert books.events(old.id)[-2:] == [f"delivery.{end}", "delivery.superseded"]
    assert books.store.transitions(old.id)[-1].fields["other"] == new.id


def test_a_list_overtaken_while_it_is_sent_may_still_be_sent(books: Books) -> None:
    """The newer one then follows it."""
    old = books.plan()
    assert books.claim() is not None
    books.wait(DAY)
    new = books.plan()
    assert books.claim() is None
    books.send(old)
    claimed = books.claim()
    assert claimed is not None
    assert (claimed.id, states(books, old)) == (new.id, ["sent"])


def test_a_second_list_of_the_date_does_not_overtake_a_deferred_one_unasked(books: Books) -> None:
    """With `same_day = "send"` the first is tried again, and the second waits for it (rule D8)."""
    first = books.plan()
    claimed = books.claim()
    assert claimed is not None
    second = books.plan()
    books.defer(claimed)
    assert states(books, first, second) == ["deferred", "queued"]
    assert books.claim() is None


def test_a_list_that_replaces_its_date_overtakes_one_being_sent(books: Books) -> None:
    """With `same_day = "supersede"` the first is not tried again."""
    first = books.plan()
    claimed = books.claim()
    assert claimed is not None
    second = books.plan(Queue(replace_same_day=True))
    books.defer(claimed)
    assert states(books, first, second) == ["superseded", "queued"]


# Claims


def test_a_claim_counts_the_attempt_and_has_a_lease(books: Books) -> None:
    """What is claimed is nobody else's until the lease runs out."""
    delivery = books.plan()
    claimed = books.claim()
    assert claimed is not None
    assert (claimed.id, claimed.state, claimed.attempts) == (delivery.id, DeliveryState.SENDING, 1)
    assert claimed.lease_until == books.now + LEASE
    assert books.look(delivery) == claimed
    assert books.claim() is None


def test_the_oldest_list_is_claimed_first(books: Books) -> None:
    """In the order in which they landed."""
    planned = []
    for number in range(3):
        planned.append(books.plan(segment=f"segment {number}").id)
        books.wait()
    claimed = [books.claim() for _ in range(3)]
    assert [it.id for it in claimed if it] == planned


def test_only_lists_of_the_asked_upstreams_are_claimed(books: Books) -> None:
    """A suspended upstream's lists wait without holding up the others."""
    books.plan(upstream="ill")
    well = books.plan(upstream="well")
    assert books.store.claim_due(books.now, LEASE, []) is None
    claimed = books.claim("well", "other")
    assert claimed is not None
    assert claimed.id == well.id
    assert books.claim("well", "other") is None


def test_a_deferred_list_is_claimed_when_it_is_due(books: Books) -> None:
    """Not a moment before."""
    books.plan()
    claimed = books.claim()
    assert claimed is not None
    books.defer(claimed, until=timedelta(seconds=30))
    books.wait(timedelta(seconds=29.999))
    assert books.claim() is None
    books.wait(timedelta(seconds=0.001))
    again = books.claim()
    assert again is not None
    assert (again.id, again.attempts, again.reason) == (claimed.id, 2, None)


def test_lists_of_one_segment_go_one_at_a_time_and_in_order(books: Books) -> None:
    """The second waits while the first is sent or waits for its next attempt (rule D8)."""
    first, second = books.plan(), books.plan()
    other = books.plan(segment="other")
    claimed = books.claim()
    assert claimed is not None
    assert claimed.id == first.id
    unhindered = books.claim()
    assert unhindered is not None
    assert unhindered.id == other.id
    assert books.claim() is None
    books.defer(claimed)
    assert books.claim() is None
    books.wait()
    again = books.claim()
    assert again is not None
    books.send(again)
    last = books.claim()
    assert last is not None
    assert (again.id, last.id) == (first.id, second.id)


def test_a_list_that_landed_earlier_goes_first_even_if_it_was_planned_later(books: Books) -> None:
    """An export judged late does not follow a newer one (rule D8)."""
    earlier = books.land()
    books.wait()
    newer = books.plan()
    claimed = books.claim()
    assert claimed is not None
    books.fail(claimed)
    older = books.plan(last_arrival=earlier.id)
    books.requeue(newer)
    first = books.claim()
    assert first is not None
    assert first.id == older.id


def test_a_failed_list_holds_nobody_up(books: Books) -> None:
    """The next one of its segment goes."""
    books.plan()
    second = books.plan()
    claimed = books.claim()
    assert claimed is not None
    books.fail(claimed)
    following = books.claim()
    assert following is not None
    assert following.id == second.id


# What came of an attempt


def test_a_sent_list_has_its_receipt(books: Books) -> None:
    """When it was sent and whether it was seen there; nothing is due any more."""
    delivery = sent(books)
    assert (delivery.state, delivery.sent_at, delivery.verified) == (DeliveryState.SENT, books.now, True)
    assert (delivery.due_at, delivery.lease_until, delivery.reason) == (None, None, None)


def test_a_list_that_was_picked_up_at_once_is_sent_unverified(books: Books) -> None:
    """Gone after a clean publish is success (rule U5)."""
    delivery = books.plan()
    assert books.claim() is not None
    books.store.sent([Sent(delivery.id, receipt(delivery, verified=False), {})], books.now)
    assert books.look(delivery).verified is False


def test_a_sent_lists_delays_are_those_of_all_stages(books: Books) -> None:
    """The log tells the whole way, from landing to the last rename."""
    delivery = sent(books)
    assert books.store.transitions(delivery.id)[-1].fields["delays"] == {
        "landing": 2.0,
        "rewrite": 0.5,
        "queue": 1.0,
        "connect": 0.1,
        "transfer": 0.2,
    }


def test_a_deferred_list_says_why(books: Books) -> None:
    """Until the next attempt begins."""
    delivery = books.plan()
    claimed = books.claim()
    assert claimed is not None
    books.defer(claimed)
    waiting = books.look(delivery)
    assert (waiting.reason, waiting.detail, waiting.hint) == ("timeout", "no answer", "see the network")
    assert (waiting.due_at, waiting.lease_until) == (books.now + timedelta(seconds=30), None)


@pytest.mark.parametrize("verb", ["send", "defer", "fail"])
@pytest.mark.parametrize("state", ["queued", "sent"])
def test_only_what_is_being_sent_can_have_an_outcome(books: Books, verb: str, state: str) -> None:
    """A report that comes too late, or twice, raises and changes nothing."""
    delivery = books.plan() if state == "queued" else sent(books)
    before, events = books.look(delivery), books.events(delivery.id)
    with pytest.raises(IllegalTransitionError):
        getattr(books, verb)(delivery)
    assert books.look(delivery) == before
    assert books.events(delivery.id) == events


def test_a_start_takes_every_claim_back(books: Books) -> None:
    """After a crash nothing is being sent, so all that was is due at once, under its name (rule U7)."""
    planned = [books.plan(segment=f"segment {number}") for number in range(3)]
    claimed = [books.claim(), books.claim()]
    books.reopen()
    assert books.store.recover(books.now, everything=True) == [it.id for it in claimed if it]
    assert states(books, *planned) == ["deferred", "deferred", "queued"]
    again = books.claim()
    assert again is not None
    assert (again.id, again.remote_name, again.attempts) == (planned[0].id, planned[0].remote_name, 2)


def test_a_running_relay_takes_back_only_leases_that_ran_out(books: Books) -> None:
    """An attempt that still has time is left alone."""
    delivery = books.plan()
    assert books.claim() is not None
    books.wait(LEASE - timedelta(seconds=1))
    assert books.store.recover(books.now) == []
    books.wait(timedelta(seconds=1))
    assert books.store.recover(books.now) == [delivery.id]


# Stale (rule G8)


def test_a_list_that_is_unsent_for_too_long_is_held(books: Books) -> None:
    """Queued or deferred, with its name, and it says how often it was tried."""
    queued, deferred = books.plan(segment="one"), books.plan(segment="two", upstream="other")
    claimed = books.claim("other")
    assert claimed is not None
    books.defer(claimed)
    books.wait(timedelta(hours=48) - timedelta(seconds=1))
    assert books.store.hold_stale(books.now) == []
    books.wait(timedelta(seconds=1))
    assert books.store.hold_stale(books.now) == [queued.id, deferred.id]
    held = books.look(deferred)
    assert (held.state, held.reason, held.remote_name) == (DeliveryState.HELD, "stale", deferred.remote_name)
    assert held.detail == "landed 2026-11-23 06:00 UTC and unsent after 1 attempt, the last of which ended in timeout"


def test_what_is_stale_is_not_claimed(books: Books) -> None:
    """Not even before somebody noticed: after days of standstill an old list does not go out by itself."""
    books.plan()
    books.wait(timedelta(hours=48))
    assert books.claim() is None


def test_what_is_being_sent_does_not_become_stale(books: Books) -> None:
    """The attempt in hand may end well."""
    delivery = books.plan()
    assert books.claim() is not None
    books.wait(timedelta(hours=48))
    assert books.store.hold_stale(books.now) == []
    books.send(delivery)
    assert states(books, delivery) == ["sent"]


# What should be live


def test_the_last_sent_lists_are_found_by_segment(books: Books) -> None:
    """The newest sent of each segment of one account with the upstream."""
    sent(books, segment="one")
    books.wait(DAY)
    newest = sent(books, segment="one")
    other = sent(books, segment="two")
    books.plan(segment="three")
    assert books.store.last_sent(UPSTREAM, ROUTE) == {"one": newest, "two": other}
    assert books.store.last_sent("backup", ROUTE) == {}
