"""What the upstream left unanswered, and what a check found there."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add a column and a table."""
    op.add_column("deliveries", sa.Column("unanswered", sa.String))
    op.create_table(
        "probes",
        sa.Column("upstream", sa.String, primary_key=True),
        sa.Column("probed_at", sa.String, nullable=False),
        sa.Column("publish", sa.String),
        sa.Column("found", sa.JSON, nullable=False),
    )
