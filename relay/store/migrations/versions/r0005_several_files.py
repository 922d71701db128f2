"""Several files, one export: an export may wait for its files, and an end marker may belong to nothing.

The checks on both states change, which SQLite only does by making a table anew.
"""

from collections.abc import Callable

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make `exports` and `arrivals` anew, with what they hold."""
    _make_anew("exports", _exports)
    _make_anew("arrivals", _arrivals)


def _make_anew(name: str, make: Callable[[], None]) -> None:
    """Replace a table by what `make` makes under its name, and put the rows back."""
    columns = ", ".join(column["name"] for column in sa.inspect(op.get_bind()).get_columns(name))
    op.execute(f"CREATE TEMPORARY TABLE kept AS SELECT * FROM {name}")  # noqa: S608  our own names
    op.drop_table(name)
    make()
    op.execute(f"INSERT INTO {name} ({columns}) SELECT {columns} FROM kept")  # noqa: S608  as above
    op.execute("DROP TABLE kept")


def _exports() -> None:
    op.create_table(
        "exports",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("route", sa.String, nullable=False),
        sa.Column(
            "state",
            _state("export_state", "gathering received accepted duplicated quarantined discarded"),
            nullable=False,
        ),
        sa.Column("account", sa.String, nullable=False),
        sa.Column("path", sa.String, nullable=False),
        sa.Column("source_bytes", sa.Integer, nullable=False),
        sa.Column("source_sha256", sa.String),
        sa.Column("received_at", sa.String, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("accepted_at", sa.String),
        sa.Column("settings_digest", sa.String),
        sa.Column("list_date", sa.Date),
        sa.Column("report", sa.String),
        sa.Column("delays", sa.JSON),
        sa.Column("original_id", sa.String, sa.ForeignKey("exports.id")),
        sa.Column("reason", sa.String),
        sa.Column("detail", sa.String),
        sa.Column("hint", sa.String),
        sa.Column("waits_until", sa.String),
        sa.Column("as_whole", sa.Boolean, nullable=False, server_default="0"),
    )
    op.create_index("exports_by_receipt", "exports", ["received_at"])
    op.create_index("exports_by_state", "exports", ["state", "received_at"])
    op.create_index("exports_by_route", "exports", ["route", "received_at"])


def _arrivals() -> None:
    op.create_table(
        "arrivals",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("account", sa.String, nullable=False),
        sa.Column("path", sa.String, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("confirmed", sa.Boolean, nullable=False),
        sa.Column("session", sa.String),
        sa.Column("state", _state("arrival_state", "landed claimed withdrawn unrouted ignored"), nullable=False),
        sa.Column("landed_at", sa.String, nullable=False),
        sa.Column("export_id", sa.String, sa.ForeignKey("exports.id")),
        sa.Column("part", sa.Integer),
        sa.Column("cleared_at", sa.String),
        sa.Column("hint", sa.String),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "arrivals_landed_once",
        "arrivals",
        ["account", "path", "fingerprint"],
        unique=True,
        sqlite_where=sa.text("state = 'landed'"),
    )
    op.create_index("arrivals_in_view", "arrivals", ["account", "id"], sqlite_where=sa.text("cleared_at IS NULL"))
    op.create_index("arrivals_by_export", "arrivals", ["export_id", "part"])
    op.create_index("arrivals_by_state", "arrivals", ["state"])


def _state(name: str, states: str) -> sa.Enum:
    return sa.Enum(*states.split(), name=name, native_enum=False, create_constraint=True)
