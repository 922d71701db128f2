"""Penalties: what a source is charged for an offence, and when it is shut out (rule L22).

In the manner of OpenSSH's PerSourcePenalties: penalties are lengths of time, they add up, waiting pays them off, and
only who owes more than a threshold is shut out, until all is paid. Nothing here reads a clock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import ip_network

from relay.landing.debts import Debts
from relay.landing.sources import Network
from relay.model import Ban


class Offence(StrEnum):
    """What a source is punished for. To connect and leave without a word is none: monitors do that."""

    REFUSED_LOGIN = "refused_login"
    TOO_SLOW = "too_slow"
    NO_LOGIN = "no_login"
    BROKEN_PROTOCOL = "broken_protocol"


@dataclass(frozen=True, slots=True)
class Tariff:
    """What offences cost.

    Args:
        charges: the penalty for each kind of offence; one that is not named costs nothing.
        threshold: who owes as much is shut out.
        most_sources: how many sources are kept in mind.
    """

    charges: Mapping[Offence, timedelta] = field(default_factory=dict)
    threshold: timedelta = timedelta(seconds=50)
    most_sources: int = 10_000


class Penalties:
    """Who owes what, and who is shut out. A ban, once pronounced, neither grows nor shrinks."""

    def __init__(self, tariff: Tariff) -> None:
        self._tariff = tariff
        self._debts = Debts(tariff.most_sources)
        self._bans: dict[Network, Ban] = {}

    def use(self, tariff: Tariff) -> None:
        """Punish by another tariff from now on; what is owed, and who is shut out, stays."""
        self._tariff = tariff
        self._debts.most = tariff.most_sources

    def punish(self, source: Network, offence: Offence, now: datetime) -> Ban | None:
        """Charge a source for an offence, and return the ban if that was one too many."""
        charge = self._tariff.charges.get(offence)
        if charge is None or self.is_banned(source, now):
            return None
        owed = self._debts.charge(source, charge, now)
        if owed < self._tariff.threshold:
            return None
        self._debts.forgive(source)
        ban = Ban(source=str(source), reason=offence.value, banned_at=now, until=now + owed)
        self._keep(source, ban, now)
        return ban

    def is_banned(self, source: Network, now: datetime) -> bool:
        """Say whether a source is shut out."""
        ban = self._bans.get(source)
        if ban is not None and ban.until <= now:
            del self._bans[source]
            return False
        return ban is not None

    def bans(self, now: datetime) -> list[Ban]:
        """Return the bans in force."""
        return [ban for ban in self._bans.values() if ban.until > now]

    def restore(self, bans: Iterable[Ban], now: datetime) -> None:
        """Take over bans of an earlier process."""
        for ban in bans:
            if ban.until > now:
                self._keep(ip_network(ban.source), ban, now)

    def lift(self, source: str) -> None:
        """Let a source in again, with nothing owed."""
        network = ip_network(source)
        self._bans.pop(network, None)
        self._debts.forgive(network)

    def _keep(self, source: Network, ban: Ban, now: datetime) -> None:
        self._bans[source] = ban
        if len(self._bans) > self._tariff.most_sources:
            by_end = sorted(self.bans(now), key=lambda it: it.until, reverse=True)
            kept = by_end[: (self._tariff.most_sources + 1) // 2]
            self._bans = {ip_network(it.source): it for it in kept}
