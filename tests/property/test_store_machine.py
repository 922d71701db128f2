"""Lifecycle and store under any sequence of exports, attempts, decisions and restarts."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from parts.books import START, Books, draft, report

from relay.guards import GuardPolicy
from relay.intake.plan import plan
from relay.lifecycle import BIRTHS, DELIVERY, DeliveryEvent, IllegalTransitionError
from relay.log import Event
from relay.model import Delivery, DeliveryState, RelayError
from relay.store.segments import IN_LINE

SEGMENTS: Final = st.sampled_from(["VIP", "New"])
CONTENTS: Final = st.sampled_from(["A", "B", "C"])
ROWS: Final = st.sampled_from([0, 20, 900, 1000])
WAITS: Final = st.sampled_from([timedelta(seconds=20), timedelta(minutes=11), timedelta(hours=7), timedelta(days=1)])
SAME_DAY: Final = st.sampled_from(["hold", "send", "supersede"])
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
        self.names: dict[str, str] = {}
        """The name that each delivery was first seen with."""

    def teardown(self) -> None:
        """Remove the database."""
        self.books.store.close()
        self.directory.cleanup()

    # What happens

    @rule(
        contents=st.dictionaries(SEGMENTS, st.tuples(CONTENTS, ROWS), min_size=1),
        same_day=SAME_DAY,
        late=st.sampled_from([timedelta(0), timedelta(0), timedelta(0), timedelta(hours=3), timedelta(days=2)]),
    )
    def export_comes(
        self,
        contents: dict[str, tuple[str, int]],
        same_day: Literal["hold", "send", "supersede"],
        late: timedelta,
    ) -> None:
        """An export is received, judged by the real planning and accepted; some landed long ago."""
        drafts = [
            draft(ordinal, segment=segment, content=content if rows else "", rows=rows)
            for ordinal, (segment, (content, rows)) in enumerate(contents.items(), start=1)
        ]
        landed_at = max(START, self.books.now - late)
        policy = GuardPolicy(same_day=same_day, max_rejected=1, max_empty=1)
        self.books.accept(
            self.books.receive(content=str(contents)),
            *drafts,
            landed_at=landed_at,
            plan=lambda it, history: plan(it, report(*drafts), history, landed_at, self.books.today, policy),
        )

    @rule(by=WAITS)
    def time_goes_by(self, by: timedelta) -> None:
        """Lists become due, and dates change."""
        self.books.wait(by)

    @rule()
    def outbox_claims(self) -> None:
        """Whatever is due is claimed, if it is its turn."""
        claimed = self.books.claim()
        if claimed is not None:
            assert claimed.remote_name is not None
            assert claimed.counts.rows_out > 0
            assert claimed.stale_at > self.books.now

    @precondition(lambda self: self.in_state(DeliveryState.SENDING))
    @rule(which=ANY, outcome=st.sampled_from(OUTCOMES))
    def attempt_ends(self, which: int, outcome: DeliveryEvent) -> None:
        """One of the attempts in hand ends."""
        sending = self.in_state(DeliveryState.SENDING)
        self.verb(outcome)(sending[which % len(sending)])

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
        delivery = self.any_delivery(which)
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
    def every_delivery_is_where_its_history_leads(self) -> None:
        """It began as one may begin, each event was legal, and the last one led to its state."""
        for delivery in self.books.store.deliveries():
            birth, *moves = self.books.store.transitions(delivery.id)
            assert birth.from_state is None
            assert birth.to_state in BIRTHS[DeliveryState]
            state = DeliveryState(birth.to_state)
            for move in moves:
                assert move.from_state == state
                state = DELIVERY[state][BY_LINE[Event(move.event)]]
                assert move.to_state == state
            assert delivery.state is state

    @invariant()
    def names_are_unique_and_for_good(self) -> None:
        """What has a name keeps it, nothing else ever has it, and without a name nothing goes out (rule D1)."""
        deliveries = self.books.store.deliveries()
        named = {it.id: it.remote_name for it in deliveries if it.remote_name is not None}
        assert len(set(named.values())) == len(named)
        assert self.names.items() <= named.items()
        self.names = named
        assert all(it.id in named for it in deliveries if it.state in IN_LINE)

    @invariant()
    def numbers_have_no_rival(self) -> None:
        """The numbers of a date were given in ascending order, from 1, each once (rules A2 and D3)."""
        numbers: defaultdict[str, list[int]] = defaultdict(list)
        for transition in self.history():
            if transition.event in {"delivery.queued", "delivery.released"}:
                name = transition.fields["remote_name"]
                _, day, number = name.removesuffix(".csv").rsplit("_", 2)
                if int(number) not in numbers[day]:
                    numbers[day].append(int(number))
        assert all(given == list(range(1, len(given) + 1)) for given in numbers.values())

    @invariant()
    def one_list_of_a_segment_is_sent_at_a_time(self) -> None:
        """Rule D8."""
        sending = [it.segment for it in self.in_state(DeliveryState.SENDING)]
        assert len(sending) == len(set(sending))

    @invariant()
    def no_older_list_is_sent_after_a_newer_one(self) -> None:
        """Per segment, lists are sent in the order in which they landed (rules D7 and D8)."""
        landed = {it.id: it.landed_at for it in self.books.store.deliveries()}
        last = dict.fromkeys(("VIP", "New"), START)
        for transition in self.history():
            if transition.event == "delivery.sent":
                segment, landed_at = transition.fields["segment"], landed[transition.subject]
                assert landed_at >= last[segment]
                last[segment] = landed_at

    @invariant()
    def nothing_waits_behind_the_list_of_a_later_date(self) -> None:
        """A list that was overtaken is superseded or in a person's hands, never about to be sent (rule D7)."""
        in_line = [it for it in self.books.store.deliveries() if it.state in IN_LINE]
        for waiting in in_line:
            if waiting.state in {DeliveryState.QUEUED, DeliveryState.DEFERRED}:
                assert not [
                    newer
                    for newer in in_line
                    if newer.segment == waiting.segment
                    and newer.landed_at > waiting.landed_at
                    and newer.list_date > waiting.list_date
                ]

    @invariant()
    def no_list_without_rows_is_in_line(self) -> None:
        """Rule A9."""
        assert all(it.counts.rows_out > 0 for it in self.books.store.deliveries() if it.state in IN_LINE)

    # Aids

    def in_state(self, state: DeliveryState) -> list[Delivery]:
        """The deliveries in this state."""
        return self.books.store.deliveries(state=state)

    def any_delivery(self, which: int) -> Delivery:
        """One of the deliveries."""
        deliveries = self.books.store.deliveries()
        return deliveries[which % len(deliveries)]

    def history(self) -> Iterator[Any]:
        """Every transition so far, in order."""
        return iter(self.books.store.unlogged(limit=100_000))

    def everything(self) -> object:
        """All that a verb could change."""
        store = self.books.store
        return store.deliveries(), store.exports(), store.arrivals(), list(self.history())

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


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=settings().max_examples // 4, stateful_step_count=40)
