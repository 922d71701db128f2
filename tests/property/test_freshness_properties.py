"""Freshness under every clock and every history: each date gets its verdicts, once, in order, in time."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parts.books import START, Books, draft

from relay.freshness import Expectation

MINUTE = timedelta(minutes=1)
LOOK_EVERY = 120 * MINUTE
_MINUTES = 3 * 1440
_ROUTES = itertools.count()
ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Chatham")
# A few days around clock changes of these zones, and an ordinary week.
STARTS = ("2026-03-06", "2026-03-27", "2026-04-03", "2026-10-02", "2026-10-23", "2026-10-30", "2026-06-01")
ORDERS = (["ok"], ["late", "ok"], ["late", "missing"], ["late", "missing", "ok"], ["missing"], ["missing", "ok"])


@dataclass(frozen=True)
class Said:
    """One verdict on the route as a whole."""

    day: date
    verdict: str
    at: datetime


@st.composite
def histories(draw: st.DrawFn) -> tuple[Expectation, datetime, list[int], tuple[int, int]]:
    """An expectation, where time starts, after how many minutes lists are sent, and when the service is down."""
    zone = ZoneInfo(draw(st.sampled_from(ZONES)))
    by = time(draw(st.integers(0, 23)), draw(st.sampled_from((0, 10, 30, 50))))
    grace = draw(st.sampled_from((10, 60, 120, 720))) * MINUTE
    start = datetime.combine(date.fromisoformat(draw(st.sampled_from(STARTS))), START.timetz())
    sends = sorted(draw(st.lists(st.integers(0, _MINUTES), max_size=4)))
    down_from = draw(st.integers(0, _MINUTES))
    return (
        Expectation(by, grace, zone),
        start,
        sends,
        (down_from, down_from + draw(st.sampled_from((0, 60, 900, 3000)))),
    )


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    """One store for all lives: each has a route of its own, so that none sees another."""
    with Books(tmp_path_factory.mktemp("state") / "relay.db") as books:
        yield books


def live(
    books: Books, expectation: Expectation, start: datetime, sends: Sequence[int], down: tuple[int, int]
) -> tuple[list[Said], list[datetime]]:
    """Let three days go by on a new route; return what was said of it as a whole, and when lists were sent."""
    route, waiting, sent_at = f"route-{next(_ROUTES)}", list(sends), []
    for minute in range(0, _MINUTES, LOOK_EVERY // MINUTE):
        while waiting and waiting[0] <= minute:
            books.now = start + waiting.pop(0) * MINUTE
            books.accept(books.receive(route=route), draft())
            claimed = books.claim()
            assert claimed is not None
            books.send(claimed)
            sent_at.append(books.now)
        books.now = start + minute * MINUTE
        if not down[0] <= minute < down[1]:
            books.store.judge_freshness(route, expectation, books.now)
    history = books.store.transitions(f"freshness/{route}")
    return [Said(date.fromisoformat(it.fields["list_date"]), it.to_state, it.at) for it in history], sent_at


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(histories())
def test_each_date_has_its_verdicts_once_and_in_order(
    books: Books,
    history: tuple[Expectation, datetime, list[int], tuple[int, int]],
) -> None:
    """Whatever is sent when, and however long the service is down: none before its deadline, none twice (rule W2)."""
    expectation, *_ = history
    said, _ = live(books, *history)
    by_day: dict[date, list[str]] = defaultdict(list)
    for it in said:
        by_day[it.day].append(it.verdict)
        assert it.at >= expectation.deadline(it.day)
    for verdicts in by_day.values():
        assert verdicts in ORDERS or verdicts == ["late"]


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(histories())
def test_each_deadline_is_answered_at_the_next_look_and_rightly(
    books: Books,
    history: tuple[Expectation, datetime, list[int], tuple[int, int]],
) -> None:
    """No date is left out, also where nothing ever happened; ok exactly where a list went out in its window."""
    expectation, start, sends, _ = history
    said, sent_at = live(books, expectation, start, sends, (0, 0))
    first = {it.day: it for it in reversed(said)}
    day = expectation.due(start) + timedelta(days=1)
    while (deadline := expectation.deadline(day)) <= books.now:
        since, _ = expectation.window(day)
        answer = first.pop(day)
        assert answer.at - deadline < LOOK_EVERY
        if any(since < at <= answer.at for at in sent_at):
            assert answer.verdict == "ok"
        else:
            assert answer.verdict == ("late" if answer.at < deadline + expectation.grace else "missing")
        day += timedelta(days=1)
    assert not first
