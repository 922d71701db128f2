"""What the store notices of a segment's names and neighbours, and whom it reminds."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from parts.books import ROUTE, UPSTREAM, Books, draft

from relay.guards import History
from relay.model import Delivery, DeliveryState, Hold, HoldReason, Queue

HOLD = Hold(HoldReason.SHRUNK, "20 rows, last sent 1,000", "look")
AFTER = {ROUTE: (timedelta(days=2), timedelta(days=7))}
HOUR = timedelta(hours=1)


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    """A new store."""
    with Books(tmp_path / "relay.db") as books:
        yield books


def history(books: Books, segment: str, *, client_domain: str = ROUTE) -> History:
    """What a list of `segment` would be judged against."""
    last_arrival = books.store.next_arrival()
    return books.store.history(UPSTREAM, client_domain, segment, day=books.today, last_arrival=last_arrival)


@pytest.mark.parametrize("name", ["vip customers", "VIP_Customers", "VIPCustomers", "v-i-p customers"])
def test_a_new_name_finds_the_one_that_it_nearly_equals(books: Books, name: str) -> None:
    """Case, blanks, `_` and `-` do not tell two names apart (rule G10)."""
    books.plan(segment="VIP Customers")
    found = history(books, name)
    assert (found.is_new, found.similar) == (True, ("VIP Customers",))


def test_a_known_name_is_no_near_duplicate(books: Books) -> None:
    """Once both are in use, neither is questioned again; another account's names do not count."""
    books.plan(segment="VIP")
    books.plan(segment="vip")
    assert history(books, "vip") == History(None, history(books, "vip").earlier)
    assert history(books, "Vip", client_domain="another").similar == ()


def test_a_name_that_was_only_held_is_known_and_stays_new(books: Books) -> None:
    """A person who decides about one of two such names is to see the other; once discarded, it is forgotten."""
    held = books.plan(HOLD, segment="VIP")
    assert history(books, "vip").similar == ("VIP",)
    assert (history(books, "VIP").is_new, history(books, "VIP").similar) == (True, ())
    books.discard(held)
    assert history(books, "vip").similar == ()


def test_two_new_names_of_one_export_are_compared_with_one_another(books: Books) -> None:
    """The first is queued, and the second sees it."""
    seen: list[History] = []

    def plan(_: object, history: History) -> Queue:
        seen.append(history)
        return Queue()

    books.accept(books.receive(), draft(1, segment="VIP"), draft(2, segment="vip"), plan=plan)
    assert [it.similar for it in seen] == [(), ("VIP",)]


def accepted(books: Books, *segments: str) -> list[Delivery]:
    """An export of these segments, some time after the last one."""
    books.wait(HOUR)
    drafts = (draft(number, segment=segment, content=f"{books.now}") for number, segment in enumerate(segments, 1))
    return books.accept(books.receive(), *drafts)


def disappeared(books: Books, delivery: Delivery) -> list[object]:
    """The segments that the delivery's export was found to lack."""
    history = books.store.transitions(delivery.export_id)
    return [it.fields["segment"] for it in history if it.event == "segment.disappeared"]


def test_a_segment_missing_beside_its_neighbours_is_said_once(books: Books) -> None:
    """The export that lacks it says so; the next one, which lacks it too, is no news (rule G13)."""
    accepted(books, "VIP", "Lapsed", "New")
    assert disappeared(books, accepted(books, "VIP", "New")[0]) == ["Lapsed"]
    assert disappeared(books, accepted(books, "VIP", "New")[0]) == []


def test_segments_that_come_in_files_of_their_own_do_not_miss_one_another(books: Books) -> None:
    """One file a segment is as common as one file for all."""
    for _ in range(2):
        assert disappeared(books, accepted(books, "VIP")[0]) == []
        assert disappeared(books, accepted(books, "Lapsed")[0]) == []


def test_growth_is_recorded_with_the_queued_list(books: Books) -> None:
    """The history has the warning behind the list's birth, with the figures."""
    queued = books.plan(Queue(growth="3,000 rows, last sent 1,000"))
    assert queued.state is DeliveryState.QUEUED
    assert books.events(queued.id) == ["delivery.queued", "delivery.grown"]


def test_what_waits_is_said_again_after_two_days_and_after_seven(books: Books) -> None:
    """Once each, both of a held list and of a quarantined export (rule G14)."""
    held = books.plan(HOLD)
    export = books.receive()
    books.store.quarantine(export.id, "truncated", "line 7", "have it sent again", books.now)
    said = []
    for _ in range(9 * 24):
        books.wait(HOUR)
        said += [(it, books.now) for it in books.store.remind(AFTER, books.now)]
    start = books.now - 216 * HOUR
    assert said == [(it, start + timedelta(days=days)) for days in (2, 7) for it in (held.id, export.id)]
    assert books.events(held.id) == ["delivery.held", "delivery.overdue", "delivery.overdue"]


def test_what_fell_due_while_the_service_was_down_is_said_once(books: Books) -> None:
    """Ten days later nobody needs two reminders at once."""
    held = books.plan(HOLD)
    books.wait(timedelta(days=10))
    assert books.store.remind(AFTER, books.now) == [held.id]
    assert books.store.remind(AFTER, books.now) == []


def test_a_list_held_again_is_reminded_of_anew(books: Books) -> None:
    """Its time counts from the last time it was held; a decision ends it."""
    held = books.plan(HOLD)
    books.wait(timedelta(days=3))
    assert books.store.remind(AFTER, books.now) == [held.id]
    books.hold(books.release(held))
    books.wait(timedelta(days=1))
    assert books.store.remind(AFTER, books.now) == []
    books.wait(timedelta(days=1))
    assert books.store.remind(AFTER, books.now) == [held.id]
    books.discard(held)
    books.wait(timedelta(days=9))
    assert books.store.remind(AFTER, books.now) == []


def test_a_route_without_reminders_has_none(books: Books) -> None:
    """An empty list of times, or a route that is gone, says nothing."""
    books.plan(HOLD)
    books.wait(timedelta(days=9))
    assert books.store.remind({ROUTE: ()}, books.now) == []
    assert books.store.remind({}, books.now) == []
