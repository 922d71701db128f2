"""How many people a list has in common with the one that was sent before it (rule G12)."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the counts."""
    for name in ("kept", "lost", "gained"):
        op.add_column("deliveries", sa.Column(name, sa.Integer))
