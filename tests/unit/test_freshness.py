"""When lists are expected, and what is said when the time has come."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from relay.freshness import Expectation, Outlook
from relay.model import Freshness

HOUR = timedelta(hours=1)
NEW_YORK = ZoneInfo("America/New_York")
SPRING, AUTUMN = date(2026, 3, 8), date(2026, 11, 1)
DAY = date(2026, 11, 23)
DEADLINE = datetime(2026, 11, 23, 6, tzinfo=UTC)


def expectation(by: time = time(6), zone: ZoneInfo = NEW_YORK) -> Expectation:
    """Lists expected by a time in a zone."""
    return Expectation(by, 2 * HOUR, zone)


def verdicts(
    now: datetime, *, before: dict[str | None, Freshness] | None = None, **segments: bool
) -> dict[str | None, Freshness]:
    """What is said at `now` of segments that are fresh or not."""
    return dict(Outlook(DAY, DEADLINE, 2 * HOUR, segments, before or {}).verdicts(now))


@pytest.mark.parametrize(
    ("day", "by", "utc"),
    [
        (date(2026, 3, 7), time(6), "2026-03-07T11:00"),
        (SPRING, time(6), "2026-03-08T10:00"),
        (AUTUMN, time(6), "2026-11-01T11:00"),
        # Left out by the clock change: half past two would have been half past seven in UTC.
        (SPRING, time(2, 30), "2026-03-08T07:30"),
        # Comes twice: the first one.
        (AUTUMN, time(1, 30), "2026-11-01T05:30"),
    ],
)
def test_a_deadline_is_a_time_on_the_wall(day: date, by: time, utc: str) -> None:
    """Six in the morning is six in the morning on either side of a clock change (rule W1)."""
    assert expectation(by).deadline(day) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


@pytest.mark.parametrize(("day", "hours"), [(DAY, 24), (SPRING, 23), (AUTUMN, 25)])
def test_a_list_counts_from_deadline_to_deadline(day: date, hours: int) -> None:
    """Where a day has 23 hours, what was sent shortly before yesterday's deadline does not count for today."""
    since, until = expectation().window(day)
    assert expectation().deadline(day) - since == hours * HOUR
    assert since < expectation().deadline(day) < until


@pytest.mark.parametrize(("minutes", "day"), [(-1, date(2026, 11, 22)), (0, DAY), (1439, DAY)])
def test_the_date_that_is_due_is_the_newest_whose_deadline_has_come(minutes: int, day: date) -> None:
    """To the minute, and until the next one."""
    at_six = expectation(zone=ZoneInfo("UTC"))
    assert at_six.due(DEADLINE + timedelta(minutes=minutes)) == day


@pytest.mark.parametrize(("name", "offset"), [("Pacific/Kiritimati", 14), ("Etc/GMT+12", -12)])
def test_the_date_that_is_due_is_the_zones(name: str, offset: int) -> None:
    """At the ends of the earth it may be tomorrow or yesterday."""
    local = datetime(2026, 11, 23, 6)  # noqa: DTZ001  a clock on the wall
    at = local.replace(tzinfo=UTC) - offset * HOUR
    assert expectation(zone=ZoneInfo(name)).due(at) == DAY
    assert expectation(zone=ZoneInfo(name)).due(at - timedelta(seconds=1)) == DAY - timedelta(days=1)


def test_nothing_is_said_before_the_deadline() -> None:
    """Neither good nor bad."""
    assert verdicts(DEADLINE - timedelta(seconds=1), VIP=True) == {}


def test_at_the_deadline_each_segment_and_the_route_have_a_verdict() -> None:
    """The route is as fresh as the least fresh of its segments."""
    assert verdicts(DEADLINE, VIP=True, Lapsed=False) == {
        "VIP": Freshness.OK,
        "Lapsed": Freshness.LATE,
        None: Freshness.LATE,
    }
    assert verdicts(DEADLINE, VIP=True)[None] is Freshness.OK


def test_a_route_of_which_nothing_is_expected_is_not_fresh() -> None:
    """Where nothing was sent for days, nothing being expected is no good news."""
    assert verdicts(DEADLINE) == {None: Freshness.LATE}


@pytest.mark.parametrize(
    ("before", "hours", "fresh", "said"),
    [
        (Freshness.LATE, 1, False, None),
        (Freshness.LATE, 2, False, Freshness.MISSING),
        (Freshness.LATE, 1, True, Freshness.OK),
        (Freshness.MISSING, 3, False, None),
        (Freshness.MISSING, 1, False, None),
        (Freshness.MISSING, 3, True, Freshness.OK),
        (Freshness.OK, 3, False, None),
        (None, 3, False, Freshness.MISSING),
    ],
)
def test_a_verdict_follows_from_the_one_before(
    before: Freshness | None, hours: int, said: Freshness | None, *, fresh: bool
) -> None:
    """Late, missing after the grace, ok as soon as it came; nothing twice, and what is ok stays so (rule W2)."""
    given: dict[str | None, Freshness] = {} if before is None else {"VIP": before}
    assert verdicts(DEADLINE + hours * HOUR, before=given, VIP=fresh).get("VIP") is said
