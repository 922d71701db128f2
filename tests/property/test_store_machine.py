"""Lifecycle and store under any sequence of exports, attempts, decisions and restarts."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final, Literal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from parts.books import Books, cuts_of, draft, report

from relay.guards import GuardPolicy
from relay.intake.plan import plan
from relay.lifecycle import BIRTHS, DELIVERY, DeliveryEvent, IllegalTransitionError
from relay.log import Event
from relay.model import Cut, Delivery, DeliveryState, RelayError, Transition
from relay.naming import names_in_a_row
from relay.store.segments import IN_LINE


@dataclass(frozen=True)
class List:
    """One list that is to come: what is in it, when it comes, and how the route is set."""

    segment: str
    content: str
    rows: int
    same_day: Literal["hold", "send", "supersede"]
    comes_after: timedelta
    arrivals_before: int
    files: int


SEGMENTS: Final = ("VIP", "VIP", "VIP", "New")
CONTENTS: Final = ("A", "B", "C")
ROWS: Final = (900, 900, 1000, 1000, 20, 0)
SAME_DAY: Final[tuple[Literal["hold", "send", "supersede"], ...]] = ("send", "send", "hold", "supersede")
COMES_AFTER: Final = (timedelta(seconds=1), timedelta(minutes=11), timedelta(days=1))
ARRIVALS_BEFORE: Final = (0, 0, 0, 1, 3)
SET_BACK: Final = (timedelta(seconds=30), timedelta(hours=1), timedelta(days=1))

FILES: Final = (1, 1, 2, 3)

LISTS: Final = st.builds(
    List,
    segment=st.sampled_from(SEGMENTS),
    content=st.sampled_from(CONTENTS),
    rows=st.sampled_from(ROWS),
    same_day=st.sampled_from(SAME_DAY),
    comes_after=st.sampled_from(COMES_AFTER),
    arrivals_before=st.sampled_from(ARRIVALS_BEFORE),
    files=st.sampled_from(FILES),
)


def any_list(random: Random) -> List:
    """One of `LISTS`, each as likely as the other."""
    return List(
        segment=random.choice(SEGMENTS),
        content=random.choice(CONTENTS),
        rows=random.choice(ROWS),
        same_day=random.choice(SAME_DAY),
        comes_after=random.choice(COMES_AFTER),
        arrivals_before=random.choice(ARRIVALS_BEFORE),
        files=random.choice(FILES),
    )


WAITS: Final = (timedelta(seconds=20), timedelta(minutes=11), timedelta(days=1), timedelta(days=2))
ANY: Final = st.integers(min_value=0, max_value=10_000)

IN_MEMORY: Final = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  each has a directory of its own
"""Thousands of transactions, and nobody cuts the power: no disk needs to be waited for."""

OUTCOMES: Final = (DeliveryEvent.SENT, DeliveryEvent.DEFERRED, DeliveryEvent.FAILED)
DECISIONS: Final = (DeliveryEvent.HELD, DeliveryEvent.RELEASED, DeliveryEvent.DISCARDED, DeliveryEvent.REQUEUED)

EVENTS: Final = {event: Event(f"delivery.{'sending' if event == 'claimed' else event}") for event in DeliveryEvent}
BY_LINE: Final = {line: event for event, line in EVENTS.items()}


@cache
def empty_database() -> bytes:
    """The bytes of a migrated database, so that not every example has to migrate one."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "relay.db"
        Books(path).store.close()
        return path.read_bytes()


class StoreMachine(RuleBasedStateMachine):
    """Exports come, attempts end one way or another, a person decides, time goes by, and the relay is restarted."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory(dir=IN_MEMORY)
        path = Path(self.directory.name) / "relay.db"
        path.write_bytes(empty_database())
        self.books = Books(path)
        self.names: dict[str, list[str]] = {}
        """The names that each delivery was first seen with."""
        self.told: list[Transition] = []

    def teardown(self) -> None:
        """Remove the database."""
        self.books.store.close()
        self.directory.cleanup()

    # What happens

    @initialize(lists=st.lists(LISTS, min_size=2, max_size=5))
    def the_first_exports_come(self, lists: list[List]) -> None:
        """There is something to send from the beginning."""
        for it in lists:
            self.export_comes(it)

    @rule(it=LISTS)
    def another_export_comes(self, it: List) -> None:
        """And more all the time."""
        self.export_comes(it)

    @rule(by=st.sampled_from(WAITS))
    def time_goes_by(self, by: timedelta) -> None:
        """Lists become due, and dates change."""
        self.books.wait(by)

    @rule(by=st.sampled_from(SET_BACK))
    def clock_is_set_back(self, by: timedelta) -> None:
        """Nothing is older or newer for it."""
        self.books.wait(-by)

    @rule(outcomes=st.lists(st.sampled_from([DeliveryEvent.SENT, *OUTCOMES, None]), min_size=1, max_size=4))
    def outbox_works(self, outcomes: list[DeliveryEvent | None]) -> None:
        """Whatever is due is claimed, if it is its turn; its attempt ends at once, or goes on."""
        for outcome in outcomes:
            claimed = self.books.claim()
            if claimed is None:
                return
            assert claimed.remote_name is not None
            assert claimed.counts.rows_out > 0
            assert claimed.stale_at > self.books.now
            if outcome is not None:
                self.files_go_out(claimed, 2 if outcome is DeliveryEvent.SENT else 1)
                self.verb(outcome)(self.books.look(claimed))

    @precondition(lambda self: self.in_state(DeliveryState.SENDING))
    @rule(which=ANY, outcome=st.sampled_from(OUTCOMES))
    def attempt_ends(self, which: int, outcome: DeliveryEvent) -> None:
        """One of the attempts in hand ends."""
        sending = self.in_state(DeliveryState.SENDING)
        ending = sending[which % len(sending)]
        self.files_go_out(ending, 2 if outcome is DeliveryEvent.SENT else which % 3)
        self.verb(outcome)(self.books.look(ending))

    @rule()
    def stale_lists_are_held(self) -> None:
        """Afterwards nothing that waits for its turn is stale."""
        held = self.books.store.hold_stale(self.books.now)
        assert all(self.books.store.delivery(it).state is DeliveryState.HELD for it in held)  # type: ignore[union-attr]
        waiting = self.in_state(DeliveryState.QUEUED) + self.in_state(DeliveryState.DEFERRED)
        assert all(it.stale_at > self.books.now for it in waiting)

    @precondition(lambda self: self.books.store.deliveries(limit=1))
    @rule(which=ANY, decision=st.sampled_from(DECISIONS))
    def person_decides(self, which: int, decision: DeliveryEvent) -> None:
        """A decision is followed, or refused without changing anything."""
        possible = [it for it in self.books.store.deliveries() if decision in DELIVERY[it.state]]
        delivery = possible[which % len(possible)] if possible else self.any_delivery(which)
        if not self.refused(RelayError, lambda: self.verb(decision)(delivery)):
            assert decision in DELIVERY[delivery.state]

    @precondition(lambda self: self.books.store.deliveries(limit=1))
    @rule(which=ANY, outcome=st.sampled_from(OUTCOMES))
    def outcome_comes_too_late(self, which: int, outcome: DeliveryEvent) -> None:
        """What is not being sent has no outcome: reporting one raises and changes nothing."""
        delivery = self.any_delivery(which)
        if delivery.state is not DeliveryState.SENDING:
            given = replace(delivery, remote_name=delivery.remote_name or "a name that it never had")
            assert self.refused(IllegalTransitionError, lambda: self.verb(outcome)(given))

    @rule()
    def relay_restarts(self) -> None:
        """The database is opened again, as after a kill, and every claim taken back."""
        before = self.everything()
        self.books.reopen()
        assert self.everything() == before
        self.books.store.recover(self.books.now, everything=True)
        assert self.in_state(DeliveryState.SENDING) == []

    # What holds at any time

    @invariant()
    def everything_is_in_order(self) -> None:
        """Look once, and at everything."""
        deliveries, history = self.books.store.deliveries(), self.history()
        every_delivery_is_where_its_history_leads(deliveries, history)
        names = {it.id: self.names_of(it) for it in deliveries}
        names_are_unique_and_for_good(deliveries, names, self.names)
        files_are_sent_in_order_and_a_list_when_all_of_them_are(deliveries, self.books)
        numbers_are_given_once(history)
        one_list_of_a_segment_is_sent_at_a_time(deliveries)
        no_older_list_is_sent_after_a_newer_one(deliveries, history)
        nothing_waits_behind_a_newer_list_of_another_date(deliveries)
        no_list_without_rows_is_in_line(deliveries)

    # Aids

    def something_happens(self, random: Random) -> None:
        """One of the rules, chosen so that lists get far."""
        match random.choices(
            ("export", "outbox", "attempt", "person", "time", "clock", "stale", "restart"), (5, 4, 2, 4, 2, 1, 1, 1)
        ):
            case ["export"]:
                self.export_comes(any_list(random))
            case ["outbox"]:
                self.outbox_works(random.choices((DeliveryEvent.SENT, *OUTCOMES, None), k=2))
            case ["attempt"] if self.in_state(DeliveryState.SENDING):
                self.attempt_ends(random.randrange(100), random.choice(OUTCOMES))
            case ["person"] if self.books.store.deliveries(limit=1):
                self.person_decides(random.randrange(100), random.choice(DECISIONS))
            case ["time"]:
                self.books.wait(random.choice(WAITS))
            case ["clock"]:
                self.clock_is_set_back(random.choice(SET_BACK))
            case ["stale"]:
                self.stale_lists_are_held()
            case ["restart"]:
                self.relay_restarts()

    def export_comes(self, it: List) -> None:
        """An export is received, judged by the real planning and accepted; some come late, behind newer ones."""
        self.books.wait(it.comes_after)
        rewritten = draft(segment=it.segment, content=it.content if it.rows else "", rows=it.rows)
        policy = GuardPolicy(same_day=it.same_day, max_rejected=1, max_empty=1)
        export = self.books.receive(content=it.content)
        last_arrival = max(1, self.books.store.next_arrival() - 1 - it.arrivals_before)
        self.books.accept(
            export,
            rewritten,
            last_arrival=last_arrival,
            cuts=cut_into(it.files, it.rows),
            plan=lambda _, history: plan(rewritten, report(rewritten), history, last_arrival, self.books.today, policy),
        )

    def files_go_out(self, delivery: Delivery, most: int) -> None:
        """So many of a list's files are sent, but never the last: that is for the end of the attempt."""
        for _ in range(min(most, delivery.files - delivery.files_sent - 1)):
            self.books.send_slice(self.books.look(delivery))

    def names_of(self, delivery: Delivery) -> list[str]:
        """The names of all files that a list goes out as; none before it was queued."""
        if delivery.remote_name is None:
            return []
        return [it.remote_name for it in self.books.store.slices(delivery.id)] or [delivery.remote_name]

    def in_state(self, state: DeliveryState) -> list[Delivery]:
        """The deliveries in this state."""
        return self.books.store.deliveries(state=state)

    def any_delivery(self, which: int) -> Delivery:
        """One of the deliveries."""
        deliveries = self.books.store.deliveries()
        return deliveries[which % len(deliveries)]

    def history(self) -> list[Transition]:
        """Every transition so far, in order, followed as the daemon follows it for its log."""
        while new := self.books.store.unlogged():
            self.told += new
            self.books.store.logged(new[-1].seq)
        return self.told

    def everything(self) -> object:
        """All that a verb could change."""
        store = self.books.store
        return store.deliveries(), store.exports(), store.arrivals(), len(self.history())

    def refused(self, error: type[Exception], attempt: Callable[[], object]) -> bool:
        """Make an attempt and say whether it was refused; if so, it has changed nothing."""
        before = self.everything()
        try:
            attempt()
        except error:
            assert self.everything() == before
            return True
        return False

    def verb(self, event: DeliveryEvent) -> Callable[[Delivery], object]:
        """What makes this event happen."""
        return {
            DeliveryEvent.SENT: self.books.send,
            DeliveryEvent.DEFERRED: self.books.defer,
            DeliveryEvent.FAILED: self.books.fail,
            DeliveryEvent.HELD: self.books.hold,
            DeliveryEvent.RELEASED: self.books.release,
            DeliveryEvent.DISCARDED: self.books.discard,
            DeliveryEvent.REQUEUED: self.books.requeue,
        }[event]


def every_delivery_is_where_its_history_leads(deliveries: list[Delivery], history: list[Transition]) -> None:
    """It began as one may begin, each event was legal, and the last one led to its state."""
    states: dict[str, DeliveryState] = {}
    for transition in history:
        if not transition.event.startswith("delivery."):
            continue
        if transition.subject in states:
            assert transition.from_state == states[transition.subject]
            row = DELIVERY[states[transition.subject]]
            assert transition.to_state == row[BY_LINE[Event(transition.event)]]
        else:
            assert transition.from_state is None
            assert transition.to_state in BIRTHS[DeliveryState]
        states[transition.subject] = DeliveryState(transition.to_state)
    assert states == {it.id: it.state for it in deliveries}


def cut_into(files: int, rows: int) -> list[Cut]:
    """How a list is cut that goes out as so many files; one file needs no cut."""
    return cuts_of(*[rows // files] * files) if files > 1 and rows else []


def names_are_unique_and_for_good(
    deliveries: list[Delivery], names: dict[str, list[str]], before: dict[str, list[str]]
) -> None:
    """What has names keeps them, nothing else ever has one of them, and without a name nothing goes out (rule D1)."""
    named = {it: given for it, given in names.items() if given}
    every = [name for given in named.values() for name in given]
    assert len(set(every)) == len(every)
    assert all(named[it] == given for it, given in before.items())
    assert all(it.id in named for it in deliveries if it.state in IN_LINE)
    before.update(named)


def files_are_sent_in_order_and_a_list_when_all_of_them_are(deliveries: list[Delivery], books: Books) -> None:
    """Of the files of a list, the first so many are sent; all of them if and only if the list is (rule D13)."""
    for it in deliveries:
        assert (it.files_sent == it.files) == (it.state is DeliveryState.SENT)
        slices = books.store.slices(it.id)
        assert len(slices) == (it.files if it.files > 1 else 0)
        assert [bool(of.sent_at) for of in slices] == [number < it.files_sent for number in range(len(slices))]


def numbers_are_given_once(history: list[Transition]) -> None:
    """The numbers of a date are given from 1, in ascending order (rules A2 and D3)."""
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    for transition in history:
        if transition.event in {"delivery.queued", "delivery.released"}:
            for name in names_in_a_row(transition.fields["remote_name"], transition.fields.get("slices", 1)):
                _, day, number = name.removesuffix(".csv").rsplit("_", 2)
                if int(number) not in numbers[day]:
                    numbers[day].append(int(number))
    assert all(given == list(range(1, len(given) + 1)) for given in numbers.values())


def one_list_of_a_segment_is_sent_at_a_time(deliveries: list[Delivery]) -> None:
    """Rule D8."""
    sending = [it.segment for it in deliveries if it.state is DeliveryState.SENDING]
    assert len(sending) == len(set(sending))


def no_older_list_is_sent_after_a_newer_one(deliveries: list[Delivery], history: list[Transition]) -> None:
    """Per segment, lists are sent in the order in which they came (rules D7 and D8)."""
    came = {it.id: it.last_arrival for it in deliveries}
    last: dict[str, int] = {}
    for transition in history:
        if transition.event == "delivery.sent":
            segment = transition.fields["segment"]
            assert came[transition.subject] >= last.get(segment, 0)
            last[segment] = came[transition.subject]


def nothing_waits_behind_a_newer_list_of_another_date(deliveries: list[Delivery]) -> None:
    """A list that was overtaken is superseded or in a person's hands, never about to be sent (rule D7)."""
    in_line = [it for it in deliveries if it.state in IN_LINE]
    for waiting in in_line:
        if waiting.state in {DeliveryState.QUEUED, DeliveryState.DEFERRED}:
            assert not [
                newer
                for newer in in_line
                if newer.segment == waiting.segment
                and newer.last_arrival > waiting.last_arrival
                and newer.list_date != waiting.list_date
            ]


def no_list_without_rows_is_in_line(deliveries: list[Delivery]) -> None:
    """Rule A9."""
    assert all(it.counts.rows_out > 0 for it in deliveries if it.state in IN_LINE)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=settings().max_examples // 4, stateful_step_count=30)


@pytest.mark.parametrize("seed", range(settings().max_examples // 10))
def test_long_lives_stay_in_order(seed: int) -> None:
    """What holds for the short and simple lives that hypothesis prefers holds for long and mixed ones."""
    random, machine = Random(seed), StoreMachine()
    try:
        for _ in range(80):
            machine.something_happens(random)
            machine.everything_is_in_order()
    finally:
        machine.teardown()
