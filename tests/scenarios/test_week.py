"""A week in the life of a route, with a clock that is moved: each day something else, and each day the right thing.

The service, the upload and the upstream are real; only the wall clock of the service and of the commands is not.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from parts.people import people
from parts.service import Line, Service, Setup, relay
from parts.sftp import sftp
from parts.sshd import NEEDS_SSHD, Sshd
from soak.clock import COMPILER, Clock

pytestmark = [
    NEEDS_SSHD,
    pytest.mark.skipif(COMPILER is None, reason="needs gcc"),
    pytest.mark.timeout(600),
]

BERLIN = ZoneInfo("Europe/Berlin")
"""Its clocks go back on Sunday, 25 October 2026."""


class Week:
    """One route to Attentive, from Monday, 19 October 2026, at noon on."""

    def __init__(self, directory: Path, upstream: Sshd) -> None:
        self.upstream = upstream
        self.setup = Setup(directory / "relay", upstream)
        self.setup.route(top='timezone = "Europe/Berlin"\nexpect_by = "06:00"\ngrace = "2h"')
        self.clock = Clock(directory)
        self.day = 19
        self.be(19, "12:00")
        self.service = self.start()
        self.count = 0

    def start(self) -> Service:
        """Start the service."""
        with self.clock.moved():
            service = Service(self.setup)
        service.wait_for("relay.ready")
        return service

    def stop(self) -> None:
        """Stop it in good order."""
        assert self.service.stop() == 0

    def be(self, day: int, time: str) -> None:
        """Let it be that time of that day in October, in Berlin."""
        self.day = day
        self.clock.set(instant(day, time))

    def amperity_sends(self, rows: int, *, first: int = 0) -> str:
        """A file of so many invented people comes in; returns what is to arrive upstream of it."""
        self.count += 1
        content = "".join(f"{it.phone},VIP\n" for it in people(rows, first=first))
        local = self.setup.directory / "to-upload"
        local.write_text(content)
        sftp(self.service.port, "amperity", self.setup.client_key, f'put "{local}" "/uploads/{self.count}.csv"')
        return content

    def operator(self, *arguments: str) -> str:
        """Give a command, and return what it says."""
        with self.clock.moved():
            return " ".join(relay(self.setup, *arguments).stdout.split())

    def status(self) -> int:
        """What monitoring learns of `relay status`."""
        with self.clock.moved():
            return relay(self.setup, "status").returncode

    def verdict(self, state: str) -> Line:
        """Wait for the route's verdict of this date, and see that it was given when it was due."""
        date = f"2026-10-{self.day}"
        # One line of its segment, and one of the route as a whole, which has no segment.
        self.service.wait_for(f"freshness.{state}", list_date=date, count=2)
        return next(it for it in self.lines(f"freshness.{state}", date) if "segment" not in it)

    def lines(self, event: str, date: str) -> list[Line]:
        """The lines of an event about a date."""
        return self.service.named(event, list_date=date)

    def on_the(self, day: int) -> dict[str, str]:
        """What lies upstream with that date in its name: by number."""
        found = {name: content.decode() for name, content in self.upstream.received().items()}
        stem = f"sirendenim_subscriber_segment_202610{day}_"
        return {name.removeprefix(stem).removesuffix(".csv"): found[name] for name in found if name.startswith(stem)}


def instant(day: int, time: str) -> datetime:
    """An instant of October 2026, told by Berlin's clocks."""
    hour, minute = map(int, time.split(":"))
    return datetime(2026, 10, day, hour, minute, tzinfo=BERLIN).astimezone(UTC)


def lateness(line: Line, due: datetime) -> timedelta:
    """How long after it was due a line was logged."""
    return datetime.fromisoformat(line["timestamp"]) - due


@pytest.fixture
def week(tmp_path: Path) -> Iterator[Week]:
    """A week that has begun with a list that went out on Monday."""
    with Sshd(tmp_path / "upstream") as upstream:
        week = Week(tmp_path, upstream)
        try:
            content = week.amperity_sends(1_200)
            week.service.wait_for("delivery.sent")
            assert week.on_the(19) == {"1": content}
            yield week
        finally:
            week.service.__exit__(None, None, None)


def test_the_right_thing_happens_on_each_day_of_a_week(week: Week) -> None:
    """On time, late, missing, a campaign test, a swapped list, a clock change with a re-delivery, a shrunk segment."""
    on_tuesday_all_is_on_time(week)
    on_wednesday_none_comes_and_the_service_was_down(week)
    on_thursday_a_campaign_test_comes_first(week)
    on_friday_the_people_are_others(week)
    on_saturday_the_segment_has_shrunk(week)
    on_sunday_the_clocks_go_back_and_amperity_repeats_itself(week)
    on_monday_the_list_is_late(week)
    # A jump of the clock ends the thread of a library that only hints; scans go on, and a line says so.
    assert not {"relay.failed", "not JSON"} & {it["event"] for it in week.service.lines}


def on_tuesday_all_is_on_time(week: Week) -> None:
    """The list goes out, and the verdict says so within a minute of the deadline."""
    week.be(20, "05:00")
    content = week.amperity_sends(1_210)
    week.service.wait_for("delivery.sent", remote_name="sirendenim_subscriber_segment_20261020_1.csv")
    assert week.on_the(20) == {"1": content}
    week.be(20, "06:00")
    assert lateness(week.verdict("ok"), instant(20, "06:00")) < timedelta(minutes=1)
    assert week.status() == 0


def on_wednesday_none_comes_and_the_service_was_down(week: Week) -> None:
    """What was missed meanwhile is said once, at the start; Tuesday's list stays live; what comes later recovers."""
    week.stop()
    week.be(21, "09:00")
    week.service = week.start()
    assert lateness(week.verdict("missing"), instant(21, "09:00")) < timedelta(minutes=1)
    assert week.on_the(21) == {}
    assert "MISSING" in week.operator("status")
    week.be(21, "10:00")
    content = week.amperity_sends(1_230)
    week.verdict("ok")
    assert week.on_the(21) == {"1": content}
    # Once each: of the route, and of its segment.
    assert len(week.lines("freshness.missing", "2026-10-21")) == 2


def on_thursday_a_campaign_test_comes_first(week: Week) -> None:
    """A small sample looks like any file and is held; discarded, it is in nobody's way."""
    week.be(22, "04:00")
    week.amperity_sends(20)
    held = week.service.wait_for("delivery.held")
    assert (held["reason"], held["previous_rows"]) == ("shrunk", 1_230)
    assert week.on_the(22) == {}
    assert week.status() == 1
    week.operator("discard", held["delivery"], "--reason", "was a campaign test")
    week.service.wait_for("delivery.discarded", delivery=held["delivery"], reason="was a campaign test")
    content = week.amperity_sends(1_240)
    week.service.wait_for("delivery.sent", count=2)
    week.be(22, "06:00")
    week.verdict("ok")
    assert week.on_the(22) == {"1": content}


def on_friday_the_people_are_others(week: Week) -> None:
    """The size is normal, the people are not: held with lost, gained and kept; nobody decides, so it is missing."""
    week.be(23, "05:00")
    week.amperity_sends(1_250, first=3_000)
    held = week.service.wait_for("delivery.held", reason="replaced")
    assert (held["kept"], held["lost"], held["gained"]) == (0, 1_240, 1_250)
    week.be(23, "06:00")
    week.verdict("late")
    week.be(23, "08:00")
    assert lateness(week.verdict("missing"), instant(23, "08:00")) < timedelta(minutes=1)
    assert week.on_the(23) == {}


def on_saturday_the_segment_has_shrunk(week: Week) -> None:
    """Held with the figures; released by somebody who knows better, it goes out, and takes Friday's place, too."""
    week.be(24, "05:00")
    content = week.amperity_sends(300)
    held = week.service.wait_for("delivery.held", reason="shrunk", count=2)
    assert held["detail"].startswith("300 rows, last sent 1,240, −75.8 %")
    week.be(24, "06:00")
    week.verdict("late")
    said = week.operator("release", held["delivery"], "--reason", "the campaign ended")
    assert "sirendenim_subscriber_segment_20261024_1.csv" in said
    week.verdict("ok")
    assert week.service.wait_for("delivery.superseded")["other"] == held["delivery"]
    assert week.on_the(24) == {"1": content}


def on_sunday_the_clocks_go_back_and_amperity_repeats_itself(week: Week) -> None:
    """What grew again goes out, with a warning; the deadline is that of the wall; a re-delivery is no new list."""
    week.be(25, "05:30")
    content = week.amperity_sends(1_245)
    assert week.service.wait_for("delivery.grown")["previous_rows"] == 300
    week.service.wait_for("delivery.sent", remote_name="sirendenim_subscriber_segment_20261025_1.csv")
    week.amperity_sends(1_245)
    week.service.wait_for("export.duplicated")
    week.be(25, "06:00")
    assert lateness(week.verdict("ok"), datetime(2026, 10, 25, 5, 0, tzinfo=UTC)) < timedelta(minutes=1)
    assert week.lines("freshness.late", "2026-10-25") == []
    assert week.on_the(25) == {"1": content}
    assert week.status() == 0


def on_monday_the_list_is_late(week: Week) -> None:
    """Late is said at the deadline; the list that comes in the grace is the recovery."""
    week.be(26, "06:00")
    assert lateness(week.verdict("late"), instant(26, "06:00")) < timedelta(minutes=1)
    assert week.status() == 1
    week.be(26, "06:30")
    content = week.amperity_sends(1_220)
    week.verdict("ok")
    assert week.on_the(26) == {"1": content}
    assert week.lines("freshness.missing", "2026-10-26") == []
    assert week.status() == 0
