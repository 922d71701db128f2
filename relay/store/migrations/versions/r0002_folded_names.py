"""An index by which a new segment's name finds those that it nearly equals (rule G10)."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the index."""
    folded = sa.text("lower(replace(replace(replace(segment, ' ', ''), '_', ''), '-', ''))")
    op.create_index("deliveries_by_folded_name", "deliveries", ["upstream", "client_domain", folded])
