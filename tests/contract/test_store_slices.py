"""Lists that go out as several files, in the store (rules D13 to D15)."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from parts.books import PERSON, UPSTREAM, Books, cuts_of

from relay.model import DeliveryState, Hold, HoldReason, RelayError
from relay.naming import names_in_a_row, temporary_name

HELD = Hold(HoldReason.OVERSIZE, "1,100 rows, limit 500", "split it")
STEM = "sirendenim_subscriber_segment_20261123"


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    """A store."""
    with Books(tmp_path / "relay.db") as books:
        yield books


def test_the_files_of_a_list_get_consecutive_numbers_at_once(books: Books) -> None:
    """All names are given with the list's entry into the queue, and the next list's number follows them."""
    books.plan(segment="before")
    split = books.plan(rows=1100, cuts=cuts_of(500, 500, 100))
    after = books.plan(segment="after")
    names = [it.remote_name for it in books.store.slices(split.id)]
    assert names == [f"{STEM}_{number}.csv" for number in (2, 3, 4)] == names_in_a_row(str(split.remote_name), 3)
    assert after.remote_name == f"{STEM}_5.csv"
    assert [(it.rows, it.offset, it.size) for it in books.store.slices(split.id)] == [
        (500, 0, 7500),
        (500, 7500, 7500),
        (100, 15000, 1500),
    ]


def test_a_list_is_sent_when_the_last_of_its_files_is(books: Books) -> None:
    """Each file is noted as it is sent; only the last one makes the list a sent one, which is then one list to all."""
    split = books.plan(rows=1100, cuts=cuts_of(500, 500, 100))
    claimed = books.claim()
    assert claimed is not None
    for number in (1, 2):
        moved = books.send_slice(books.look(claimed))
        assert moved is not None
        assert (moved.files_sent, moved.state, moved.is_partly_sent) == (number, DeliveryState.SENDING, True)
        assert books.store.last_sent(UPSTREAM, "sirendenim") == {}
    books.send(books.look(claimed))
    sent = books.look(split)
    assert (sent.state, sent.files_sent, sent.verified) == (DeliveryState.SENT, 3, True)
    assert all(it.sent_at and it.verified for it in books.store.slices(split.id))
    history = books.store.history(
        UPSTREAM, "sirendenim", "VIP", day=books.today, last_arrival=books.store.next_arrival()
    )
    assert history.last_sent_rows == 1100
    assert books.events(split.id) == [
        "delivery.queued",
        "delivery.sending",
        "slice.sent",
        "slice.sent",
        "delivery.sent",
    ]


def test_a_later_attempt_goes_on_where_the_one_before_ended(books: Books) -> None:
    """What a failure, a hold and a restart leave is what the upstream has, and under which names the rest follows."""
    split = books.plan(rows=1100, cuts=cuts_of(500, 500, 100))
    books.claim()
    books.send_slice(books.look(split))
    books.defer(books.look(split), until=timedelta())
    books.hold(books.look(split))
    books.reopen()
    released = books.release(books.look(split), cuts=cuts_of(300, 300, 300, 200))
    assert (released.files, released.files_sent, released.remote_name) == (3, 1, split.remote_name)
    again = books.claim()
    assert again is not None
    first, second, third = books.store.slices(split.id)
    assert (first.first_attempt, second.first_attempt, third.first_attempt) == (1, 1, None)
    books.send_slice(again)
    assert books.store.slices(split.id)[2].first_attempt == again.attempts == 2


def test_an_attempt_that_was_taken_over_notes_nothing_more(books: Books) -> None:
    """Its file is there, but the attempt in hand by now is the one that finds and notes it (rule T3)."""
    books.plan(rows=1100, cuts=cuts_of(500, 500, 100))
    hung = books.claim()
    assert hung is not None
    books.store.recover(books.now, everything=True)
    assert books.send_slice(hung) is None
    current = books.claim()
    assert current is not None
    assert books.send_slice(hung) is None
    assert books.look(hung).files_sent == 0


def test_a_list_superseded_half_way_never_counts_as_sent(books: Books) -> None:
    """A later date's list takes the place of what is unsent; comparisons go by the last whole list (rule D14)."""
    whole = books.plan(rows=900)
    books.claim()
    books.send(whole)
    books.wait(timedelta(days=1))
    split = books.plan(rows=1100, cuts=cuts_of(500, 500, 100))
    books.claim()
    books.send_slice(books.look(split))
    books.fail(books.look(split))
    partly = books.store.partly_sent(UPSTREAM, "sirendenim", "VIP")
    assert partly is not None
    assert partly.id == split.id
    books.wait(timedelta(days=1))
    newer = books.plan(rows=1000)
    assert books.look(split).state is DeliveryState.SUPERSEDED
    assert newer.previous_rows is not None
    last_sent = books.store.last_sent(UPSTREAM, "sirendenim")["VIP"]
    assert last_sent.id == whole.id
    books.claim()
    books.send(newer)
    assert books.store.partly_sent(UPSTREAM, "sirendenim", "VIP") is None


def test_a_held_list_is_cut_at_its_release(books: Books) -> None:
    """It has no names before, and as many as files then (rule D15)."""
    held = books.plan(HELD, rows=1100)
    released = books.release(held, cuts=cuts_of(600, 500))
    assert (released.remote_name, released.files) == (f"{STEM}_1.csv", 2)
    assert [it.remote_name for it in books.store.slices(held.id)] == [f"{STEM}_1.csv", f"{STEM}_2.csv"]
    assert books.plan(segment="other").remote_name == f"{STEM}_3.csv"


def test_no_decision_makes_a_file_of_more_rows_than_attentive_takes(books: Books) -> None:
    """Releasing such a list whole is refused, with what to do, and changes nothing (rule A8)."""
    held = books.plan(HELD, rows=500_001)
    with pytest.raises(RelayError, match="500,001 rows") as refusal:
        books.release(held)
    assert "oversize" in refusal.value.hint
    assert books.look(held) == held


def test_a_restored_list_is_cut_as_it_was(books: Books) -> None:
    """The new delivery has the same files under names of its own (rules D12 and D15)."""
    split = books.plan(rows=1100, cuts=cuts_of(600, 500))
    books.claim()
    books.send_slice(books.look(split))
    books.send(books.look(split))
    restored = books.store.restore(
        split.id, PERSON, books.today, books.now + timedelta(hours=48), books.now, keep=lambda *_: None
    )
    before, now = books.store.slices(split.id), books.store.slices(restored.id)
    assert [(it.offset, it.size, it.sha256) for it in now] == [(it.offset, it.size, it.sha256) for it in before]
    assert [it.remote_name for it in now] == [f"{STEM}_3.csv", f"{STEM}_4.csv"]
    assert all(it.sent_at is None for it in now)


def test_what_is_left_at_the_upstream_is_known_by_each_files_name(books: Books) -> None:
    """A temporary file of any of its files, and a part written directly under any final name, is the relay's own."""
    split = books.plan(rows=1100, cuts=cuts_of(600, 500))
    books.claim()
    books.send_slice(books.look(split))
    first, second = names_in_a_row(str(split.remote_name), 2)
    books.store.begin_directly(split.id, second, books.now)
    books.store.defer(split.id, "timeout", "", "", books.now, books.now, unanswered=second)
    left = temporary_name(second, split.id, 1)
    assert books.store.leftovers(UPSTREAM, {left: 10, second: 10, first: 10}) == [left]
    books.discard(books.look(split))
    assert books.store.leftovers(UPSTREAM, {left: 10, second: 10, first: 10}) == [left, second]
    assert books.store.leftovers(UPSTREAM, {second: 7500}) == []


def test_the_files_of_forgotten_lists_are_forgotten(books: Books) -> None:
    """The history of a list goes with that of its files (rule R6)."""
    split = books.plan(rows=1100, cuts=cuts_of(600, 500))
    books.discard(split)
    books.wait(timedelta(days=401))
    assert books.store.forget(books.now - timedelta(days=400), books.now) == 1
    assert books.store.slices(split.id) == []
