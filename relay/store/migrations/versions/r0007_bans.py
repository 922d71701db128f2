"""Bans: the sources that are shut out of the landing zone."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "bans",
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("banned_at", sa.String, nullable=False),
        sa.Column("until", sa.String, nullable=False),
    )
