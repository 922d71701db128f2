"""What the installer does with the database when versions change (`deploy/state.py`)."""

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "state.py"


def a_database(path: Path, tables: str = "0007", transitions: int = 3) -> Path:
    """A database as far as the script looks at it."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("CREATE TABLE transitions (seq INTEGER PRIMARY KEY)")
        connection.execute("CREATE TABLE arrivals (id INTEGER PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES (?)", [tables])
        connection.executemany("INSERT INTO transitions VALUES (?)", [[it] for it in range(transitions)])
    return path


def change(path: Path, statement: str) -> None:
    """Change a database."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def tables(path: Path) -> str:
    """The version of a database's tables."""
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the script."""
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    """Where copies go."""
    return tmp_path / "backups"


def test_a_copy_is_private_and_the_last_five_stay(tmp_path: Path, backups: Path) -> None:
    """Each upgrade leaves one; the oldest go."""
    database = a_database(tmp_path / "relay.db")
    for number in range(7):
        copy = backups / f"1-to-2-{number}.db"
        assert run("back-up", database, copy).returncode == 0
        os.utime(copy, (number, number))
    assert sorted(it.name for it in backups.iterdir()) == [f"1-to-2-{number}.db" for number in range(2, 7)]
    assert {stat.S_IMODE(it.stat().st_mode) for it in backups.iterdir()} == {0o600}
    assert tables(backups / "1-to-2-6.db") == "0007"


def test_going_back_with_the_same_tables_keeps_everything(tmp_path: Path, backups: Path) -> None:
    """The older version reads what the newer one wrote: nothing is put back."""
    database = a_database(tmp_path / "relay.db")
    run("back-up", database, backups / "1-to-2-a.db")
    change(database, "INSERT INTO transitions VALUES (100)")
    assert run("roll-back", database, backups, "1-to-2-").returncode == 0
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT max(seq) FROM transitions").fetchone() == (100,)


def test_going_back_right_after_the_tables_changed_puts_the_copy_back(tmp_path: Path, backups: Path) -> None:
    """Nothing has happened, so nothing is forgotten; the newest copy of this upgrade counts."""
    database = a_database(tmp_path / "relay.db")
    run("back-up", database, backups / "1-to-2-a.db")
    change(database, "UPDATE alembic_version SET version_num = '0008'")
    assert run("roll-back", database, backups, "1-to-2-").returncode == 0
    assert tables(database) == "0007"


@pytest.mark.parametrize("statement", ["INSERT INTO transitions VALUES (100)", "INSERT INTO arrivals VALUES (7)"])
def test_going_back_is_refused_when_it_would_forget(tmp_path: Path, backups: Path, statement: str) -> None:
    """What was received or sent with the newer tables would be sent again: nothing is changed."""
    database = a_database(tmp_path / "relay.db")
    run("back-up", database, backups / "1-to-2-a.db")
    change(database, "UPDATE alembic_version SET version_num = '0008'")
    change(database, statement)
    said = run("roll-back", database, backups, "1-to-2-")
    assert said.returncode == 1
    assert "send it again" in said.stderr
    assert tables(database) == "0008"


def test_going_back_without_a_copy_is_refused(tmp_path: Path, backups: Path) -> None:
    """Somebody has removed it."""
    backups.mkdir()
    said = run("roll-back", a_database(tmp_path / "relay.db"), backups, "1-to-2-")
    assert said.returncode == 1
    assert "no copy" in said.stderr
