"""Debts of time: what each source has run up, and pays off by waiting. Nothing here reads a clock."""

from datetime import datetime, timedelta

from relay.landing.sources import Network

_NOTHING = timedelta(0)


class Debts:
    """What sources owe: each charge is a length of time, charges add up, and time itself pays them off.

    It is the arithmetic of a leaky bucket, and of OpenSSH's penalties: one instant per source says it all.

    Args:
        most: how many sources are kept; beyond that those that owe least are forgotten.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._paid_at: dict[Network, datetime] = {}

    def __len__(self) -> int:
        return len(self._paid_at)

    def owed(self, source: Network, now: datetime) -> timedelta:
        """Return what a source owes at this instant."""
        paid_at = self._paid_at.get(source)
        return _NOTHING if paid_at is None else max(paid_at - now, _NOTHING)

    def charge(self, source: Network, amount: timedelta, now: datetime) -> timedelta:
        """Add to what a source owes, and return what that makes."""
        owed = self.owed(source, now) + amount
        self._paid_at[source] = now + owed
        if len(self._paid_at) > self.most:
            self._make_room(now)
        return owed

    def relieve(self, source: Network, amount: timedelta) -> None:
        """Take back a charge."""
        if source in self._paid_at:
            self._paid_at[source] -= amount

    def forgive(self, source: Network) -> None:
        """Forget what a source owes."""
        self._paid_at.pop(source, None)

    def _make_room(self, now: datetime) -> None:
        """Forget who owes nothing, and if that is not enough the half that owes least: so it is not due again soon."""
        owing = {source: paid_at for source, paid_at in self._paid_at.items() if paid_at > now}
        if len(owing) > self.most // 2:
            by_debt = sorted(owing, key=owing.__getitem__, reverse=True)
            owing = {source: owing[source] for source in by_debt[: (self.most + 1) // 2]}
        self._paid_at = owing
