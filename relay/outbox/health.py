"""How an upstream is doing, as far as that decides when to try it: at once, after a rest, or only with a probe."""

from datetime import datetime, timedelta
from typing import Final

from relay.lifecycle import retry_delay

FIRST_PROBE: Final = timedelta(minutes=5)
LONGEST_PROBE: Final = timedelta(hours=1)


class Health:
    """One upstream's health. Its instants are those of a clock that nobody sets.

    Whether the upstream is suspended is the store's to know. When to probe it, and that it could not be reached a
    moment ago, is only remembered here: a restart and a reload make it new, and so try at once.
    """

    def __init__(self, now: datetime) -> None:
        self.suspended = False
        self._probe_at = self._peace_until = now
        self._probe_delay = FIRST_PROBE
        self._setbacks = 0

    def allows_sending(self, now: datetime) -> bool:
        """Say whether a list may be begun."""
        return not self.suspended and now >= self._peace_until

    def wants_probe(self, now: datetime) -> bool:
        """Say whether it is time to see if a suspended upstream is well again."""
        return self.suspended and now >= self._probe_at

    def sent(self) -> None:
        """Note that a list went out: the next trouble begins with a short rest."""
        self._setbacks = 0

    def leave_in_peace(self, now: datetime, jitter: float) -> None:
        """Try no other list for a while either: it would fare the same, and use up its patience."""
        if now >= self._peace_until:
            self._setbacks += 1
            self._peace_until = now + retry_delay(self._setbacks, jitter)

    def fell_ill(self) -> None:
        """Note a new suspension, whatever there was before: its first probe is soon."""
        self._probe_delay = FIRST_PROBE

    def suspend(self, now: datetime) -> timedelta:
        """Send nothing until a probe succeeds, and return in how long that will be: each time longer than before."""
        self.suspended = True
        delay, self._probe_delay = self._probe_delay, min(self._probe_delay * 2, LONGEST_PROBE)
        self._probe_at = now + delay
        return delay
