"""The verdicts on a route's freshness: what counts as fresh, what is said, and what a restart does with it."""

from collections.abc import Iterator
from datetime import time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from parts.books import ROUTE, UPSTREAM, Books, draft, sha256

from relay.freshness import Expectation
from relay.model import Delivery, Duplicate, Export, Freshness, Hold, HoldReason, NewExport, Queue

HOLD = Hold(HoldReason.SHRUNK, "20 rows, last sent 1,000", "look")
HOUR = timedelta(hours=1)
BY_SEVEN = Expectation(time(7), 2 * HOUR, ZoneInfo("UTC"))


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    """A new store at six in the morning, the route watched since a moment ago."""
    with Books(tmp_path / "relay.db") as books:
        books.store.judge_freshness(ROUTE, BY_SEVEN, books.now)
        yield books


def send(books: Books, *segments: str) -> list[Delivery]:
    """Lists of these segments, in one export, sent at once."""
    drafts = [draft(number, segment=segment) for number, segment in enumerate(segments, 1)]
    planned = books.accept(books.receive(), *drafts)
    while claimed := books.claim():
        books.send(claimed)
    return planned


def said(books: Books, *, expectation: Expectation = BY_SEVEN) -> list[tuple[str | None, str]]:
    """What is said now, by segment; None is the route."""
    before = len(verdicts(books))
    books.store.judge_freshness(ROUTE, expectation, books.now)
    return verdicts(books)[before:]


def verdicts(books: Books) -> list[tuple[str | None, str]]:
    """Everything that was said so far."""
    lines = [it for it in books.store.unlogged() if it.event.startswith("freshness.")]
    assert all(it.event == f"freshness.{it.to_state}" for it in lines)
    return [(it.fields.get("segment"), it.to_state) for it in lines]


def test_a_morning_when_all_went_out(books: Books) -> None:
    """One verdict a segment and one of the route at the deadline, and then nothing more."""
    send(books, "VIP", "Lapsed")
    assert said(books) == []
    books.wait(HOUR)
    assert said(books) == [("Lapsed", "ok"), ("VIP", "ok"), (None, "ok")]
    books.wait(5 * HOUR)
    assert said(books) == []


def test_a_morning_when_nothing_came_at_all(books: Books) -> None:
    """Late at the deadline, missing after the grace, each once; what comes then is a recovery."""
    send(books, "VIP")
    books.wait(25 * HOUR)
    assert said(books) == [("VIP", "ok"), (None, "ok"), ("VIP", "late"), (None, "late")]
    books.wait(2 * HOUR)
    assert said(books) == [("VIP", "missing"), (None, "missing")]
    assert said(books) == []
    books.wait(HOUR)
    send(books, "VIP")
    assert said(books) == [("VIP", "ok"), (None, "ok")]


def test_one_segment_that_lacks_makes_the_route_late_and_is_named(books: Books) -> None:
    """The figures say how many are there, and which are not."""
    send(books, "VIP", "Lapsed")
    books.wait(25 * HOUR)
    books.now -= HOUR
    send(books, "VIP")
    books.wait(HOUR)
    books.store.judge_freshness(ROUTE, BY_SEVEN, books.now)
    route = [it for it in books.store.transitions(f"freshness/{ROUTE}") if it.to_state == "late"]
    assert [it.fields["detail"] for it in route] == ["1 of 2 segments are fresh, and not: “Lapsed”"]
    assert verdicts(books)[-3:] == [("Lapsed", "late"), ("VIP", "ok"), (None, "late")]


def test_a_segment_is_expected_for_three_days_unless_it_is_named(books: Books) -> None:
    """A campaign's end is no alarm for ever; what the configuration names is expected always."""
    send(books, "VIP", "Campaign")
    for _ in range(4):
        books.wait(24 * HOUR)
        send(books, "VIP")
    books.wait(HOUR)
    said(books)
    assert [it for it in verdicts(books) if it[0] == "Campaign"] == [
        ("Campaign", it) for it in ("ok", *["missing"] * 2)
    ]
    books.wait(24 * HOUR)
    named = Expectation(BY_SEVEN.by, BY_SEVEN.grace, BY_SEVEN.timezone, ("Campaign",))
    assert said(books, expectation=named) == [("Campaign", "late"), (None, "late")]


def test_a_held_list_is_not_fresh(books: Books) -> None:
    """What waits for a person has not gone out."""
    send(books, "VIP")
    books.wait(24 * HOUR)
    books.plan(HOLD)
    books.wait(HOUR)
    assert said(books)[-2:] == [("VIP", "late"), (None, "late")]


def test_the_list_found_identical_counts(books: Books) -> None:
    """Re-delivered after the last deadline, the list that is live need not be sent again to be fresh."""
    sent = send(books, "VIP")[0]
    books.wait(3 * HOUR)
    books.plan(Duplicate(sent.id), content="a list")
    books.wait(22 * HOUR)
    assert said(books)[-2:] == [("VIP", "ok"), (None, "ok")]


def test_a_duplicate_of_what_was_never_sent_does_not_count(books: Books) -> None:
    """The same list as one that is held has not gone out either."""
    send(books, "VIP")
    books.wait(24 * HOUR)
    held = books.plan(HOLD, content="held")
    books.plan(Duplicate(held.id), content="held")
    books.wait(HOUR)
    assert said(books)[-1] == (None, "late")


def test_an_export_like_one_whose_list_repeats_a_held_one_does_not_count(books: Books) -> None:
    """However often it comes, it has never gone out."""
    send(books, "VIP")
    books.wait(24 * HOUR)
    held = books.plan(HOLD, content="held")
    original = books.receive(content="again")
    books.accept(original, draft(content="held"), plan=lambda *_: Duplicate(held.id))
    books.store.duplicate(books.receive(content="again").id, original.id, books.today, books.now)
    books.wait(HOUR)
    assert said(books)[-1] == (None, "late")


def test_the_export_found_identical_counts(books: Books) -> None:
    """So does an export whose bytes were accepted before: the lists of the first one are what it would send (D9)."""
    first = send(books, "VIP")[0]
    books.wait(3 * HOUR)
    again = _receive(books)
    books.store.duplicate(again.id, first.export_id, books.today, books.now)
    books.wait(22 * HOUR)
    assert said(books)[-1] == (None, "ok")


def _receive(books: Books) -> Export:
    arrival = books.land()
    new = NewExport(f"{ROUTE}-again", ROUTE, 120, sha256(""), "amperity", arrival.path)
    return books.store.receive(new, [arrival.id], books.now)


def test_a_restart_repeats_nothing(books: Books) -> None:
    """What was said is in the store."""
    books.wait(HOUR)
    assert said(books) == [(None, "late")]
    books.reopen()
    assert said(books) == []


def test_after_downtime_each_date_is_made_up_for_once(books: Books) -> None:
    """Four deadlines went by unwatched: what came in time is ok, what did not is missing at once."""
    send(books, "VIP")
    books.wait(24 * HOUR)
    send(books, "VIP")
    books.wait(52 * HOUR)
    said(books)
    days = [(it.fields["list_date"], it.to_state) for it in books.store.transitions(f"freshness/{ROUTE}")]
    assert days == [("2026-11-23", "ok"), ("2026-11-24", "ok"), ("2026-11-25", "missing"), ("2026-11-26", "missing")]
    assert said(books) == []


def test_long_downtime_is_made_up_for_a_week_at_most(books: Books) -> None:
    """Nobody reads a hundred alarms."""
    books.wait(timedelta(days=100))
    assert len(said(books)) == 8


def test_a_route_is_watched_from_the_next_deadline_on(books: Books) -> None:
    """Whoever sets `expect_by` in the afternoon is not told that the morning's list is missing."""
    books.wait(12 * HOUR)
    assert books.store.judge_freshness("another", BY_SEVEN, books.now) == 0
    standing = books.store.freshness("another", BY_SEVEN, books.now)
    assert standing is not None
    assert (standing.day, standing.route) == (books.today, None)
    books.wait(13 * HOUR)
    assert books.store.judge_freshness("another", BY_SEVEN, books.now) == 1


def test_the_standing_is_right_while_nobody_watches(books: Books) -> None:
    """What a look would say now is shown, but not noted."""
    send(books, "VIP")
    books.wait(HOUR)
    standing = books.store.freshness(ROUTE, BY_SEVEN, books.now)
    assert standing is not None
    assert (standing.day, standing.route, standing.segments) == (books.today, Freshness.OK, {"VIP": Freshness.OK})
    assert verdicts(books) == []
    assert books.store.freshness("unknown", BY_SEVEN, books.now) is None


def test_a_route_of_which_nothing_was_expected_recovers_with_its_first_list(books: Books) -> None:
    """A new route's first list is a little late: then that list is what was expected."""
    books.wait(HOUR)
    assert said(books) == [(None, "late")]
    send(books, "VIP")
    assert said(books) == [("VIP", "ok"), (None, "ok")]


def test_the_verdicts_are_kept_as_a_calendar(books: Books) -> None:
    """The last word on each date."""
    books.wait(HOUR)
    said(books)
    send(books, "VIP")
    said(books)
    assert books.store.freshness_since(ROUTE, books.today - timedelta(days=90)) == {books.today: Freshness.OK}


def test_another_routes_lists_do_not_count(books: Books) -> None:
    """Two routes may feed one account; each is expected for itself."""
    books.accept(books.receive(route="other"), draft(), plan=lambda *_: Queue())
    claimed = books.claim(UPSTREAM)
    assert claimed is not None
    books.send(claimed)
    books.wait(HOUR)
    assert said(books) == [(None, "late")]
