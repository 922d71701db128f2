"""Rows in a database: everything the relay must not forget but the bytes, behind the verbs of `Store`.

A verb is one transaction. Verbs that change a state compute the next one with `relay.lifecycle`, swap it against the
old one and write the history, all or nothing; an event that the table does not list raises and changes nothing.
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Self

from relay.model import RelayError
from relay.store.arrivals import ArrivalVerbs
from relay.store.bans import BanVerbs
from relay.store.database import BUSY_TIMEOUT, Database, make_private
from relay.store.decisions import DecisionVerbs
from relay.store.exports import ExportVerbs
from relay.store.freshness import FreshnessVerbs
from relay.store.gathering import GatheringVerbs
from relay.store.migrating import is_up_to_date, migrate
from relay.store.planning import ComparisonOutdatedError
from relay.store.reading import ReadingVerbs
from relay.store.reminders import ReminderVerbs
from relay.store.restoring import RestoringVerbs
from relay.store.retention import RetentionVerbs
from relay.store.sending import Room, SendingVerbs, Sent
from relay.store.slices import SliceVerbs
from relay.store.suspensions import SuspensionVerbs
from relay.store.upstreams import UpstreamVerbs

__all__ = ["ComparisonOutdatedError", "Room", "Sent", "Store"]


def _nothing() -> None:
    pass


class Store(
    ArrivalVerbs,
    GatheringVerbs,
    ExportVerbs,
    SendingVerbs,
    SliceVerbs,
    DecisionVerbs,
    RestoringVerbs,
    RetentionVerbs,
    SuspensionVerbs,
    UpstreamVerbs,
    ReminderVerbs,
    FreshnessVerbs,
    BanVerbs,
    ReadingVerbs,
):
    """The door to the database. Threads may share one; several processes may each open their own.

    Every verb blocks: call it in a thread from the event loop.
    """

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        committed: Callable[[], None] = _nothing,
        create: bool = True,
        busy_timeout: timedelta = BUSY_TIMEOUT,
    ) -> Self:
        """Open the database at `path`, making it or bringing it up to date where that is due.

        Args:
            path: the file.
            committed: called after each commit that changed a state, in the thread that made it.
            create: make the file where there is none.
            busy_timeout: how long to wait for another process's transaction.

        Raises:
            RelayError: the file is missing, damaged, locked or out of reach, or was written by a newer program.
        """
        if not create and not path.exists():
            raise RelayError(f"there is no {path}", hint="Check `state_dir`, and that `relay serve` has run once.")
        make_private(path)
        database = Database(path, committed=committed, busy_timeout=busy_timeout)
        try:
            with database.reading() as connection:
                up_to_date = is_up_to_date(connection)
            if not up_to_date:
                migrate(path, busy_timeout)
        except BaseException:
            database.close()
            raise
        return cls(database)

    @classmethod
    def open_beside(cls, path: Path, *, read_only: bool, busy_timeout: timedelta = BUSY_TIMEOUT) -> Self:
        """Open the database for a command, beside a running service or without one: it is neither made nor migrated.

        Args:
            path: the file.
            read_only: have every verb refused that would write.
            busy_timeout: how long to wait for another process's transaction.

        Raises:
            RelayError: the file is missing, damaged, locked or out of reach, or was written by another version.
        """
        if not path.exists():
            raise RelayError(f"there is no {path}", hint="Check `state_dir`, and that `relay serve` has run once.")
        database = Database(path, busy_timeout=busy_timeout, read_only=read_only)
        try:
            with database.reading() as connection:
                up_to_date = is_up_to_date(connection)
        except BaseException:
            database.close()
            raise
        if not up_to_date:
            database.close()
            raise RelayError(
                f"{path} was written by another version of the relay",
                hint="Run the command of the service's own version; a newer service brings the file up to date.",
            )
        return cls(database)

    def close(self) -> None:
        """Close the database."""
        self._database.close()
