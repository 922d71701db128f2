"""Whether lists went out in time: the verdicts, and an index by which they are found out."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table and the index."""
    verdict = sa.Enum("ok", "late", "missing", name="freshness_verdict", native_enum=False, create_constraint=True)
    op.create_table(
        "freshness",
        sa.Column("route", sa.String, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("segment", sa.String, primary_key=True),
        sa.Column("verdict", verdict),
        sa.Column("judged_at", sa.String, nullable=False),
    )
    op.create_index(
        "deliveries_by_sending", "deliveries", ["route", "sent_at"], sqlite_where=sa.text("sent_at IS NOT NULL")
    )
