"""The store's verbs on arrivals and exports."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from parts.books import PERSON, START, Books, draft, report, sha256

from relay.lifecycle import IllegalTransitionError
from relay.model import (
    ArrivalState,
    Delivery,
    DeliveryState,
    Export,
    ExportState,
    Fingerprint,
    Hold,
    HoldReason,
    Landing,
    NewExport,
    Overtaken,
    Queue,
    RelayError,
    Skip,
)

UPLOAD = Landing("amperity", "/uploads/list.csv", Fingerprint(7, 8), 120, confirmed=True, session="s1")


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    """A new store."""
    with Books(tmp_path / "relay.db") as books:
        yield books


def accepted(books: Books, content: str = "", segment: str = "VIP") -> tuple[Export, Delivery]:
    """An accepted export and its only delivery, queued."""
    export = books.receive(content=content)
    return export, books.accept(export, draft(segment=segment, content=export.id))[0]


def twin(books: Books, *, content: str = "", digest: str = "settings", days: int = 0) -> str | None:
    """What makes rewriting a new export with this content unnecessary."""
    return books.store.accepted_twin(books.receive(content=content), digest, books.today + timedelta(days=days))


# Arrivals


def test_a_file_is_noted_as_it_landed(books: Books) -> None:
    """The row has everything that is known of the file."""
    arrival = books.store.land(UPLOAD, START)
    assert (arrival.account, arrival.path, arrival.fingerprint, arrival.size) == (
        "amperity",
        "/uploads/list.csv",
        Fingerprint(7, 8),
        120,
    )
    assert (arrival.confirmed, arrival.session, arrival.state, arrival.landed_at, arrival.export_id) == (
        True,
        "s1",
        ArrivalState.LANDED,
        START,
        None,
    )
    assert books.store.arrivals() == [arrival]


def test_noting_a_file_twice_is_one_arrival(books: Books) -> None:
    """Session and scan may both see a file first; the second changes nothing."""
    arrival = books.store.land(UPLOAD, START)
    assert books.store.land(replace(UPLOAD, confirmed=False, session=None), START + timedelta(minutes=1)) == arrival
    assert len(books.store.unlogged()) == 1


@pytest.mark.parametrize(
    "other",
    [
        replace(UPLOAD, account="other"),
        replace(UPLOAD, path="/uploads/other.csv"),
        replace(UPLOAD, fingerprint=Fingerprint(7, 9)),
        replace(UPLOAD, fingerprint=Fingerprint(8, 8)),
    ],
)
def test_another_file_is_another_arrival(books: Books, other: Landing) -> None:
    """Account, path and bytes tell files apart."""
    assert books.store.land(UPLOAD, START).id != books.store.land(other, START).id


def test_a_file_that_was_withdrawn_may_land_again(books: Books) -> None:
    """Renamed away and back it is a new arrival; numbers are not used again."""
    first = books.store.land(UPLOAD, START)
    books.store.withdraw(first.id, START)
    second = books.store.land(UPLOAD, START)
    assert second.id == first.id + 1
    assert books.store.known("amperity") == {UPLOAD.fingerprint: second}


def test_names_and_inodes_of_any_kind_are_kept(books: Books) -> None:
    """A name that is no UTF-8 and an inode number of 64 bits come back as they were."""
    landing = replace(UPLOAD, path="/uploads/\udcff\udc80 ü.csv", fingerprint=Fingerprint(2**64 - 1, 1))
    assert books.store.land(landing, START) == books.store.land(landing, START)
    assert books.store.arrivals()[0].path == landing.path
    assert books.store.known("amperity").keys() == {landing.fingerprint}
    assert books.store.unlogged()[0].fields["path"] == landing.path


def test_only_what_is_landed_can_be_withdrawn_or_unrouted(books: Books) -> None:
    """What was settled stays as it is."""
    arrival = books.store.land(UPLOAD, START)
    books.store.unroute(arrival.id, "add a route", START)
    with pytest.raises(IllegalTransitionError):
        books.store.withdraw(arrival.id, START)
    with pytest.raises(IllegalTransitionError):
        books.store.unroute(arrival.id, "add a route", START)
    assert [it.state for it in books.store.arrivals()] == [ArrivalState.UNROUTED]
    assert [it.event for it in books.store.unlogged()] == ["arrival.landed", "arrival.unrouted"]


def test_arrivals_are_found_by_what_is_known_of_them(books: Books) -> None:
    """By state, account, export; oldest first and not more than asked for."""
    export = books.receive()
    landed, other = books.land(), books.land(account="other")
    claimed = books.store.arrivals(export_id=export.id)[0]
    assert books.store.arrivals() == [claimed, landed, other]
    assert books.store.arrivals(limit=2) == [claimed, landed]
    assert books.store.arrivals(state=ArrivalState.LANDED) == [landed, other]
    assert books.store.arrivals(account="other") == [other]
    assert books.store.arrivals(ArrivalState.LANDED, "amperity") == [landed]


def test_what_was_cleared_is_no_longer_known(books: Books) -> None:
    """A scan does not go through the files of years; the history keeps them."""
    gone, still_there = books.land(), books.land()
    books.store.cleared([gone.id], START)
    assert books.store.known("amperity") == {still_there.fingerprint: still_there}
    assert books.store.arrivals(in_view=True) == [still_there]
    assert len(books.store.arrivals()) == 2


# Custody


def test_custody_claims_the_parts_in_their_order(books: Books) -> None:
    """The export's arrivals come back in the order in which they are its parts."""
    first, second = books.land(), books.land()
    new = NewExport("sirendenim-x", "sirendenim", 240, sha256(""), "amperity", second.path)
    export = books.store.receive(new, [second.id, first.id], START)
    assert (export.state, export.received_at, export.attempts, export.report) == (ExportState.RECEIVED, START, 0, None)
    parts = books.store.arrivals(export_id=export.id)
    assert [part.id for part in parts] == [second.id, first.id]
    assert {part.state for part in parts} == {ArrivalState.CLAIMED}
    assert books.store.received_exports() == [export]


def test_custody_is_taken_of_all_parts_or_none(books: Books) -> None:
    """A part that its client withdrew in time leaves no half an export."""
    first, second = books.land(), books.land()
    books.store.withdraw(second.id, START)
    new = NewExport("sirendenim-x", "sirendenim", 240, sha256(""), "amperity", first.path)
    with pytest.raises(IllegalTransitionError):
        books.store.receive(new, [first.id, second.id], START)
    assert books.store.exports() == []
    assert books.store.arrivals(state=ArrivalState.LANDED) == [first]


def test_received_exports_come_oldest_first(books: Books) -> None:
    """The first that came is the first to be rewritten."""
    older = books.receive()
    books.wait()
    newer = books.receive()
    assert books.store.received_exports() == [older, newer]


def test_crashes_are_counted_until_the_export_is_requeued(books: Books) -> None:
    """The count survives a restart, and a person's requeue begins anew."""
    export = books.receive()
    assert books.store.rewrite_crashed(export.id, START) == 1
    books.reopen()
    assert books.store.rewrite_crashed(export.id, START) == 2
    books.store.quarantine(export.id, "rewrite_crashed", "twice", "report it", START)
    with pytest.raises(IllegalTransitionError):
        books.store.rewrite_crashed(export.id, START)
    books.store.requeue(export.id, PERSON, START)
    assert books.store.rewrite_crashed(export.id, START) == 1


# Ends without deliveries


def test_a_quarantined_export_says_why(books: Books) -> None:
    """Reason, detail and hint are kept until it is requeued."""
    export = books.receive()
    books.store.quarantine(export.id, "cut_off", "line 7", "have it sent again", START)
    found = books.store.export(export.id)
    assert found is not None
    assert (found.state, found.reason, found.detail, found.hint) == (
        ExportState.QUARANTINED,
        "cut_off",
        "line 7",
        "have it sent again",
    )
    assert books.store.requeue(export.id, PERSON, START) == export
    assert books.store.received_exports() == [export]


def test_a_quarantined_export_can_be_discarded(books: Books) -> None:
    """That is its end; it cannot be had back."""
    export = books.receive()
    books.store.quarantine(export.id, "cut_off", "line 7", "have it sent again", START)
    discarded = books.store.discard(export.id, PERSON, START)
    assert discarded.state is ExportState.DISCARDED
    with pytest.raises(RelayError, match="is discarded, so it cannot be requeued"):
        books.store.requeue(export.id, PERSON, START)


def test_the_same_bytes_need_no_second_rewrite(books: Books) -> None:
    """Accepted today under the same settings, and nothing happened to its lists (rule D9)."""
    original, _ = accepted(books)
    export = books.receive()
    assert books.store.accepted_twin(export, "settings", books.today) == original.id
    books.store.duplicate(export.id, original.id, books.today, START)
    found = books.store.export(export.id)
    assert found is not None
    assert (found.state, found.original_id, found.list_date) == (ExportState.DUPLICATED, original.id, books.today)


def test_other_bytes_settings_or_dates_are_judged_anew(books: Books) -> None:
    """Whatever differs makes it another list (rule D9)."""
    accepted(books)
    assert twin(books) is not None
    assert twin(books, content="other") is None
    assert twin(books, digest="other") is None
    assert twin(books, days=1) is None


def test_an_export_of_another_route_is_no_twin(books: Books) -> None:
    """Its segments may be others (rule D9)."""
    accepted(books)
    assert books.store.accepted_twin(books.receive(route="other"), "settings", books.today) is None


def test_only_the_newest_accepted_export_is_a_twin(books: Books) -> None:
    """A, B, A again: the last one is a change back, not a repetition (rule D9)."""
    accepted(books, "A")
    books.wait()
    newest, _ = accepted(books, "B")
    assert twin(books, content="A") is None
    assert twin(books, content="B") == newest.id


def test_an_export_whose_list_was_discarded_is_no_twin(books: Books) -> None:
    """Somebody may want it after all (rule D9)."""
    _, delivery = accepted(books)
    books.store.discard(delivery.id, PERSON, START)
    assert twin(books) is None


def test_an_export_whose_list_was_superseded_is_no_twin(books: Books) -> None:
    """What was overtaken never took effect (rule D9)."""
    books.accept(books.receive(), draft(), plan=lambda *_: Overtaken("newer.1"))
    assert twin(books) is None


def test_an_export_whose_list_was_refused_is_no_twin(books: Books) -> None:
    """What failed is not at the upstream (rule D9)."""
    _, delivery = accepted(books)
    assert books.claim() is not None
    books.fail(delivery)
    assert twin(books) is None


def test_an_export_with_a_held_list_is_a_twin(books: Books) -> None:
    """The same list once more is no second case for a person to decide (rule D9)."""
    hold = Hold(HoldReason.SHRUNK, "20 of 1000", "look")
    books.accept(books.receive(), draft(), plan=lambda *_: hold)
    assert twin(books) is not None


def test_an_export_that_another_list_has_followed_is_no_twin(books: Books) -> None:
    """A restored list is live by now, so that the same bytes once more would be a change (rules D4 and D9)."""
    _, first = accepted(books, "A")
    assert books.claim() is not None
    books.send(first)
    books.wait()
    _, second = accepted(books, "B")
    assert books.claim() is not None
    books.send(second)
    books.wait()
    assert twin(books, content="B") is not None
    restored = books.store.restore(
        first.id, PERSON, books.today, books.now + timedelta(hours=48), books.now, keep=lambda *_: None
    )
    assert restored.sha256 == first.sha256
    assert twin(books, content="B") is None


# Acceptance


def test_an_accepted_export_keeps_its_report(books: Books) -> None:
    """What the rewrite found comes back as it was, after a restart, too."""
    export = books.receive()
    drafts = draft(1), draft(2, segment="New")
    books.accept(export, *drafts)
    books.reopen()
    found = books.store.export(export.id)
    assert found is not None
    assert found.report == report(*drafts)
    assert (found.state, found.settings_digest, found.list_date) == (ExportState.ACCEPTED, "settings", books.today)
    assert books.store.received_exports() == []


def test_every_draft_becomes_a_delivery_unless_it_is_skipped(books: Books) -> None:
    """In the order of the drafts, with the id of the draft's ordinal."""
    export = books.receive()
    drafts = [draft(number, segment=f"segment {number}") for number in (1, 2, 3)]
    planned = books.accept(export, *drafts, plan=lambda it, _: Skip() if it.ordinal == 2 else Queue())
    assert [it.id for it in planned] == [f"{export.id}.1", f"{export.id}.3"]
    assert books.store.deliveries(export_id=export.id) == planned


def test_an_export_is_accepted_once(books: Books) -> None:
    """A second acceptance raises, and makes no second delivery."""
    export = books.receive()
    planned = books.accept(export, draft())
    with pytest.raises(IllegalTransitionError):
        books.accept(export, draft())
    assert books.store.deliveries() == planned


def test_an_export_that_nobody_received_cannot_be_accepted(books: Books) -> None:
    """An unknown id is an error, not a new export."""
    with pytest.raises(RelayError, match="no export is called nobody"):
        books.store.quarantine("nobody", "reason", "detail", "hint", START)


# Looking


def test_exports_are_listed_newest_first(books: Books) -> None:
    """By route, by state, since an instant, and not more than asked for."""
    old = books.receive()
    books.wait()
    new, other = books.receive(content="new"), books.receive(route="other")
    books.store.quarantine(new.id, "reason", "detail", "hint", books.now)
    newest = [it.id for it in books.store.exports()]
    assert newest == [*sorted((new.id, other.id), reverse=True), old.id]
    assert [it.id for it in books.store.exports(route="other")] == [other.id]
    assert [it.id for it in books.store.exports(state=ExportState.QUARANTINED)] == [new.id]
    assert {it.id for it in books.store.exports(since=books.now)} == {new.id, other.id}
    assert len(books.store.exports(limit=2)) == 2


def test_deliveries_are_listed_newest_first(books: Books) -> None:
    """By route, by state, since an instant, and not more than asked for."""
    old = books.plan(segment="old")
    books.wait()
    new = books.plan(segment="new")
    books.hold(new)
    assert [it.id for it in books.store.deliveries()] == [new.id, old.id]
    assert [it.id for it in books.store.deliveries(state=DeliveryState.HELD)] == [new.id]
    assert [it.id for it in books.store.deliveries(since=books.now)] == [new.id]
    assert [it.id for it in books.store.deliveries(limit=1)] == [new.id]
    assert books.store.deliveries(route="other") == []


def test_what_waits_is_counted(books: Books) -> None:
    """For the heartbeat: lists on their way, lists and exports that wait for a person."""
    for number in range(3):
        books.plan(segment=f"segment {number}")
    first = books.claim()
    assert first is not None
    books.defer(first)
    assert books.claim() is not None
    books.plan(Hold(HoldReason.SHRUNK, "20 of 1000", "look"), segment="held")
    books.store.quarantine(books.receive().id, "reason", "detail", "hint", START)
    counts = books.store.counts()
    assert (counts.queued, counts.held, counts.quarantined) == (2, 1, 1)


def test_what_is_not_there_is_none(books: Books) -> None:
    """Looking an unknown id up is no error."""
    assert books.store.export("nobody") is None
    assert books.store.delivery("nobody") is None
    assert books.store.transitions("nobody") == []
