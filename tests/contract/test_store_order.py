"""The order of a segment's lists is that in which they came, whatever the clock says (rules D7 and D8)."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from parts.books import LEASE, PERSON, ROUTE, UPSTREAM, Books, cuts_of, draft, receipt

from relay.guards import find_twin
from relay.model import Delivery, Hold, HoldReason, Overtaken, Queue, RelayError
from relay.store import Room, Sent, Store

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
HOLD = Hold(HoldReason.SAME_DAY, "another list", "look at it")


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    """A new store."""
    with Books(tmp_path / "relay.db") as books:
        yield books


def states(books: Books, *deliveries: Delivery) -> list[str]:
    """Where deliveries stand by now."""
    return [books.look(it).state.value for it in deliveries]


def sent(books: Books) -> Delivery:
    """A list that is planned and sent at once."""
    delivery = books.plan()
    assert books.claim() is not None
    books.send(delivery)
    return books.look(delivery)


def restored(books: Books, source: Delivery) -> Delivery:
    """A sent list once more."""
    return books.store.restore(source.id, PERSON, books.today, books.now + 2 * DAY, books.now, keep=lambda *_: None)


@pytest.mark.parametrize("set_back", [HOUR, DAY])
def test_the_newer_list_takes_the_place_of_the_older_also_if_the_clock_was_set_back(
    books: Books, set_back: timedelta
) -> None:
    """What was tried before, with a later instant or even a later date, does not go out behind it, or instead."""
    older = books.plan()
    claimed = books.claim()
    assert claimed is not None
    books.defer(claimed)
    books.wait(-set_back)
    newer = books.plan(Queue(replace_same_day=True))
    assert states(books, older, newer) == ["superseded", "queued"]


def test_one_that_is_in_hand_yields_also_if_the_clock_was_set_back(books: Books) -> None:
    """A list of another date that entered the queue meanwhile came later, whatever its date is."""
    older = books.plan()
    claimed = books.claim()
    assert claimed is not None
    books.wait(-DAY)
    newer = books.plan()
    books.defer(claimed)
    assert states(books, older, newer) == ["superseded", "queued"]


def test_two_lists_of_a_date_are_sent_in_the_order_in_which_they_came(books: Books) -> None:
    """With `same_day = "send"` both go out, the older first; what is live, kept and compared with is the newer."""
    older = books.plan(content="older")
    books.wait(-HOUR)
    newer = books.plan(content="newer")
    for expected in (older, newer):
        claimed = books.claim()
        assert claimed is not None
        assert claimed.id == expected.id
        books.send(claimed)
        books.wait(-HOUR)
    assert books.store.last_sent(UPSTREAM, ROUTE)["VIP"].id == newer.id
    assert [it.id for it in books.store.sent_lists(UPSTREAM, ROUTE, "VIP")] == [newer.id, older.id]
    history = books.store.history(UPSTREAM, ROUTE, "VIP", day=books.today, last_arrival=books.store.next_arrival())
    assert history.last_sent_id == newer.id


def test_an_older_list_is_not_released_behind_a_newer_one(books: Books) -> None:
    """Also where it landed at a later instant."""
    older = books.plan(HOLD)
    books.wait(-HOUR)
    newer = sent(books)
    with pytest.raises(RelayError, match=f"is older than {newer.id}"):
        books.release(older)


def test_a_restored_list_is_the_newest_of_what_has_come(books: Books) -> None:
    """What landed before it is older, also if it is planned later; what lands afterwards is newer."""
    first = sent(books)
    landed_before = books.receive()
    books.wait(-HOUR)
    again = restored(books, first)
    found = books.store.history(
        UPSTREAM, ROUTE, "VIP", day=books.today, last_arrival=books.store.arrivals()[-1].id
    ).newer_than(books.store.arrivals()[-1].id)
    assert found is not None
    assert found.delivery_id == again.id
    (late,) = books.accept(landed_before, draft(), plan=lambda *_: Overtaken(again.id))
    books.wait(-HOUR)
    newer = books.plan(Queue(replace_same_day=True))
    assert states(books, again, late, newer) == ["superseded", "superseded", "queued"]


def test_a_list_restored_twice_is_the_newest_each_time(books: Books) -> None:
    """Nothing has come between the two, and the second takes the place of the first."""
    first = sent(books)
    once = restored(books, first)
    twice = restored(books, first)
    assert states(books, once, twice) == ["superseded", "queued"]


def test_a_repetition_of_what_a_newer_list_has_replaced_is_a_change(books: Books) -> None:
    """The list in effect is the newest that was sent, not the one that was planned last (rule D4)."""
    earlier = books.land()
    held = books.plan(HOLD, content="newer")
    late = books.plan(content="older", last_arrival=earlier.id)
    assert books.claim() is not None
    books.send(late)
    books.release(held)
    claimed = books.claim()
    assert claimed is not None
    books.send(claimed)
    history = books.store.history(UPSTREAM, ROUTE, "VIP", day=books.today, last_arrival=books.store.next_arrival())
    assert find_twin(draft(content="older"), history, books.today) is None
    twin = find_twin(draft(content="newer"), history, books.today)
    assert twin is not None
    assert twin.delivery_id == held.id


def test_what_is_live_is_clear_once_a_newer_list_is_whole(books: Books) -> None:
    """Also where the one that was given up half-way was planned later (rule D14)."""
    earlier = books.land()
    held = books.plan(HOLD)
    late = books.plan(rows=1100, cuts=cuts_of(600, 500), last_arrival=earlier.id)
    claimed = books.claim()
    assert claimed is not None
    books.send_slice(claimed)
    partly = books.store.partly_sent(UPSTREAM, ROUTE, "VIP")
    assert partly is not None
    assert partly.id == late.id
    books.fail(books.look(claimed))
    books.release(held)
    claimed = books.claim()
    assert claimed is not None
    books.send(claimed)
    assert books.store.partly_sent(UPSTREAM, ROUTE, "VIP") is None


def test_exports_are_rewritten_in_the_order_in_which_they_came(books: Books) -> None:
    """Whatever the clock said when they were taken."""
    first = books.receive()
    books.wait(-HOUR)
    second = books.receive()
    assert [it.id for it in books.store.received_exports()] == [first.id, second.id]


def test_a_database_from_before_gets_the_order_that_it_had(tmp_path: Path) -> None:
    """Lists have the number of their last arrival, and a restored one that of the arrival that came after it."""
    path = tmp_path / "relay.db"
    with Books(path) as books:
        first = sent(books)
        books.land()
        again = restored(books, first)
        newer = books.plan()
        expected = {it.id: it.last_arrival for it in (first, again, newer)}
    assert list(expected.values()) == [1, 3, 3]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP INDEX deliveries_of_segment")
        connection.execute("ALTER TABLE deliveries DROP COLUMN last_arrival")
        connection.execute(
            "CREATE INDEX deliveries_of_segment ON deliveries (upstream, client_domain, segment, landed_at, place)"
        )
        connection.execute("UPDATE alembic_version SET version_num = '0008'")
    migrated = Store.open(path)
    try:
        assert {it.id: it.last_arrival for it in migrated.deliveries()} == expected
    finally:
        migrated.close()


def _claim_together(books: Books, sent: Delivery, lists: int, small: int = 1 << 20) -> list[Delivery]:
    room = Room(UPSTREAM, lists, small, LEASE, sent.route)
    return books.store.sent([Sent(sent.id, receipt(sent), {})], books.now, room=room)


def test_lists_are_claimed_together_in_the_turns_that_they_would_have_one_by_one(books: Books) -> None:
    """Each route in its turn, each segment once, and no more than there is room for (rules D8 and D11)."""
    planned = [
        books.plan(route=route, client_domain=route, segment=segment)
        for route, segment in [("a", "1"), ("a", "2"), ("a", "3"), ("b", "1"), ("c", "1"), ("a", "4"), ("b", "2")]
    ]
    first = books.claim()
    assert first is not None
    assert first.id == planned[0].id
    claimed = _claim_together(books, first, lists=5)
    assert [(it.route, it.segment) for it in claimed] == [("b", "1"), ("c", "1"), ("a", "2"), ("b", "2"), ("a", "3")]
    assert states(books, first, *claimed) == ["sent", *["sending"] * 5]
    assert {it.attempts for it in claimed} == {1}


def test_nothing_is_claimed_together_after_a_large_list(books: Books) -> None:
    """It fills a connection by itself."""
    planned = [books.plan(segment=name, content=content) for name, content in [("1", "x"), ("2", "x" * 11), ("3", "x")]]
    first = books.claim()
    assert first is not None
    assert [it.id for it in _claim_together(books, first, lists=8, small=10)] == [planned[1].id]


def test_a_segment_of_which_a_list_is_being_sent_is_not_among_those_claimed_together(books: Books) -> None:
    """One `sending` per segment, whoever has it in hand (rule D8)."""
    books.plan(segment="1")
    books.plan(segment="2")
    first, second = books.claim(), books.claim()
    assert first is not None
    assert second is not None
    waiting = books.plan(segment="1")
    assert _claim_together(books, second, lists=8) == []
    assert [it.id for it in _claim_together(books, first, lists=8)] == [waiting.id]


def test_of_lists_recorded_together_one_that_was_taken_over_is_left_as_it_is(books: Books) -> None:
    """The other is sent nevertheless."""
    books.plan(segment="1")
    books.plan(segment="2")
    books.claim()
    books.store.recover(books.now, everything=True)
    again, second = books.claim(), books.claim()
    assert again is not None
    assert second is not None
    books.store.sent([Sent(again.id, receipt(again), {}, 1), Sent(second.id, receipt(second), {}, 1)], books.now)
    assert states(books, again, second) == ["sending", "sent"]
