"""Admission: who gets as far as the server's greeting (rules L20 to L22). Nothing here reads a clock or throws dice.

What is limited is connections that have not logged in yet, whose number and origin anybody on the internet may choose:
in all, as OpenSSH's MaxStartups does, and for each source by number and by rate. Where that would drop a newcomer, one
of the source that has most takes its place: a flood from few addresses never keeps a client out.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from relay.landing.debts import Debts
from relay.landing.penalties import Penalties
from relay.landing.sources import Network

_ALWAYS: Final = 100


class Dropped(StrEnum):
    """Why a connection was dropped before the greeting."""

    BANNED = "banned"
    SOURCE_FULL = "source_full"
    SOURCE_TOO_FAST = "source_too_fast"
    FULL = "full"
    DISPLACED = "displaced"


@dataclass(frozen=True, slots=True)
class Startups:
    """How many connections may be without a login: `start:rate:full`, as OpenSSH has it.

    From `start` on a new one is dropped with a chance of `rate` percent, which grows until at `full` every one is: a
    flood cannot fill the house so that a client has no chance at all.
    """

    start: int
    rate: int
    full: int

    def turns_away(self, waiting: int, chance: float) -> bool:
        """Say whether a new connection is dropped while so many are waiting; `chance` is from 0 to below 1."""
        if waiting < self.start:
            return False
        if waiting >= self.full or self.rate == _ALWAYS:
            return True
        grown = (_ALWAYS - self.rate) * (waiting - self.start) / (self.full - self.start)
        return chance * _ALWAYS < self.rate + grown


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections there may be before a login.

    Args:
        startups: in all.
        startups_per_source: of one source at once.
        burst: of one source in quick succession.
        rate: of one source in a second, in the long run.
        most_sources: how many sources' rates are kept in mind.
    """

    startups: Startups = Startups(50, 30, 150)
    startups_per_source: int = 10
    burst: int = 15
    rate: int = 5
    most_sources: int = 10_000

    @property
    def interval(self) -> timedelta:
        """The time after which one more connection is due to a source."""
        return timedelta(seconds=1) / self.rate


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a connection: it is dropped, or let in, perhaps in the place of one of another source."""

    dropped: Dropped | None = None
    displaces: Network | None = None


class Admission:
    """Decides about each connection, and counts those that have not logged in yet.

    Each that was admitted is to be reported once more: by `logged_in`, or by `gave_up`.
    """

    def __init__(self, limits: Limits, penalties: Penalties) -> None:
        self._limits = limits
        self._penalties = penalties
        self._pace = Debts(limits.most_sources)
        self._waiting: Counter[Network] = Counter()
        self._trusted: Counter[Network] = Counter()

    def use(self, limits: Limits) -> None:
        """Limit by other figures from now on."""
        self._limits = limits
        self._pace.most = limits.most_sources

    @property
    def waiting(self) -> int:
        """How many connections have not logged in yet, without those of exempt addresses."""
        return self._waiting.total()

    def admit(self, source: Network, now: datetime, chance: float) -> Verdict:
        """Count a connection in, or say why it is to be dropped.

        Args:
            source: where it comes from.
            now: the instant.
            chance: a random number from 0 to below 1.
        """
        if (dropped := self._objection(source, now)) is not None:
            return Verdict(dropped)
        displaces = None
        if self._limits.startups.turns_away(self.waiting, chance):
            displaces = self._greedier_than(source)
            if displaces is None:
                return Verdict(Dropped.FULL)
        self._waiting[source] += 1
        self._pace.charge(source, self._limits.interval, now)
        return Verdict(displaces=displaces)

    def admit_exempt(self, source: Network) -> Verdict:
        """Count a connection of an exempt address in: it is trusted, but nothing may fill the memory."""
        if self._trusted[source] >= self._limits.startups.full:
            return Verdict(Dropped.FULL)
        self._trusted[source] += 1
        return Verdict()

    def logged_in(self, source: Network, *, exempt: bool) -> None:
        """Count one as logged in: it does not wait any more, and what it had of its source's rate is given back."""
        self.gave_up(source, exempt=exempt)
        if not exempt:
            self._pace.relieve(source, self._limits.interval)

    def gave_up(self, source: Network, *, exempt: bool) -> None:
        """Count one out that ended without a login."""
        counted = self._trusted if exempt else self._waiting
        counted[source] -= 1
        if counted[source] <= 0:
            del counted[source]

    def _objection(self, source: Network, now: datetime) -> Dropped | None:
        if self._penalties.is_banned(source, now):
            return Dropped.BANNED
        if self._waiting[source] >= self._limits.startups_per_source:
            return Dropped.SOURCE_FULL
        if self._pace.owed(source, now) + self._limits.interval > self._limits.interval * self._limits.burst:
            return Dropped.SOURCE_TOO_FAST
        return None

    def _greedier_than(self, source: Network) -> Network | None:
        """Return the source that has most waiting, if it would still have more than `source` after giving one up."""
        greediest = max(self._waiting, key=self._waiting.__getitem__, default=source)
        return greediest if self._waiting[greediest] > self._waiting[source] + 1 else None
