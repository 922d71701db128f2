"""What the store promises of exports that wait for files."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from parts.books import PERSON, Books

from relay.lifecycle import IllegalTransitionError
from relay.model import Arrival, ArrivalState, ExportState, RelayError


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    """A new store."""
    with Books(tmp_path / "relay.db") as books:
        yield books


def note(books: Books, export_id: str, *arrivals: Arrival) -> None:
    """Note that files wait with an export."""
    until = books.now + timedelta(hours=2)
    books.store.gathered(export_id, arrivals, detail="2 files", waits_until=until, now=books.now)


def test_files_wait_with_an_export_before_they_are_its_parts(books: Books) -> None:
    """They keep the state in which their client may still replace them (rule C2)."""
    export, first, second = books.gather(), books.land(), books.land()
    note(books, export.id, first, second)
    waiting = books.store.arrivals(export_id=export.id)
    assert [(it.state, it.part) for it in waiting] == [(ArrivalState.LANDED, None)] * 2
    assert books.store.received_exports() == []
    (found,) = books.store.gathering("amperity")
    assert (found.detail, found.waits_until) == ("2 files", books.now + timedelta(hours=2))
    assert books.store.gathering("other") == []


def test_completion_claims_parts_in_their_order_and_markers_as_none(books: Books) -> None:
    """The parts are numbered from 1 as they were given; a marker has no number."""
    export, first, second, marker = books.gather(), books.land(), books.land(), books.land()
    books.wait()
    taken = books.store.complete(
        export.id, [second, first], [marker], source_bytes=240, source_sha256="abc", now=books.now
    )
    assert (taken.state, taken.source_bytes, taken.source_sha256) == (ExportState.RECEIVED, 240, "abc")
    assert taken.received_at == books.now
    parts = {it.id: it.part for it in books.store.arrivals(export_id=export.id)}
    assert parts == {second.id: 1, first.id: 2, marker.id: None}
    assert [it.id for it in books.store.received_exports()] == [export.id]
    assert books.store.export(export.id) == taken


def test_what_is_given_up_is_quarantined_with_its_parts(books: Books) -> None:
    """One transaction: it never is received on the way (rule C5)."""
    export, part = books.gather(), books.land()
    books.store.complete(
        export.id,
        [part],
        [],
        source_bytes=120,
        source_sha256="abc",
        now=books.now,
        lacks=("no end marker", "wait for it"),
    )
    found = books.store.export(export.id)
    assert found is not None
    assert (found.state, found.reason, found.detail, found.hint) == (
        ExportState.QUARANTINED,
        "incomplete",
        "no end marker",
        "wait for it",
    )
    assert books.events(export.id) == ["export.gathering", "export.quarantined"]


def test_an_arrival_that_is_gone_undoes_the_completion(books: Books) -> None:
    """All or nothing: a part that its client withdrew meanwhile leaves everything as it was."""
    export, part, gone = books.gather(), books.land(), books.land()
    books.store.withdraw(gone.id, books.now)
    with pytest.raises(IllegalTransitionError):
        books.store.complete(export.id, [part, gone], [], source_bytes=240, source_sha256="abc", now=books.now)
    assert [it.state for it in books.store.exports()] == [ExportState.GATHERING]
    assert books.store.arrivals(state=ArrivalState.LANDED) == [part]


def test_a_discarded_export_takes_its_files_with_it(books: Books) -> None:
    """They become its parts, so that no other export begins with them, and nothing can be added any more."""
    export, part = books.gather(), books.land()
    note(books, export.id, part)
    assert books.discard(export).state is ExportState.DISCARDED
    (claimed,) = books.store.arrivals(export_id=export.id)
    assert claimed.state is ArrivalState.CLAIMED
    with pytest.raises(IllegalTransitionError):
        note(books, export.id, books.land())
    with pytest.raises(IllegalTransitionError):
        books.store.complete(export.id, [], [], source_bytes=0, source_sha256="", now=books.now)


def test_only_who_says_that_it_is_whole_can_requeue_what_is_incomplete(books: Books) -> None:
    """The refusal says what it lacks and how to say so; the word is kept for the daemon (rule C8)."""
    export = books.gather()
    note(books, export.id)
    with pytest.raises(RelayError, match="2 files") as refusal:
        books.requeue(export)
    assert "--as-whole" in refusal.value.hint
    assert books.store.taken_as_whole() == []
    told = books.store.requeue(export.id, PERSON, books.now, as_whole=True)
    assert told.state is ExportState.GATHERING
    assert books.store.taken_as_whole() == [export.id]
    assert books.events(export.id)[-1] == "export.requeued"


def test_what_was_given_up_is_rewritten_when_a_person_says_that_it_is_whole(books: Books) -> None:
    """It becomes an ordinary received export (rule C8)."""
    export, part = books.gather(), books.land()
    books.store.complete(
        export.id, [part], [], source_bytes=1, source_sha256="abc", now=books.now, lacks=("a gap", "see")
    )
    with pytest.raises(RelayError, match="a gap"):
        books.requeue(export)
    told = books.store.requeue(export.id, PERSON, books.now, as_whole=True)
    assert told.state is ExportState.RECEIVED
    assert [it.id for it in books.store.received_exports()] == [export.id]


def test_a_quarantine_for_another_reason_asks_for_no_such_word(books: Books) -> None:
    """Whole it was, only unusable; saying that it is whole does no harm."""
    export = books.receive()
    books.store.quarantine(export.id, "empty", "nothing in it", "see", books.now)
    told = books.store.requeue(export.id, PERSON, books.now, as_whole=True)
    assert told.state is ExportState.RECEIVED


def test_a_marker_is_given_to_an_export_that_is_there(books: Books) -> None:
    """It is claimed, and is none of its parts."""
    export, marker = books.receive(), books.land()
    books.store.attach(marker, export.id, books.now)
    claimed = next(it for it in books.store.arrivals(export_id=export.id) if it.id == marker.id)
    assert (claimed.state, claimed.part) == (ArrivalState.CLAIMED, None)
