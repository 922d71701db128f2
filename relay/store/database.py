"""One SQLite file, opened so that what was committed stays committed, and that several processes may use it at once.

Readers see one moment and wait for nobody. Writers take their turn: threads of one process at a lock, processes at
SQLite's own, each for at most `busy_timeout`.
"""

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Final

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from relay.disk import DiskError, disk_trouble
from relay.model import RelayError
from relay.store.journal import Transaction

BUSY_TIMEOUT: Final = timedelta(seconds=10)
"""How long a writer waits for another process before it gives up."""

_TROUBLE: Final[dict[int, tuple[str, str]]] = {
    sqlite3.SQLITE_NOTADB: (
        "is not a database of the relay",
        "Check `state_dir`; if the file was damaged, put the newest backup in its place while the relay is stopped.",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "is damaged",
        "Stop the relay, keep a copy of the file, and put the newest backup in its place.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened",
        "The directory must exist and belong to the relay's user; run the command as that user.",
    ),
    sqlite3.SQLITE_READONLY: (
        "cannot be written",
        "The file and its directory must belong to the relay's user; run the command as that user.",
    ),
    sqlite3.SQLITE_PERM: (
        "may not be accessed",
        "The file and its directory must belong to the relay's user; run the command as that user.",
    ),
    sqlite3.SQLITE_BUSY: (
        "is locked by another program",
        "Try again; if it stays so, find who has the file open (`fuser relay.db`).",
    ),
    sqlite3.SQLITE_FULL: ("cannot grow: the disk is full", "Make room on the file system of `state_dir`."),
    sqlite3.SQLITE_IOERR: ("cannot be read or written", "Check the disk and the kernel's log."),
}
"""What SQLite's result codes mean to a person. Any other code is a defect of ours and passes as it is."""

_PASSING: Final[dict[int, str]] = {
    sqlite3.SQLITE_CANTOPEN: "database_unavailable",
    sqlite3.SQLITE_READONLY: "disk_read_only",
    sqlite3.SQLITE_BUSY: "database_locked",
    sqlite3.SQLITE_FULL: "disk_full",
    sqlite3.SQLITE_IOERR: "disk_failing",
}
"""Those that may pass by themselves, and the log's word for them (rule T1). What is damaged stays damaged."""

_RESULT_CODE: Final = 0xFF
"""The low byte of an extended result code is the result code."""


def _nothing() -> None:
    pass


class Database:
    """The open database: hands out reading connections and writing transactions.

    Args:
        path: the file; made with mode 0600 where it does not exist.
        committed: called after each commit that recorded a transition, by the thread that made it.
        busy_timeout: how long to wait for another process's transaction.
        foreign_keys: whether references are enforced; only a migration, which rebuilds tables, does without.
        read_only: have SQLite refuse every write.
    """

    def __init__(
        self,
        path: Path,
        *,
        committed: Callable[[], None] = _nothing,
        busy_timeout: timedelta = BUSY_TIMEOUT,
        foreign_keys: bool = True,
        read_only: bool = False,
    ) -> None:
        self.path = path
        self._committed = committed
        self._turn = Lock()
        self._reading = _engine(path, busy_timeout, foreign_keys=foreign_keys, read_only=read_only)
        self._writing = self._reading.execution_options(writing=True)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees the database as it is at its first statement.

        Raises:
            RelayError: the file is damaged or out of reach.
        """
        with self._explained(), self._reading.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection that alone may write: durable when the block ends, undone if the block raises.

        Raises:
            DiskError: the disk is full or failing, or the file locked for too long.
            RelayError: the file is damaged.
        """
        with self._turn, self._explained(), self._writing.begin() as connection:
            yield connection

    @contextmanager
    def transaction(self, now: datetime) -> Iterator[Transaction]:
        """Give a transaction that moves states at the instant `now`; as `writing`, and `committed` is called after it.

        Raises:
            RelayError: the file is damaged, full, out of reach or locked for too long.
        """
        with self.writing() as connection:
            transaction = Transaction(connection, now)
            yield transaction
        if transaction.recorded:
            self._committed()

    def damaged(self) -> RelayError:
        """Return the error that says so."""
        trouble, hint = _TROUBLE[sqlite3.SQLITE_CORRUPT]
        return RelayError(f"{self.path} {trouble}", hint=hint)

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._reading.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            code = getattr(error.orig, "sqlite_errorcode", 0) & _RESULT_CODE
            if code not in _TROUBLE:
                raise
            trouble, hint = _TROUBLE[code]
            if code in _PASSING:
                raise DiskError(_PASSING[code], f"{self.path} {trouble}", hint=hint) from error
            raise RelayError(f"{self.path} {trouble}", hint=hint) from error


def make_private(path: Path) -> None:
    """Make the database's file with mode 0600, or give an existing one that mode (rule R2).

    Raises:
        RelayError: the file system refuses.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_IMODE(mode) != 0o600:
            path.chmod(0o600)
    except FileNotFoundError:
        _create(path)
    except OSError as error:
        raise _out_of_reach(path, error) from error


def _create(path: Path) -> None:
    try:
        # Only a file that is new may be opened beside SQLite: closing it would drop SQLite's locks on it.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise _out_of_reach(path, error) from error


def _out_of_reach(path: Path, error: OSError) -> RelayError:
    _, hint = _TROUBLE[sqlite3.SQLITE_CANTOPEN]
    if trouble := disk_trouble(error):
        return trouble
    return RelayError(f"{path} cannot be opened: {error.strerror}", hint=hint)


def _engine(path: Path, busy_timeout: timedelta, *, foreign_keys: bool, read_only: bool) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": busy_timeout.total_seconds()},
        # What a statement carries stays out of messages and tracebacks (rule R1).
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        # The driver would begin transactions by itself, and too late for BEGIN IMMEDIATE.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        # Not SQLite's read-only mode: that cannot open a database in WAL mode which nobody else has open.
        connection.execute(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine
