"""What happens to the database when another version takes over: `deploy/install` runs this as the service's user.

Only the standard library, and no word of the relay's own: it must read what any version has left.
"""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

KEPT = 5
"""So many copies are kept."""


def back_up(database: Path, to: Path) -> None:
    """Copy the database of a service that is stopped; the newest copies stay."""
    to.parent.mkdir(mode=0o700, exist_ok=True)
    _copy(database, to)
    to.chmod(0o600)
    by_age = sorted(to.parent.glob("*.db"), key=lambda file: file.stat().st_mtime)
    for old in by_age[:-KEPT]:
        old.unlink()


def roll_back(database: Path, backups: Path, upgrade: str) -> None:
    """Leave a database that the older version can read, with everything in it.

    Where the tables are the same, nothing is to be done. Where the upgrade changed them and nothing has happened since,
    the copy made before it is as good. Anything else would forget what was taken or sent since, and send it again.
    """
    copies = sorted(backups.glob(f"{upgrade}*.db"))
    if not copies:
        sys.exit(f"There is no copy of the database from before the upgrade in {backups}.")
    before, now = _tables(copies[-1]), _tables(database)
    if before == now:
        return
    if _history(copies[-1]) != _history(database):
        sys.exit(
            "The upgrade changed the tables, and something was received or sent since: going back would forget it, and "
            "send it again. Nothing was changed. Go forward instead: install a version that mends what is wrong."
        )
    _copy(copies[-1], database)


def _copy(source: Path, to: Path) -> None:
    with closing(sqlite3.connect(source)) as here, closing(sqlite3.connect(to)) as there:
        here.backup(there)


def _tables(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def _history(database: Path) -> tuple[int, ...]:
    """Return how far the history has come: every landing and every transition has a number."""
    with closing(sqlite3.connect(database)) as connection:
        return tuple(
            int(connection.execute(query).fetchone()[0])
            for query in (
                "SELECT coalesce(max(seq), 0) FROM transitions",
                "SELECT coalesce(max(id), 0) FROM arrivals",
            )
        )


if __name__ == "__main__":
    verb, *arguments = sys.argv[1:]
    if verb == "back-up":
        back_up(*map(Path, arguments))
    else:
        roll_back(Path(arguments[0]), Path(arguments[1]), arguments[2])
