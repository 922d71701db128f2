"""A list that goes out as several files (rule D13)."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the counts of files, and the table of those that are several."""
    op.add_column("deliveries", sa.Column("files", sa.Integer, nullable=False, server_default="1"))
    op.add_column("deliveries", sa.Column("files_sent", sa.Integer, nullable=False, server_default="0"))
    op.execute("UPDATE deliveries SET files_sent = 1 WHERE state = 'sent'")
    op.create_table(
        "slices",
        sa.Column("delivery_id", sa.String, sa.ForeignKey("deliveries.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("upstream", sa.String, nullable=False),
        sa.Column("remote_name", sa.String, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("offset", sa.Integer, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("first_attempt", sa.Integer),
        sa.Column("sent_at", sa.String),
        sa.Column("verified", sa.Boolean),
        sa.UniqueConstraint("upstream", "remote_name"),
    )
