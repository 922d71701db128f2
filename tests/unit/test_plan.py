"""What becomes of one rewritten list."""

from datetime import date, timedelta

import pytest

from relay.guards import Earlier, GuardPolicy, History
from relay.intake.plan import plan
from relay.model import (
    DeliveryState,
    Draft,
    Duplicate,
    Hold,
    HoldReason,
    Overtaken,
    Queue,
    Report,
    SegmentCounts,
    Skip,
    Verdict,
)

TODAY = date(2026, 11, 23)
YESTERDAY = TODAY - timedelta(days=1)
ARRIVAL = 17
POLICY = GuardPolicy()


def draft(rows: int = 1000, sha256: str = "today") -> Draft:
    """A draft with `rows` rows of good numbers."""
    counts = SegmentCounts(rows_in=rows, rows_out=rows)
    return Draft(1, "VIP", counts, "1.csv" if rows else None, rows * 15, sha256)


def earlier(
    *,
    state: DeliveryState = DeliveryState.SENT,
    list_date: date = TODAY,
    sha256: str = "today",
    last_arrival: int = ARRIVAL - 1,
) -> Earlier:
    """A list of the same segment that came before."""
    return Earlier("other.1", state, list_date, last_arrival, sha256, None)


def verdict_on(it: Draft, history: History, policy: GuardPolicy = POLICY) -> Verdict:
    """Plan `it` as the only draft of its export."""
    report = Report((it,), SegmentCounts(), {}, {}, 0, {})
    return plan(it, report, history, ARRIVAL, TODAY, policy)


def test_a_new_segment_is_queued() -> None:
    """A list that nothing speaks against goes out."""
    assert verdict_on(draft(), History(None)) == Queue()


def test_the_same_list_the_next_day_is_the_daily_refresh() -> None:
    """Equal content on a later date is queued, not a duplicate (rule D6)."""
    assert verdict_on(draft(), History(1000, [earlier(list_date=YESTERDAY)])) == Queue()


@pytest.mark.parametrize("state", [DeliveryState.QUEUED, DeliveryState.HELD, DeliveryState.SENDING, DeliveryState.SENT])
def test_the_same_list_on_the_same_date_is_a_duplicate(state: DeliveryState) -> None:
    """Equal content on one date sends nothing, wherever the first one stands (rule D4)."""
    assert verdict_on(draft(), History(1000, [earlier(state=state)])) == Duplicate("other.1")


def test_the_first_list_again_after_a_different_one_is_a_change() -> None:
    """Content that another sent list has replaced since is held, not called a duplicate (rule D4)."""
    history = History(1000, [earlier(sha256="second"), earlier(sha256="today")])
    verdict = verdict_on(draft(), history)
    assert isinstance(verdict, Hold)
    assert verdict.reason is HoldReason.SAME_DAY


def test_the_list_in_effect_is_recognised_behind_a_held_one() -> None:
    """A held list in between does not hide that the one in effect is the same (rule D4)."""
    history = History(1000, [earlier(state=DeliveryState.HELD, sha256="second"), earlier(sha256="today")])
    assert verdict_on(draft(), history) == Duplicate("other.1")


def test_other_content_on_the_same_date_names_the_other() -> None:
    """A second, different list is held and says which one stands in its way (rule D5)."""
    verdict = verdict_on(draft(), History(1000, [earlier(sha256="first")]))
    assert isinstance(verdict, Hold)
    assert verdict.reason is HoldReason.SAME_DAY
    assert "other.1" in verdict.detail


@pytest.mark.parametrize(("same_day", "replaces"), [("send", False), ("supersede", True)])
def test_the_route_may_let_a_second_list_go(same_day: str, *, replaces: bool) -> None:
    """`same_day` sends both, or replaces what is unsent (rule D5)."""
    policy = GuardPolicy.model_validate({"same_day": same_day})
    history = History(1000, [earlier(sha256="first")])
    assert verdict_on(draft(), history, policy) == Queue(replace_same_day=replaces)


def test_a_list_that_came_before_a_sent_one_is_overtaken() -> None:
    """An export that is put right late does not follow the newer list (rule D7)."""
    later = earlier(sha256="newer", last_arrival=ARRIVAL + 1)
    assert verdict_on(draft(), History(1000, [later])) == Overtaken("other.1")


def test_a_held_list_overtakes_nothing() -> None:
    """A newer list that waits for a person may yet be wrong, so it stands in nobody's way (rule D7)."""
    later = earlier(
        state=DeliveryState.HELD,
        sha256="newer",
        list_date=TODAY + timedelta(days=1),
        last_arrival=ARRIVAL + 1,
    )
    assert verdict_on(draft(), History(1000, [later])) == Queue()


def test_no_row_left_of_a_sent_segment_is_held() -> None:
    """A file cannot empty a segment, so a person decides (rules A9 and G2)."""
    verdict = verdict_on(draft(rows=0), History(1000))
    assert isinstance(verdict, Hold)
    assert verdict.reason is HoldReason.EMPTY


def test_no_row_left_of_an_unknown_segment_is_only_reported() -> None:
    """There is nothing to send and nothing to protect (rule G2)."""
    assert verdict_on(draft(rows=0), History(None)) == Skip()


def test_a_list_that_grew_somewhat_is_queued_with_a_warning() -> None:
    """It goes out, and the log says how much it grew (rule G9)."""
    verdict = verdict_on(draft(rows=3_000), History(1_000))
    assert verdict == Queue(growth="3,000 rows, last sent 1,000, 3.0 times as many, held above 10 times")
