"""The first tables: arrivals, exports, deliveries, file numbers, suspensions, and the history of them all.

A revision stands on its own: it says what the tables were on its day, whatever `relay.store.schema` says later.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    _exports()
    _arrivals()
    _deliveries()
    _the_rest()


def _exports() -> None:
    op.create_table(
        "exports",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("route", sa.String, nullable=False),
        sa.Column(
            "state", _state("export_state", "received accepted duplicated quarantined discarded"), nullable=False
        ),
        sa.Column("account", sa.String, nullable=False),
        sa.Column("path", sa.String, nullable=False),
        sa.Column("source_bytes", sa.Integer, nullable=False),
        sa.Column("source_sha256", sa.String, nullable=False),
        sa.Column("received_at", sa.String, nullable=False),
        _count("attempts"),
        sa.Column("accepted_at", sa.String),
        sa.Column("settings_digest", sa.String),
        sa.Column("list_date", sa.Date),
        sa.Column("report", sa.String),
        sa.Column("delays", sa.JSON),
        sa.Column("original_id", sa.String, sa.ForeignKey("exports.id")),
        sa.Column("reason", sa.String),
        sa.Column("detail", sa.String),
        sa.Column("hint", sa.String),
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
        sa.Column("state", _state("arrival_state", "landed claimed withdrawn unrouted"), nullable=False),
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


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("place", sa.Integer, primary_key=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("export_id", sa.String, sa.ForeignKey("exports.id"), nullable=False),
        sa.Column("route", sa.String, nullable=False),
        sa.Column("upstream", sa.String, nullable=False),
        sa.Column("client_domain", sa.String, nullable=False),
        sa.Column("segment", sa.String, nullable=False),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column(
            "state",
            _state("delivery_state", "queued held sending deferred failed sent superseded duplicated discarded"),
            nullable=False,
        ),
        *map(_count, ("rows_in", "rows_out", "duplicates", "rejected", "empty", "control", "suspect")),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("landed_at", sa.String, nullable=False),
        sa.Column("planned_at", sa.String, nullable=False),
        sa.Column("planned_on", sa.Date, nullable=False),
        sa.Column("stale_at", sa.String, nullable=False),
        sa.Column("previous_rows", sa.Integer),
        sa.Column("remote_name", sa.String),
        sa.Column("remote_date", sa.Date),
        sa.Column("replaces_same_day", sa.Boolean, nullable=False, server_default="0"),
        sa.Column("queued_at", sa.String),
        sa.Column("due_at", sa.String),
        sa.Column("lease_until", sa.String),
        _count("attempts"),
        sa.Column("sent_at", sa.String),
        sa.Column("verified", sa.Boolean),
        sa.Column("publish", sa.String),
        sa.Column("reason", sa.String),
        sa.Column("detail", sa.String),
        sa.Column("hint", sa.String),
        sa.UniqueConstraint("export_id", "ordinal"),
        sa.UniqueConstraint("upstream", "remote_name"),
        sqlite_autoincrement=True,
    )
    segment = ["upstream", "client_domain", "segment"]
    op.create_index("deliveries_of_segment", "deliveries", [*segment, "landed_at", "place"])
    op.create_index(
        "deliveries_sending_once", "deliveries", segment, unique=True, sqlite_where=sa.text("state = 'sending'")
    )
    op.create_index("deliveries_by_state", "deliveries", ["state", "due_at"])
    op.create_index("deliveries_by_route", "deliveries", ["route", "place"])


def _the_rest() -> None:
    op.create_table(
        "file_numbers",
        sa.Column("upstream", sa.String, primary_key=True),
        sa.Column("client_domain", sa.String, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("last", sa.Integer, nullable=False),
    )
    op.create_table(
        "suspensions",
        sa.Column("upstream", sa.String, primary_key=True),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("detail", sa.String, nullable=False),
        sa.Column("hint", sa.String, nullable=False),
        sa.Column("suspended_at", sa.String, nullable=False),
        sa.Column("probe_at", sa.String, nullable=False),
    )
    op.create_table(
        "transitions",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("event", sa.String, nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("from_state", sa.String),
        sa.Column("to_state", sa.String, nullable=False),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("fields", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("transitions_of_subject", "transitions", ["subject", "seq"])
    op.create_table(
        "log_position",
        sa.Column("only", sa.Integer, primary_key=True),
        sa.Column("logged", sa.Integer, nullable=False),
    )


def _state(name: str, states: str) -> sa.Enum:
    return sa.Enum(*states.split(), name=name, native_enum=False, create_constraint=True)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default="0")
