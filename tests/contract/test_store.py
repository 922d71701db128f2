"""The store's file: how it is opened, who may use it at once, and what happens when something is wrong with it."""

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from parts.books import START, Books, draft
from sqlalchemy import create_engine

from relay.lifecycle import DeliveryEvent, IllegalTransitionError
from relay.model import DeliveryState, Fingerprint, Landing, RelayError
from relay.store import Store
from relay.store.moves import move_delivery
from relay.store.schema import VERSION, metadata

NOT_ROOT = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a database is to be."""
    return tmp_path / "relay.db"


def schema_of(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """The SQL of every table and index, by name, in parts: SQLite puts an added column behind all else."""
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name != 'alembic_version'")
    return {name: parts_of(" ".join(sql.split())) for name, sql in rows}


def parts_of(sql: str) -> list[str]:
    """What stands between the outer brackets of a statement and its outer commas, and what is around it, sorted."""
    parts, depth = [""], 0
    for sign in sql:
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if (sign, depth) in {(",", 1), ("(", 1), (")", 0)}:
            parts.append("")
        else:
            parts[-1] += sign
    return sorted(part.strip() for part in parts)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be a user whose permissions count, even where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOT_ROOT)
    try:
        yield
    finally:
        os.seteuid(0)


def test_the_migrations_make_the_tables_that_the_code_works_with(path: Path) -> None:
    """A database made by the revisions has exactly the tables, checks and indexes of the schema."""
    Store.open(path).close()
    engine = create_engine("sqlite://")
    with closing(sqlite3.connect(path)) as migrated, engine.connect() as connection:
        metadata.create_all(connection)
        made = connection.connection.driver_connection
        assert made is not None
        assert schema_of(migrated) == schema_of(made)
        assert migrated.execute("SELECT version_num FROM alembic_version").fetchall() == [(VERSION,)]
    engine.dispose()


def test_the_file_is_private_whatever_the_umask(path: Path) -> None:
    """The database and what SQLite puts beside it have mode 0600 (rule R2)."""
    umask = os.umask(0)
    try:
        with Books(path) as books:
            books.land()
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(umask)
    assert modes == {"relay.db": 0o600, "relay.db-wal": 0o600, "relay.db-shm": 0o600}


def test_a_file_that_others_could_read_is_made_private(path: Path) -> None:
    """A copy put back with a lax mode is corrected when it is opened (rule R2)."""
    Store.open(path).close()
    path.chmod(0o644)
    Store.open(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_committed_is_on_the_disk(path: Path) -> None:
    """Every connection writes ahead, syncs fully and enforces references."""
    with Books(path) as books, books.store._database.reading() as connection:  # noqa: SLF001  nobody else may know
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}


def test_an_up_to_date_database_is_opened_without_alembic(path: Path) -> None:
    """Only a migration pays for importing what migrates."""
    Store.open(path).close()
    code = (
        "import sys; from pathlib import Path; from relay.store import Store; "
        "Store.open(Path(sys.argv[1])).close(); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, path], check=False).returncode == 0


def test_a_newer_database_is_refused_and_left_alone(path: Path) -> None:
    """An older program must not guess at tables that it does not know."""
    Store.open(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(RelayError, match="newer version") as refusal:
        Store.open(path)
    assert "backup" in refusal.value.hint
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    """What somebody else wrote there is neither used nor overwritten."""
    path.write_text("not a database, but long enough to be looked at as one " * 20, encoding="ascii")
    before = path.read_bytes()
    with pytest.raises(RelayError, match="is not a database") as refusal:
        Store.open(path)
    assert "backup" in refusal.value.hint
    assert path.read_bytes() == before


def test_a_damaged_database_is_reported_with_what_to_do(path: Path) -> None:
    """A page that was overwritten is trouble for a person, not a stack trace."""
    with Books(path) as books:
        for _ in range(100):
            books.land()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with pytest.raises(RelayError, match="is damaged") as trouble, closing(Store.open(path)) as store:
        store.arrivals()
    assert "backup" in trouble.value.hint


def test_a_directory_that_may_not_be_written_is_reported(tmp_path: Path) -> None:
    """The hint says which user the command is to be run as."""
    directory = tmp_path / "state"
    directory.mkdir(mode=0o555)
    with unprivileged(), pytest.raises(RelayError, match="cannot be opened") as refusal:
        Store.open(directory / "relay.db")
    assert "user" in refusal.value.hint


def test_a_database_of_another_user_is_reported(path: Path) -> None:
    """A command run as the wrong user says so instead of failing half-way."""
    if os.geteuid() != 0:
        pytest.skip("needs root: only root can be somebody else")
    Store.open(path).close()
    with unprivileged(), pytest.raises(RelayError, match="cannot be opened") as refusal:
        Store.open(path)
    assert "user" in refusal.value.hint


def test_a_missing_database_is_not_made_for_a_command_that_only_looks(path: Path) -> None:
    """Made by a command, it could belong to the wrong user."""
    with pytest.raises(RelayError, match="there is no") as refusal:
        Store.open(path, create=False)
    assert "relay serve" in refusal.value.hint
    assert not path.exists()


def test_a_database_locked_for_too_long_is_reported(path: Path) -> None:
    """A writer waits for another program's transaction, but not for ever."""
    Store.open(path).close()
    landing = Landing("amperity", "/uploads/x.csv", Fingerprint(1, 1), 1, confirmed=True)
    with (
        closing(Store.open(path, busy_timeout=timedelta(milliseconds=50))) as store,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RelayError, match="is locked") as refusal:
            store.land(landing, START)
        other.execute("ROLLBACK")
        assert store.land(landing, START).id == 1
    assert "fuser" in refusal.value.hint


def test_a_full_disk_is_reported_and_changes_nothing(path: Path) -> None:
    """What could not be written was not done, and works once there is room."""
    with Books(path) as books:
        books.land()
        with closing(sqlite3.connect(path)) as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
        with books.store._database.reading() as connection_in_pool:  # noqa: SLF001  a disk cannot be filled up here
            connection_in_pool.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(RelayError, match="disk is full"):  # noqa: PT012  at one of them, whichever
            for _ in range(1000):
                books.land()
        noted = len(books.store.arrivals())
        books.reopen()
        books.land()
        assert len(books.store.arrivals()) == noted + 1


def test_a_naive_instant_is_refused(path: Path) -> None:
    """An instant without a zone is nobody's, so nothing is stored."""
    landing = Landing("amperity", "/uploads/x.csv", Fingerprint(1, 1), 1, confirmed=True)
    with Books(path) as books:
        with pytest.raises(Exception, match="naive"):
            books.store.land(landing, datetime(2026, 11, 23, tzinfo=UTC).replace(tzinfo=None))
        assert books.store.arrivals() == []


def test_instants_are_stored_as_text_that_sorts(path: Path) -> None:
    """In UTC with six decimals, whatever zone they were given in."""
    landing = Landing("amperity", "/uploads/x.csv", Fingerprint(1, 1), 1, confirmed=True)
    with Books(path) as books, closing(sqlite3.connect(path)) as connection:
        arrival = books.store.land(landing, datetime(2026, 11, 23, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))))
        stored = connection.execute("SELECT landed_at FROM arrivals").fetchone()
    assert stored == ("2026-11-22T23:02:03.000000Z",)
    assert arrival.landed_at == datetime(2026, 11, 22, 23, 2, 3, tzinfo=UTC)


def test_several_processes_may_begin_and_write_at_once(path: Path) -> None:
    """None finds a half-made database, and nothing that any of them notes is lost."""
    code = (
        "import sys\n"
        "from datetime import UTC, datetime\n"
        "from pathlib import Path\n"
        "from relay.model import Fingerprint, Landing\n"
        "from relay.store import Store\n"
        "store = Store.open(Path(sys.argv[1]))\n"
        "for number in range(25):\n"
        "    landing = Landing(sys.argv[2], f'/uploads/{number}', Fingerprint(number, 0), 1, confirmed=True)\n"
        "    store.land(landing, datetime.now(UTC))\n"
        "store.close()\n"
    )
    accounts = [f"account{number}" for number in range(4)]
    processes = [subprocess.Popen([sys.executable, "-c", code, path, account]) for account in accounts]
    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    with Books(path) as books:
        assert [len(books.store.known(account)) for account in accounts] == [25, 25, 25, 25]
        assert [it.seq for it in books.store.unlogged()] == list(range(1, 101))


def test_threads_take_turns(path: Path) -> None:
    """Many threads on one store neither fail nor claim anything twice."""
    with Books(path) as books:
        planned = [books.plan(segment=f"segment {number}").id for number in range(20)]
        claimed: list[str] = []

        def claim_all() -> None:
            while delivery := books.claim():
                claimed.append(delivery.id)

        threads = [threading.Thread(target=claim_all) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(claimed) == sorted(planned)


def test_a_verb_that_fails_changes_nothing(path: Path) -> None:
    """What happened before the failure in the same transaction is undone, and nobody is told of a commit."""
    with Books(path) as books:
        export, commits = books.receive(), books.commits

        def stumble(*_: object) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            books.accept(export, draft(), plan=stumble)  # type: ignore[arg-type]
        assert books.store.export(export.id) == export
        assert books.events(export.id) == ["export.received"]
        assert books.commits == commits


def test_only_the_state_that_was_seen_is_left(path: Path) -> None:
    """A value that is out of date moves nothing: the swap compares."""
    with Books(path) as books:
        seen = books.plan()
        books.hold(seen)
        events = books.events(seen.id)
        with (
            pytest.raises(IllegalTransitionError, match="is no longer queued"),
            books.store._database.transaction(START) as transaction,  # noqa: SLF001  no verb can be made to hold on to it
        ):
            move_delivery(transaction, seen, DeliveryEvent.CLAIMED)
        assert books.look(seen).state is DeliveryState.HELD
        assert books.events(seen.id) == events


def test_a_commit_is_told_once_it_is_durable(path: Path) -> None:
    """Whoever is woken by a commit finds it, and what changes nothing wakes nobody."""
    seen: list[int] = []
    store = Store.open(path, committed=lambda: seen.append(len(store.unlogged())))
    with closing(store):
        landing = Landing("amperity", "/uploads/x.csv", Fingerprint(1, 1), 1, confirmed=True)
        store.land(landing, START)
        store.land(landing, START)
        store.hold_stale(START)
        store.logged(1)
    assert seen == [1]
