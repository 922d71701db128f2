"""A database of another version: brought up to date, or refused. The only user of Alembic."""

from datetime import timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from relay.model import RelayError
from relay.store.database import Database
from relay.store.schema import VERSION

_MIGRATIONS: Final = "relay.store:migrations"


def is_up_to_date(connection: Connection) -> bool:
    """Say whether the database has exactly the tables that this program works with."""
    return _version(connection) == VERSION


def migrate(path: Path, busy_timeout: timedelta) -> None:
    """Bring the database at `path` up to date, in one transaction: an older one becomes a new one, or stays as it was.

    Raises:
        RelayError: the database was written by a newer program.
    """
    # A migration may rebuild a table that others refer to, which works only while references are not enforced.
    database = Database(path, busy_timeout=busy_timeout, foreign_keys=False)
    try:
        with database.writing() as connection:
            if not is_up_to_date(connection):
                _upgrade(connection, path)
    finally:
        database.close()


def _version(connection: Connection) -> str | None:
    """Return the revision that the database says it has, None for an empty one."""
    if not connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").first():
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()


def _upgrade(connection: Connection, path: Path) -> None:
    # Imported only when a migration is due: it takes longer than everything else about opening a database.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", _MIGRATIONS)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    version = _version(connection)
    if version is not None and version not in known:
        raise RelayError(
            f"{path} was written by a newer version of the relay (its tables are version {version}, ours {VERSION})",
            hint="Install that version again, or put the backup made before it in the file's place.",
        )
    command.upgrade(config, "head")
    if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall():
        raise AssertionError(f"the migration left {len(broken)} references without their row")
