"""The store's verbs of the operator, and on upstreams."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from parts.books import PERSON, UPSTREAM, Books

from relay.model import (
    Decision,
    Delivery,
    DeliveryState,
    Duplicate,
    Export,
    Hold,
    HoldReason,
    RelayError,
    Suspension,
    Verdict,
)

DAY = timedelta(days=1)
HOLD = Hold(HoldReason.SHRUNK, "20 rows, last sent 1,000", "look")


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    """A new store."""
    with Books(tmp_path / "relay.db") as books:
        yield books


def in_state(books: Books, state: str) -> Delivery | Export:
    """A delivery, or an export where only that has it, in this state."""
    if state in {"received", "quarantined", "accepted"}:
        return _export_in(books, state)
    verdicts: dict[str, Verdict] = {"held": HOLD, "duplicated": Duplicate("x.1")}
    delivery = books.plan(verdicts.get(state))
    if state in {"sending", "deferred", "failed", "sent"}:
        assert books.claim() is not None
    match state:
        case "deferred":
            books.defer(delivery)
        case "failed":
            books.fail(delivery)
        case "sent":
            books.send(delivery)
        case "discarded":
            books.discard(delivery)
        case "superseded":
            books.wait(DAY)
            books.plan()
    assert books.look(delivery).state == state
    return books.look(delivery)


def _export_in(books: Books, state: str) -> Export:
    export = books.receive()
    if state == "quarantined":
        books.store.quarantine(export.id, "cut_off", "line 7", "have it sent again", books.now)
    if state == "accepted":
        books.accept(export)
    found = books.store.export(export.id)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("verb", "state", "hint"),
    [
        ("hold", "held", "What held allows is `relay discard` or `relay release`."),
        ("hold", "failed", "What failed allows is `relay discard` or `relay requeue`."),
        ("hold", "sending", "It is being sent at this moment; see in a minute what came of it (`relay show`)."),
        ("hold", "sent", "The upstream has it. If it was wrong, `relay restore` sends the list before it again."),
        ("release", "queued", "What queued allows is `relay discard` or `relay hold`."),
        ("release", "deferred", "What deferred allows is `relay discard` or `relay hold`."),
        ("release", "superseded", "That is final; have the list exported again if it is wanted."),
        ("discard", "sending", "It is being sent at this moment; see in a minute what came of it (`relay show`)."),
        ("discard", "sent", "The upstream has it. If it was wrong, `relay restore` sends the list before it again."),
        ("discard", "duplicated", "That is final; have the list exported again if it is wanted."),
        ("discard", "discarded", "That is final; have the list exported again if it is wanted."),
        ("discard", "received", "It is about to be rewritten; see in a minute what came of it (`relay show`)."),
        ("discard", "accepted", "Its lists are deliveries by now; decide on those (`relay show` names them)."),
        ("requeue", "queued", "What queued allows is `relay discard` or `relay hold`."),
        ("requeue", "held", "What held allows is `relay discard` or `relay release`."),
        ("requeue", "received", "It is about to be rewritten; see in a minute what came of it (`relay show`)."),
    ],
)
def test_a_decision_that_cannot_be_followed_says_what_can(books: Books, verb: str, state: str, hint: str) -> None:
    """The state is named, the way out too, and nothing changes."""
    subject = in_state(books, state)
    events = books.events(subject.id)
    with pytest.raises(RelayError, match=f"{subject.id} is {state}, so it cannot be ") as refusal:
        getattr(books, verb)(subject)
    assert refusal.value.hint == hint
    assert (books.store.delivery(subject.id) or books.store.export(subject.id)) == subject
    assert books.events(subject.id) == events


@pytest.mark.parametrize("verb", ["hold", "discard"])
def test_a_decision_on_nothing_is_refused(books: Books, verb: str) -> None:
    """With how to find the right id."""
    with pytest.raises(RelayError, match="is called nobody") as refusal:
        getattr(books.store, verb)("nobody", PERSON, books.now)
    assert "`relay deliveries`" in refusal.value.hint


@pytest.mark.parametrize("state", ["queued", "deferred"])
def test_a_person_can_hold_what_waits(books: Books, state: str) -> None:
    """It keeps its name, is not claimed any more, and says who held it (rule G7)."""
    delivery = in_state(books, state)
    assert isinstance(delivery, Delivery)
    held = books.hold(delivery)
    assert (held.state, held.reason, held.detail) == (DeliveryState.HELD, "operator", "looked at it")
    assert (held.remote_name, held.due_at) == (delivery.remote_name, None)
    books.wait()
    assert books.claim() is None


def test_a_released_list_gets_its_name_with_the_date_of_release(books: Books) -> None:
    """A list held for a day goes out under the date on which it goes (rule D2), and has its time again (rule G8)."""
    held = books.plan(HOLD)
    books.wait(DAY)
    released = books.release(held)
    assert released.remote_name == "sirendenim_subscriber_segment_20261124_1.csv"
    assert (released.state, released.remote_date, released.planned_on) == (
        DeliveryState.QUEUED,
        books.today,
        held.planned_on,
    )
    assert (released.queued_at, released.due_at, released.stale_at) == (books.now, books.now, books.now + 2 * DAY)
    assert (released.reason, released.detail, released.hint) == (None, None, None)
    assert books.look(held) == released
    claimed = books.claim()
    assert claimed is not None
    assert claimed.id == held.id


def test_a_released_list_that_has_a_name_keeps_it(books: Books) -> None:
    """A name is given once, whatever the day (rule D1)."""
    delivery = books.plan()
    books.hold(delivery)
    books.wait(DAY)
    released = books.release(delivery)
    assert (released.remote_name, released.remote_date) == (delivery.remote_name, delivery.remote_date)
    assert books.plan(segment="other").remote_name == "sirendenim_subscriber_segment_20261124_1.csv"


def test_a_list_without_rows_cannot_be_released(books: Books) -> None:
    """A file cannot empty a segment (rule A9)."""
    empty = books.plan(Hold(HoldReason.EMPTY, "no row", "look"), rows=0)
    with pytest.raises(RelayError, match="no row left") as refusal:
        books.release(empty)
    assert "`relay discard`" in refusal.value.hint
    assert books.look(empty) == empty


def test_a_released_list_supersedes_unsent_ones_of_its_date_that_came_before(books: Books) -> None:
    """Whoever releases the second means it to be the one (rule D7)."""
    first, second = books.plan(), books.plan(HOLD)
    third = books.plan(HOLD)
    books.release(second)
    assert [books.look(it).state.value for it in (first, second, third)] == ["superseded", "queued", "held"]


def test_a_released_list_that_is_already_there_is_a_duplicate(books: Books) -> None:
    """Same date, same content: nothing is sent and no number is used (rule D10)."""
    held = books.plan(HOLD, content="A")
    other = books.plan(content="A")
    assert books.release(held).state is DeliveryState.DUPLICATED
    assert books.look(held).remote_name is None
    last = books.store.transitions(held.id)[-1]
    assert (last.fields["other"], last.fields["list_date"]) == (other.id, "2026-11-23")


def test_the_same_content_on_a_later_date_is_released(books: Books) -> None:
    """It is that day's refresh, whatever went out the day before (rules D6 and D10)."""
    sent = books.plan(content="A")
    assert books.claim() is not None
    books.send(sent)
    held = books.plan(HOLD, content="A")
    books.wait(DAY)
    assert books.release(held).state is DeliveryState.QUEUED


def test_a_list_that_another_replaced_since_is_no_duplicate(books: Books) -> None:
    """A went out, then B; a held A would change it back (rule D10)."""
    for content in ("A", "B"):
        sent = books.plan(content=content)
        assert books.claim() is not None
        books.send(sent)
        books.wait()
    held = books.plan(HOLD, content="A")
    assert books.release(held).state is DeliveryState.QUEUED


def test_a_held_twin_does_not_swallow_a_release(books: Books) -> None:
    """What waits for a person is not there: the released one is sent (rule D10)."""
    first = books.plan(HOLD, content="A")
    books.wait(DAY)
    second = books.plan(HOLD, content="A")
    assert books.release(first).state is DeliveryState.QUEUED
    assert books.release(second).state is DeliveryState.DUPLICATED


@pytest.mark.parametrize("newer_is", ["queued", "sending", "deferred", "sent"])
@pytest.mark.parametrize("verb", ["release", "requeue"])
def test_a_list_never_follows_a_newer_one(books: Books, verb: str, newer_is: str) -> None:
    """Whether the newer one is in line or there (rule D10)."""
    older = in_state(books, "held" if verb == "release" else "failed")
    newer = in_state(books, newer_is)
    with pytest.raises(RelayError, match=f"{older.id} is older than {newer.id}, which is {newer_is}"):
        getattr(books, verb)(older)
    assert books.store.delivery(older.id) == older


@pytest.mark.parametrize("newer_is", ["held", "failed", "discarded", "duplicated"])
def test_a_newer_list_that_is_not_in_line_is_no_hindrance(books: Books, newer_is: str) -> None:
    """It went nowhere (rule D10)."""
    older = books.plan(HOLD)
    in_state(books, newer_is)
    assert books.release(older).state is DeliveryState.QUEUED


def test_a_requeued_list_has_its_old_name_and_new_time(books: Books) -> None:
    """Same name, same bytes (rule D1), due at once, and stale later."""
    failed = in_state(books, "failed")
    books.wait(DAY)
    requeued = books.requeue(failed)
    assert isinstance(failed, Delivery)
    assert isinstance(requeued, Delivery)
    assert (requeued.state, requeued.remote_name) == (DeliveryState.QUEUED, failed.remote_name)
    assert (requeued.due_at, requeued.stale_at, requeued.reason) == (books.now, books.now + 2 * DAY, None)


def test_a_discarded_list_is_not_sent(books: Books) -> None:
    """Neither now nor after a restart."""
    delivery = books.plan()
    discarded = books.discard(delivery)
    assert isinstance(discarded, Delivery)
    assert (discarded.state, discarded.reason) == (DeliveryState.DISCARDED, PERSON.reason)
    books.reopen()
    assert books.claim() is None


# Upstreams


def test_a_suspended_upstream_says_why_and_until_when(books: Books) -> None:
    """After a restart, too."""
    probe_at = books.now + timedelta(minutes=5)
    books.store.suspend(UPSTREAM, "login_refused", "password", "ask them", probe_at, books.now)
    books.reopen()
    suspension = Suspension(UPSTREAM, "login_refused", "password", "ask them", books.now, probe_at)
    assert books.store.suspensions() == {UPSTREAM: suspension}


def test_a_probe_that_finds_the_same_trouble_is_no_new_event(books: Books) -> None:
    """An alert goes off once; other trouble is another alert."""
    for reason in ("login_refused", "login_refused", "host_key_changed"):
        books.wait()
        books.store.suspend(UPSTREAM, reason, "detail", "hint", books.now + DAY, books.now)
    assert books.events(f"upstream/{UPSTREAM}") == ["upstream.suspended", "upstream.suspended"]
    suspension = books.store.suspensions()[UPSTREAM]
    assert (suspension.reason, suspension.probe_at) == ("host_key_changed", books.now + DAY)
    assert suspension.suspended_at == books.now - timedelta(minutes=2)


def test_an_upstream_that_is_well_is_resumed_once(books: Books) -> None:
    """Saying so again changes nothing, unless a person says it."""
    books.store.suspend(UPSTREAM, "login_refused", "detail", "hint", books.now, books.now)
    books.store.resume(UPSTREAM, None, books.now)
    books.store.resume(UPSTREAM, None, books.now)
    assert books.store.suspensions() == {}
    assert books.events(f"upstream/{UPSTREAM}") == ["upstream.suspended", "upstream.resumed"]
    with pytest.raises(RelayError, match="attentive is not suspended"):
        books.store.resume(UPSTREAM, Decision("mel", None), books.now)
