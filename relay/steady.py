"""A clock that nobody sets: for what counts how long ago something was, not what the time was."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class SteadyClock:
    """Begins at the real time and goes on evenly, however the host's clock is set meanwhile.

    A rest or a debt that is measured by it lasts as long as it says; by the host's clock, one that is set back an hour
    would make each last an hour longer.

    Args:
        elapsed: returns the seconds that have gone by since some moment.
    """

    def __init__(self, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._elapsed = elapsed
        self._origin = datetime.now(UTC) - timedelta(seconds=elapsed())

    def __call__(self) -> datetime:
        """Return the instant, aware UTC."""
        return self._origin + timedelta(seconds=self._elapsed())
