"""How many files clients may have open: never so many that the service cannot open its own (rule L11)."""

import threading
from collections import Counter
from typing import Final

from relay.landing.codec import RefusedError
from relay.sftp import Status

DESCRIPTORS_EACH: Final = 2
"""An upload has a second one while what was written is on its way to the disk."""

RESERVED: Final = 1024
"""Descriptors for everything else: connections, the database, rewrites, uploads to upstreams."""

LEAST: Final = 64
"""Handles that there are in any case: as many as one session may have."""


class Handles:
    """The handles of all sessions; a session's own limit comes before.

    Args:
        descriptors: how many the process may have open.
    """

    def __init__(self, descriptors: int) -> None:
        self.most = max((descriptors - RESERVED) // DESCRIPTORS_EACH, LEAST)
        self.most_of_an_account = max(self.most // 2, LEAST)
        self._counting = threading.Lock()
        self._open: Counter[str] = Counter()

    def take(self, account: str) -> None:
        """Count one that is about to be opened.

        Raises:
            RefusedError: the account has its share open, or all accounts together have all that there are.
        """
        with self._counting:
            if self._open[account] >= self.most_of_an_account:
                raise RefusedError(
                    Status.FAILURE, f"At most {self.most_of_an_account:,} files of an account may be open at once"
                )
            if self._open.total() >= self.most:
                raise RefusedError(Status.FAILURE, "Too many files are open at the relay; try again in a minute")
            self._open[account] += 1

    def give_back(self, account: str, count: int = 1) -> None:
        """Count out what is closed."""
        with self._counting:
            self._open[account] -= count
