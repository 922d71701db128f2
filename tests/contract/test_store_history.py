"""The history: one row per transition, with what its line in the log has, and how far the log has got."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from parts.books import PERSON, ROUTE, START, UPSTREAM, Books, cuts_of, draft

from relay.log import CATALOGUE, Event
from relay.model import Decision, DeliveryState, Duplicate, Hold, HoldReason, Overtaken, Queue, Transition, Verdict

HOLD = Hold(HoldReason.SHRUNK, "20 rows, last sent 1,000", "look")
MOVED = {
    event for event in Event if event.split(".")[0] in {"arrival", "export", "delivery", "segment", "slice", "upstream"}
} - {Event.UPSTREAM_HOST_KEY_OFFERED}
"""The events that are transitions."""


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    """A new store."""
    with Books(tmp_path / "relay.db") as books:
        yield books


def live_through_everything(books: Books) -> list[Transition]:
    """Use every verb that moves something in every way that it can be used; return the history."""
    _arrivals_and_exports(books)
    _deliveries(books)
    _noticing(books)
    books.store.suspend(UPSTREAM, "login_refused", "password", "ask them", books.now, books.now)
    books.store.resume(UPSTREAM, Decision("mel", None), books.now)
    return books.store.unlogged()


def _arrivals_and_exports(books: Books) -> None:
    books.store.withdraw(books.land().id, books.now)
    books.store.unroute(books.land().id, "add a route", books.now)
    books.store.ignore(books.land().id, "it holds no list", books.now)
    books.store.complete(
        books.gather().id, [books.land()], [books.land()], source_bytes=120, source_sha256="a", now=books.now
    )
    books.store.withdraw_export(books.gather().id, books.now)
    for verb in (books.requeue, books.discard):
        quarantined = books.receive()
        books.store.quarantine(quarantined.id, "cut_off", "line 7", "have it sent again", books.now)
        verb(quarantined)
    accepted = books.receive()
    verdicts: list[Verdict] = [Queue(), HOLD, Duplicate("x.1"), Overtaken("x.1")]
    drafts = [draft(number, segment=f"segment {number}") for number in range(1, 5)]
    books.accept(accepted, *drafts, plan=lambda it, _: verdicts[it.ordinal - 1])
    books.store.duplicate(books.receive().id, accepted.id, books.today, books.now)


def _deliveries(books: Books) -> None:
    first = books.plan()
    for ending in (books.defer, lambda _: books.store.recover(books.now, everything=True), books.fail):
        books.wait()
        claimed = books.claim()
        assert claimed is not None
        if claimed.id != first.id:  # The one that the acceptance queued comes first.
            books.send(claimed)
            claimed = books.claim()
            assert claimed is not None
        ending(claimed)
    books.requeue(first)
    books.hold(first)
    books.release(first)
    books.wait(timedelta(hours=48))
    books.store.hold_stale(books.now)
    books.plan()
    twins = [books.plan(HOLD, segment="twins", content="A"), books.plan(segment="twins", content="A")]
    books.release(twins[0])
    books.discard(twins[1])
    split = books.plan(segment="split", cuts=cuts_of(600, 400))
    while (claimed := books.claim()) is not None and claimed.id != split.id:
        books.send(claimed)
    books.send_slice(books.look(split))
    books.send(books.look(split))


def _noticing(books: Books) -> None:
    books.store.quarantine(books.receive().id, "cut_off", "line 7", "have it sent again", books.now)
    books.accept(books.receive(), draft(1, segment="stays"), draft(2, segment="leaves"))
    books.wait(timedelta(days=2))
    books.accept(books.receive(), draft(1, segment="stays", rows=3000), plan=lambda *_: Queue(growth="3 times"))
    sent = next(it for it in books.store.deliveries() if it.state is DeliveryState.SENT)
    books.store.restore(sent.id, PERSON, books.today, books.now, books.now, keep=lambda *_: None)
    books.store.remind({ROUTE: [timedelta(days=2)]}, books.now)


def test_every_transition_has_the_fields_of_its_line(books: Books) -> None:
    """What the catalogue requires, nothing that it does not list, no `seq`, and no value that JSON cannot hold."""
    history = live_through_everything(books)
    assert {it.event for it in history} == MOVED
    for transition in history:
        entry = CATALOGUE[Event(transition.event)]
        required, allowed = set(entry.fields) - {"seq"}, {*entry.fields, *entry.optional} - {"seq"}
        assert required <= transition.fields.keys() <= allowed, transition.event
        assert transition.fields["state"] == transition.to_state
        assert None not in {transition.fields[name] for name in entry.optional if name in transition.fields}
        assert json.loads(json.dumps(transition.fields)) == transition.fields


def test_a_line_says_what_is_known(books: Books) -> None:
    """The values are those of the arrival, export, delivery or upstream, and of the decision."""
    by_event = {it.event: it.fields for it in reversed(live_through_everything(books))}
    assert by_event["arrival.claimed"].keys() == {"arrival", "account", "path", "state", "export", "route"}
    assert by_event["arrival.unrouted"]["hint"] == "add a route"
    assert by_event["export.received"]["path"].startswith("/uploads/")
    assert by_event["export.accepted"]["segments"] == 4
    assert by_event["export.accepted"]["rows_in"] == 4 * 1006 + 1
    assert by_event["export.quarantined"]["detail"] == "line 7"
    assert by_event["export.discarded"]["operator"] == "mel"
    assert by_event["export.discarded"]["reason"] == "looked at it"
    assert by_event["delivery.queued"]["remote_name"] == "sirendenim_subscriber_segment_20261123_1.csv"
    assert by_event["delivery.held"]["reason"] == "shrunk"
    assert by_event["delivery.released"]["reason"] == "looked at it"
    assert by_event["delivery.sending"]["attempt"] == 1
    assert by_event["delivery.sent"]["publish"] == "rename"
    assert by_event["delivery.sent"]["verified"] is True
    assert by_event["delivery.deferred"]["due_at"] == "2026-11-23T06:01:30.000000Z"
    assert by_event["delivery.recovered"]["due_at"] == "2026-11-23T06:02:00.000000Z"
    assert by_event["delivery.failed"]["reason"] == "name_taken"
    assert by_event["delivery.duplicated"]["list_date"] == "2026-11-23"
    assert by_event["upstream.suspended"]["due_at"] == "2026-11-27T06:03:00.000000Z"
    assert by_event["upstream.resumed"]["operator"] == "mel"


def test_a_decision_without_a_reason_has_none(books: Books) -> None:
    """What is not known is left out instead of being null."""
    delivery = books.plan(HOLD)
    books.store.discard(delivery.id, Decision("mel", None), books.now)
    assert "reason" not in books.store.transitions(delivery.id)[-1].fields


def test_the_history_of_everything_replays_to_where_it_stands(books: Books) -> None:
    """Each transition begins where the one before ended, and the last one is the state."""
    history = live_through_everything(books)
    for subject in {it.subject for it in history if it.event.startswith(("export.", "delivery."))}:
        transitions = books.store.transitions(subject)
        assert [it.from_state for it in transitions] == [None, *(it.to_state for it in transitions[:-1])]
        found = books.store.delivery(subject) or books.store.export(subject)
        assert found is not None
        assert found.state == transitions[-1].to_state


def test_an_operators_decision_is_on_record(books: Books) -> None:
    """Who, why and when."""
    delivery = books.plan()
    books.wait()
    books.hold(delivery)
    last = books.store.transitions(delivery.id)[-1]
    assert (last.at, last.fields["operator"], last.fields["detail"]) == (books.now, PERSON.operator, PERSON.reason)


def test_what_is_not_in_the_log_comes_in_order_until_it_is(books: Books) -> None:
    """A crash between a line and its tick repeats the line; nothing is left out."""
    for _ in range(5):
        books.land()
    assert [it.seq for it in books.store.unlogged(limit=2)] == [1, 2]
    books.reopen()
    assert [it.seq for it in books.store.unlogged(limit=2)] == [1, 2]
    books.store.logged(2)
    books.reopen()
    assert [it.seq for it in books.store.unlogged()] == [3, 4, 5]
    books.store.logged(5)
    assert books.store.unlogged() == []
    books.land()
    assert [it.seq for it in books.store.unlogged()] == [6]


def test_what_another_process_decides_is_there_to_be_logged(books: Books) -> None:
    """An operator's command has its own connection; its transition is in the same history."""
    delivery = books.plan()
    seen = books.store.unlogged()[-1].seq
    books.store.logged(seen)
    with Books(books.path) as command:
        command.hold(delivery)
    assert [it.event for it in books.store.unlogged()] == ["delivery.held"]


def test_transitions_happen_at_the_instant_given(books: Books) -> None:
    """The store has no clock of its own."""
    arrival = books.land()
    books.wait()
    books.store.withdraw(arrival.id, books.now)
    history = books.store.transitions(f"arrival/{arrival.id}")
    assert [it.at for it in history] == [START, START + timedelta(minutes=1)]
