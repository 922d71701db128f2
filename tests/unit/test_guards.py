"""When a list is held: every guard at, below and above its bounds."""

from datetime import date, timedelta
from typing import Literal

import pytest
from pydantic import ValidationError

from relay.guards import Earlier, GuardPolicy, History, find_twin, growth, judge
from relay.model import DeliveryState, Draft, Hold, HoldReason, Overlap, Report, SegmentCounts

TODAY = date(2026, 11, 23)
YESTERDAY = TODAY - timedelta(days=1)
ARRIVAL = 17
NEVER_SENT = History(None)


def earlier(
    state: DeliveryState = DeliveryState.SENT,
    *,
    sha256: str = "other",
    list_date: date = TODAY,
    last_arrival: int = ARRIVAL,
    delivery_id: str = "before.1",
    remote_name: str | None = None,
) -> Earlier:
    """A list of the same segment that came before."""
    return Earlier(delivery_id, state, list_date, last_arrival, sha256, remote_name)


def draft(
    rows: int = 1000, *, rejected: int = 0, empty: int = 0, suspect: int = 0, rows_in: int | None = None
) -> Draft:
    """A list with these counts; what is not told apart are rows to send."""
    counts = SegmentCounts(
        rows_in=rows + rejected + empty if rows_in is None else rows_in,
        rows_out=rows,
        rejected=rejected,
        empty=empty,
        suspect=suspect,
    )
    return Draft(1, "VIP", counts, "1.csv" if rows else None, rows * 15, "this")


def held(
    it: Draft,
    history: History = NEVER_SENT,
    *,
    unattributed: SegmentCounts | None = None,
    policy: GuardPolicy | None = None,
) -> HoldReason | None:
    """Why `it` is held as the only list of its export, None if it is not."""
    hold = judged(it, history, unattributed=unattributed, policy=policy)
    return None if hold is None else hold.reason


def judged(
    it: Draft,
    history: History = NEVER_SENT,
    *,
    unattributed: SegmentCounts | None = None,
    policy: GuardPolicy | None = None,
) -> Hold | None:
    """What the guards say of `it` as the only list of its export."""
    report = Report((it,), unattributed or SegmentCounts(), {}, {}, 0, {})
    return judge(it, report, history, TODAY, policy or GuardPolicy())


def test_a_plain_list_is_not_held() -> None:
    """Nothing speaks against a new segment's clean list."""
    assert held(draft()) is None


def test_the_specifications_sample_is_not_held() -> None:
    """Two rows of suspect numbers are below the number of rows from which ratios are judged."""
    assert held(draft(2, suspect=2)) is None


@pytest.mark.parametrize(("last", "rows", "reason"), [(1000, 500, None), (1000, 499, HoldReason.SHRUNK)])
def test_shrunk_begins_below_half_of_what_was_sent(last: int, rows: int, reason: HoldReason | None) -> None:
    """Half is enough, one row fewer is not (guard G1)."""
    assert held(draft(rows), History(last)) is reason


@pytest.mark.parametrize(("last", "reason"), [(99, None), (100, HoldReason.SHRUNK)])
def test_shrunk_counts_the_rows_last_sent(last: int, reason: HoldReason | None) -> None:
    """A segment that was small may do what it likes; a campaign test against a large one is held."""
    assert held(draft(20), History(last)) is reason


def test_a_small_sample_against_a_large_segment_is_held_with_its_figures() -> None:
    """The operator reads how small, against what, and what the limit is."""
    hold = judged(draft(20), History(48_000))
    assert hold is not None
    assert hold.detail == "20 rows, last sent 48,000, −100.0 %, limit −50.0 %"
    assert "`relay release`" in hold.hint


@pytest.mark.parametrize(("max_shrink", "reason"), [(0.8, None), (0.79, HoldReason.SHRUNK), (1.0, None)])
def test_shrunk_follows_its_setting(max_shrink: float, reason: HoldReason | None) -> None:
    """A fifth of the rows is allowed from `max_shrink = 0.8` on."""
    assert held(draft(200), History(1000), policy=GuardPolicy(max_shrink=max_shrink)) is reason


def test_a_list_without_rows_is_always_held() -> None:
    """No setting sends a file without rows (rule A9, guard G2)."""
    anything_goes = GuardPolicy(max_shrink=1, max_rejected=1, max_empty=1, max_suspect=1, same_day="send")
    assert held(draft(0, rejected=3), History(5), policy=anything_goes) is HoldReason.EMPTY


def test_an_empty_list_says_what_was_there() -> None:
    """Rows read, and rows last sent."""
    hold = judged(draft(0, rejected=3), History(1200))
    assert hold is not None
    assert hold.detail == "no row of 3 is left to send, last sent 1,200"


@pytest.mark.parametrize(("rows", "reason"), [(500_000, None), (500_001, HoldReason.OVERSIZE)])
def test_oversize_begins_above_what_attentive_takes(rows: int, reason: HoldReason | None) -> None:
    """Half a million rows are one file, one more are not (rule A8, guard G5)."""
    assert held(draft(rows)) is reason


@pytest.mark.parametrize(("rejected", "reason"), [(50, None), (51, HoldReason.REJECTED_ROWS)])
def test_rejected_rows_are_counted_per_segment(rejected: int, reason: HoldReason | None) -> None:
    """Five in a hundred of the segment's rows are allowed (guard G3)."""
    assert held(draft(1000 - rejected, rejected=rejected)) is reason


@pytest.mark.parametrize(("rows_in", "reason"), [(99, None), (100, HoldReason.REJECTED_ROWS)])
def test_rejected_rows_count_from_the_least_number_of_rows(rows_in: int, reason: HoldReason | None) -> None:
    """Below a hundred rows a share says nothing."""
    assert held(draft(rows_in - 10, rejected=10)) is reason


@pytest.mark.parametrize(("rejected", "reason"), [(50, None), (51, HoldReason.REJECTED_ROWS)])
def test_rejected_rows_of_no_segment_make_every_list_doubtful(rejected: int, reason: HoldReason | None) -> None:
    """Whose they were nobody knows, so they count against the rows of the whole export."""
    shared = SegmentCounts(rows_in=rejected, rejected=rejected)
    assert held(draft(1000 - rejected), unattributed=shared) is reason


def test_empty_identifiers_are_not_rejected_rows() -> None:
    """Customers without a number are normal and counted apart: they are no reason, and make none look smaller."""
    assert held(draft(600, empty=400)) is None
    assert held(draft(97, empty=90, rejected=8)) is HoldReason.REJECTED_ROWS
    shared = SegmentCounts(rows_in=8, rejected=8)
    assert held(draft(97, empty=90), unattributed=shared) is HoldReason.REJECTED_ROWS


@pytest.mark.parametrize(("empty", "reason"), [(500, None), (501, HoldReason.EMPTY_IDENTIFIERS)])
def test_empty_identifiers_have_a_bound_of_their_own(empty: int, reason: HoldReason | None) -> None:
    """Half of the rows may have none (guard G3)."""
    assert held(draft(1000 - empty, empty=empty)) is reason


@pytest.mark.parametrize(("rows_in", "reason"), [(99, None), (100, HoldReason.EMPTY_IDENTIFIERS)])
def test_empty_identifiers_count_from_the_least_number_of_rows(rows_in: int, reason: HoldReason | None) -> None:
    """Below a hundred rows a share says nothing."""
    assert held(draft(1, empty=rows_in - 1)) is reason


@pytest.mark.parametrize(("suspect", "reason"), [(200, None), (201, HoldReason.SUSPECT_ROWS)])
def test_suspect_rows_are_counted_among_those_to_send(suspect: int, reason: HoldReason | None) -> None:
    """A fifth of the rows may be numbers that do not exist (guard G4)."""
    assert held(draft(1000, suspect=suspect)) is reason


@pytest.mark.parametrize(("rows", "reason"), [(99, None), (100, HoldReason.SUSPECT_ROWS)])
def test_suspect_rows_count_from_the_least_number_of_rows(rows: int, reason: HoldReason | None) -> None:
    """Below a hundred rows to send a share says nothing, however many were read."""
    assert held(draft(rows, suspect=rows, rows_in=1000)) is reason


@pytest.mark.parametrize(
    ("policy", "it"),
    [
        (GuardPolicy(min_rows=11), draft(5, rejected=5)),
        (GuardPolicy(max_rejected=0.5), draft(500, rejected=500)),
        (GuardPolicy(max_empty=0.9), draft(100, empty=900)),
        (GuardPolicy(max_suspect=1), draft(1000, suspect=1000)),
    ],
)
def test_every_bound_is_a_setting(policy: GuardPolicy, it: Draft) -> None:
    """At the bound that the setting says, nothing is held."""
    assert held(it, policy=policy) is None


@pytest.mark.parametrize("state", [DeliveryState.HELD, DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.SENT])
def test_another_list_of_the_same_date_holds(state: DeliveryState) -> None:
    """Whether it waits, is on its way or there: a second one may be a correction or a part (rule D5, guard G6)."""
    assert held(draft(), History(1000, [earlier(state)])) is HoldReason.SAME_DAY


def test_a_list_of_another_date_does_not_hold() -> None:
    """Yesterday's list is what today's is meant to replace."""
    assert held(draft(), History(1000, [earlier(list_date=YESTERDAY)])) is None


@pytest.mark.parametrize("same_day", ["send", "supersede"])
def test_a_second_list_of_one_date_may_be_allowed(same_day: str) -> None:
    """The operator's setting decides what it is."""
    policy = GuardPolicy.model_validate({"same_day": same_day})
    assert held(draft(), History(1000, [earlier()]), policy=policy) is None


def test_a_list_held_for_the_same_date_names_the_other() -> None:
    """With its state, its name at the upstream where it has one, and its id."""
    hold = judged(draft(), History(1000, [earlier(remote_name="x_1.csv"), earlier(delivery_id="older.1")]))
    assert hold is not None
    assert hold.detail == "a different list of this segment for the same date is sent as x_1.csv: before.1"


def test_the_most_telling_reason_comes_first() -> None:
    """A list that shrank because its rows were rejected is held for the rejected rows."""
    assert held(draft(100, rejected=900), History(1000, [earlier()])) is HoldReason.REJECTED_ROWS


def test_a_twin_is_the_list_in_effect_with_the_same_content() -> None:
    """Same date, same bytes (rule D4)."""
    twin = earlier(sha256="this")
    assert find_twin(draft(), History(1000, [twin]), TODAY) is twin


def test_a_twin_of_another_date_is_none() -> None:
    """The same content the next day is the daily refresh (rule D6)."""
    assert find_twin(draft(), History(1000, [earlier(sha256="this", list_date=YESTERDAY)]), TODAY) is None


def test_a_list_that_another_replaced_is_no_twin() -> None:
    """After A came B, so A again is a change and no repetition."""
    history = History(1000, [earlier(sha256="other"), earlier(sha256="this", delivery_id="older.1")])
    assert find_twin(draft(), history, TODAY) is None


def test_a_held_list_does_not_hide_the_twin_in_effect() -> None:
    """What is held replaced nothing."""
    twin = earlier(sha256="this")
    assert find_twin(draft(), History(1000, [earlier(DeliveryState.HELD), twin]), TODAY) is twin


def test_a_held_list_is_a_twin_itself() -> None:
    """The same list delivered again while it waits for a person is not a second case to decide."""
    twin = earlier(DeliveryState.HELD, sha256="this")
    assert find_twin(draft(), History(1000, [twin, earlier()]), TODAY) is twin


def test_a_held_list_from_before_the_one_in_effect_is_no_twin() -> None:
    """A was held, B went out: A again would replace B."""
    history = History(1000, [earlier(), earlier(DeliveryState.HELD, sha256="this")])
    assert find_twin(draft(), history, TODAY) is None


@pytest.mark.parametrize(
    ("state", "later_by", "found"),
    [
        (DeliveryState.SENT, 1, True),
        (DeliveryState.DEFERRED, 1, True),
        (DeliveryState.HELD, 1, False),
        (DeliveryState.SENT, 0, False),
        (DeliveryState.SENT, -1, False),
    ],
)
def test_newer_is_what_came_later_and_is_not_held(state: DeliveryState, later_by: int, *, found: bool) -> None:
    """Only a list on its way or there overtakes one that is judged late (rule D7)."""
    other = earlier(state, last_arrival=ARRIVAL + later_by)
    assert History(1000, [other]).newer_than(ARRIVAL) is (other if found else None)


@pytest.mark.parametrize(("rows", "reason"), [(10_000, None), (10_001, HoldReason.GREW)])
def test_grew_begins_above_ten_times_what_was_sent(rows: int, reason: HoldReason | None) -> None:
    """Ten times as many may be, one row more is held (guard G9)."""
    assert held(draft(rows), History(1000)) is reason


def test_a_list_that_grew_is_held_with_its_figures() -> None:
    """The operator reads how large, against what, and what the limit is."""
    hold = judged(draft(48_000), History(1_200))
    assert hold is not None
    assert hold.detail == "48,000 rows, last sent 1,200, 40.0 times as many, limit 10 times"


def test_a_small_list_may_grow_as_it_likes() -> None:
    """From 3 rows to 99 is no event (`min_rows`)."""
    assert held(draft(99), History(3)) is None
    assert growth(draft(99), History(3), GuardPolicy()) is None


@pytest.mark.parametrize(
    ("rows", "words"),
    [(2_000, None), (2_001, "2,001 rows, last sent 1,000, 2.0 times as many, held above 10 times")],
)
def test_growth_is_warned_of_above_twice(rows: int, words: str | None) -> None:
    """Twice as many is nothing to say, one row more is."""
    assert growth(draft(rows), History(1000), GuardPolicy()) == words


def test_a_warning_above_the_limit_is_refused() -> None:
    """It would never be given."""
    with pytest.raises(ValidationError, match="warn_growth is above max_growth"):
        GuardPolicy(max_growth=1.5)


def test_a_new_name_like_a_known_one_is_held_and_names_it() -> None:
    """A slip in a name would make a second segment, and leave the first as it was (guard G10)."""
    hold = judged(draft(), History(None, is_new=True, similar=("vip", "V-I-P")))
    assert hold is not None
    assert hold.reason is HoldReason.NEAR_DUPLICATE_NAME
    assert hold.detail == "“VIP” is new, and known is “vip” and “V-I-P”, the same but for case, blanks, _ or -"


def test_a_near_duplicate_may_be_sent_by_setting() -> None:
    """Somebody may really have both."""
    policy = GuardPolicy(near_duplicate_name="send")
    assert held(draft(), History(None, is_new=True, similar=("vip",)), policy=policy) is None


@pytest.mark.parametrize(("new_segment", "reason"), [("send", None), ("hold", HoldReason.NEW_SEGMENT)])
def test_a_new_segment_is_held_only_by_setting(new_segment: Literal["send", "hold"], reason: HoldReason | None) -> None:
    """By default a segment's first list is sent (guard G11)."""
    policy = GuardPolicy(new_segment=new_segment)
    assert held(draft(), History(None, is_new=True), policy=policy) is reason
    assert held(draft(), History(1000), policy=policy) is None


@pytest.mark.parametrize(("kept", "reason"), [(200, None), (199, HoldReason.REPLACED)])
def test_other_people_are_held_though_the_size_is_normal(kept: int, reason: HoldReason | None) -> None:
    """A fifth of them is enough, one fewer is not (guard G12)."""
    assert held(draft(1000), History(1000, overlap=Overlap(kept, 1000 - kept, 1000 - kept))) is reason


def test_replaced_says_how_many_are_new_and_gone() -> None:
    """The figures tell a swapped segment from a renewed one."""
    hold = judged(draft(47_000), History(48_000, overlap=Overlap(100, 47_900, 46_900)))
    assert hold is not None
    assert hold.detail == (
        "47,000 rows, of which 100 were in the list last sent: 47,900 lost, 46,900 gained, 0.2 % in common, "
        "limit 20.0 %"
    )


def test_people_are_compared_from_a_thousand_rows_on() -> None:
    """A small segment may change its people, and so may one without a list to compare with."""
    assert held(draft(999), History(999, overlap=Overlap(0, 999, 999))) is None
    assert held(draft(1000), History(1000)) is None


def test_a_list_that_only_grew_is_not_replaced() -> None:
    """Everybody of the list last sent is in it still."""
    assert held(draft(9_000), History(1000, overlap=Overlap(1000, 0, 8_000))) is None
