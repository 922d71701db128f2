"""The transition tables as tables, and the arithmetic of trying again."""

from datetime import timedelta
from enum import StrEnum
from typing import Any

import pytest

from relay.lifecycle import (
    ARRIVAL,
    BIRTHS,
    DELIVERY,
    EXPORT,
    FIRST_RETRY,
    IN_EFFECT,
    LONGEST_RETRY,
    WAITING,
    ArrivalEvent,
    DeliveryEvent,
    ExportEvent,
    IllegalTransitionError,
    next_state,
    retry_delay,
)
from relay.model import ArrivalState, DeliveryState, ExportState

Table = dict[Any, dict[Any, Any]]
"""One of the three, whichever it is."""

FINAL: dict[type[StrEnum], set[StrEnum]] = {
    ArrivalState: {ArrivalState.CLAIMED, ArrivalState.WITHDRAWN, ArrivalState.UNROUTED, ArrivalState.IGNORED},
    ExportState: {ExportState.ACCEPTED, ExportState.DUPLICATED, ExportState.DISCARDED},
    DeliveryState: {
        DeliveryState.SENT,
        DeliveryState.SUPERSEDED,
        DeliveryState.DUPLICATED,
        DeliveryState.DISCARDED,
    },
}
"""Where each of the three may end."""

BORN_BY: dict[type[StrEnum], set[StrEnum]] = {
    ArrivalEvent: set(),
    ExportEvent: {ExportEvent.GATHERING},
    DeliveryEvent: {DeliveryEvent.QUEUED},
}
"""Events that only ever begin a life, and so stand in no table."""

TABLES: list[tuple[type[StrEnum], type[StrEnum], Table]] = [
    (ArrivalState, ArrivalEvent, ARRIVAL),
    (ExportState, ExportEvent, EXPORT),
    (DeliveryState, DeliveryEvent, DELIVERY),
]

each_table = pytest.mark.parametrize(("states", "events", "table"), TABLES, ids=["arrival", "export", "delivery"])


def reachable(table: Table, start: set[StrEnum]) -> set[StrEnum]:
    """Every state that can be got to from `start`."""
    found, unseen = set(start), list(start)
    while unseen:
        new = set(table[unseen.pop()].values()) - found
        found |= new
        unseen += new
    return found


@each_table
def test_a_table_is_total(states: type[StrEnum], events: type[StrEnum], table: Table) -> None:
    """Every state has its row, every row its known events and states."""
    assert set(table) == set(states)
    for row in table.values():
        assert set(row) <= set(events)
        assert set(row.values()) <= set(states)


@each_table
def test_every_event_can_happen(states: type[StrEnum], events: type[StrEnum], table: Table) -> None:
    """An event is listed by some state, unless it begins a life."""
    del states
    listed = {event for row in table.values() for event in row}
    assert listed | BORN_BY[events] == set(events)
    assert not listed & BORN_BY[events]


@each_table
def test_every_state_can_be_reached(states: type[StrEnum], events: type[StrEnum], table: Table) -> None:
    """From the states in which a life may begin, events lead to all others."""
    del events
    assert reachable(table, set(BIRTHS[states])) == set(states)


@each_table
def test_only_final_states_have_no_way_out(states: type[StrEnum], events: type[StrEnum], table: Table) -> None:
    """Nothing gets stuck: each state leads to an end, and the ends are the ones that are meant."""
    del events
    assert {state for state, row in table.items() if not row} == FINAL[states]
    for state in states:
        assert reachable(table, {state}) & FINAL[states]


@each_table
def test_an_event_that_is_not_listed_raises(states: type[StrEnum], events: type[StrEnum], table: Table) -> None:
    """For every pair of state and event the table is the whole truth; an error names the state and the event."""
    for state in states:
        for event in events:
            if event in table[state]:
                assert next_state(table, state, event) is table[state][event]
            else:
                with pytest.raises(IllegalTransitionError, match=f"^{state} cannot be {event};"):
                    next_state(table, state, event)


@pytest.mark.parametrize("state", [*ExportState, *DeliveryState])
def test_a_person_can_leave_every_state_that_waits_for_one(state: ExportState | DeliveryState) -> None:
    """What does not move by itself can be discarded, and be tried again or released."""
    way_out: dict[StrEnum, set[StrEnum]] = {
        ExportState.QUARANTINED: {ExportEvent.REQUEUED, ExportEvent.DISCARDED},
        DeliveryState.HELD: {DeliveryEvent.RELEASED, DeliveryEvent.DISCARDED},
        DeliveryState.FAILED: {DeliveryEvent.REQUEUED, DeliveryEvent.DISCARDED},
    }
    listed: set[StrEnum] = set(EXPORT[state] if isinstance(state, ExportState) else DELIVERY[state])
    assert way_out.get(state, set()) <= listed


def test_what_is_sent_stays_sent() -> None:
    """Nothing can happen to a delivery that the upstream has."""
    assert DELIVERY[DeliveryState.SENT] == {}


def test_what_is_being_sent_cannot_be_taken_away() -> None:
    """While an attempt runs, nobody but the attempt says what became of it."""
    assert set(DELIVERY[DeliveryState.SENDING]) == {
        DeliveryEvent.SENT,
        DeliveryEvent.DEFERRED,
        DeliveryEvent.FAILED,
        DeliveryEvent.RECOVERED,
    }


def test_whatever_waits_can_be_superseded_and_nothing_else() -> None:
    """The states that rule D7 counts as unsent are those whose table lists the event."""
    assert {state for state in DeliveryState if DeliveryEvent.SUPERSEDED in DELIVERY[state]} == WAITING


def test_a_list_is_in_effect_until_it_ended_without_being_sent() -> None:
    """Rule D4 counts neither what failed nor what was given up."""
    assert set(DeliveryState) - IN_EFFECT == {
        DeliveryState.FAILED,
        DeliveryState.SUPERSEDED,
        DeliveryState.DUPLICATED,
        DeliveryState.DISCARDED,
    }


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(1, 30), (2, 60), (3, 120), (4, 240), (5, 480), (6, 900), (7, 900), (10_000, 900)]
)
def test_the_delay_doubles_up_to_its_ceiling(attempts: int, seconds: int) -> None:
    """From half a minute to a quarter of an hour, for whatever number of attempts."""
    assert retry_delay(attempts, 0.999_999).total_seconds() == pytest.approx(seconds, rel=1e-5)


@pytest.mark.parametrize("attempts", [1, 4, 20])
def test_jitter_spreads_the_delay_over_its_upper_half(attempts: int) -> None:
    """The least jitter halves the delay, the most leaves it whole, and half of it lies between."""
    least, middle, most = (retry_delay(attempts, jitter) for jitter in (0.0, 0.5, 1.0))
    assert (least, middle) == (most / 2, most * 0.75)


def test_the_delays_stay_within_their_bounds() -> None:
    """No attempt waits less than half the first delay or more than the longest."""
    delays = [retry_delay(attempts, jitter / 10) for attempts in range(1, 30) for jitter in range(10)]
    assert min(delays) == FIRST_RETRY / 2 == timedelta(seconds=15)
    assert max(delays) <= LONGEST_RETRY
