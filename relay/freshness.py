"""Whether a route's lists went out in time: pure arithmetic of dates, deadlines and verdicts.

A list is expected once a date, by a time of the route's clock on the wall. The verdict of a date begins at that moment
and can only get better by a list that is sent, or worse by the end of the grace (rule W2).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from relay.model import Freshness

_A_DAY: Final = timedelta(days=1)

SENT_LATELY: Final = timedelta(days=3)
"""A segment is expected if a list of it was sent in this time before the deadline, unless the configuration says."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """When a route's lists are expected, and of which segments; none named means those that were sent lately."""

    by: time
    grace: timedelta
    timezone: ZoneInfo
    segments: Sequence[str] = ()

    def deadline(self, day: date) -> datetime:
        """Return the instant by which the lists of `day` are expected (rule W1).

        A time that a clock change leaves out counts as if the clock had not been changed; of one that comes twice, the
        first counts. So each date has exactly one deadline.
        """
        return datetime.combine(day, self.by, self.timezone).astimezone(UTC)

    def window(self, day: date) -> tuple[datetime, datetime]:
        """Return after which instant, and up to which, a list counts for `day`.

        From deadline to deadline, not 24 hours: where a clock change makes a day of 23, yesterday's list would still
        count today.
        """
        return self.deadline(day - _A_DAY), self.deadline(day + _A_DAY)

    def due(self, now: datetime) -> date:
        """Return the newest date whose deadline has come."""
        day = now.astimezone(self.timezone).date() + _A_DAY
        while self.deadline(day) > now:
            day -= _A_DAY
        return day


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is known of one date when its verdict is asked for.

    `segments` has, for each that is expected, whether it is fresh; `before` the verdicts given so far, by segment and,
    under None, of the route as a whole.
    """

    day: date
    deadline: datetime
    grace: timedelta
    segments: Mapping[str, bool]
    before: Mapping[str | None, Freshness]

    def verdicts(self, now: datetime) -> Iterator[tuple[str | None, Freshness]]:
        """Yield what is to be said now: of each segment and, at the end, of the route; nothing that was said before.

        A route of which nothing at all is expected, because nothing was sent for days, is not fresh.
        """
        whole = bool(self.segments) and all(self.segments.values())
        of_each: list[tuple[str | None, bool]] = [*self.segments.items(), (None, whole)]
        for segment, fresh in of_each:
            if verdict := self._verdict(self.before.get(segment), now, fresh=fresh):
                yield segment, verdict

    def _verdict(self, before: Freshness | None, now: datetime, *, fresh: bool) -> Freshness | None:
        if now < self.deadline or before is Freshness.OK:
            return None
        if fresh:
            return Freshness.OK
        verdict = Freshness.MISSING if now >= self.deadline + self.grace else Freshness.LATE
        # What is missing does not become late again, whatever is done to the host's clock.
        return None if before in {verdict, Freshness.MISSING} else verdict
