"""The order of lists is that of their arrivals, which no clock has a say in (rule D8)."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Give every list the number of its export's last arrival, and a restored one that of the arrival after it."""
    op.add_column("deliveries", sa.Column("last_arrival", sa.Integer, nullable=False, server_default="0"))
    op.execute(
        """
        UPDATE deliveries SET last_arrival = COALESCE(
            (SELECT MAX(id) FROM arrivals WHERE export_id = deliveries.export_id AND part IS NOT NULL), 0)
        """
    )
    op.execute(
        """
        UPDATE deliveries SET last_arrival = 1 + COALESCE((
            SELECT CAST(SUBSTR(landed.subject, LENGTH('arrival/') + 1) AS INTEGER)
            FROM transitions AS landed
            WHERE landed.event = 'arrival.landed' AND landed.seq < restored.seq
            ORDER BY landed.seq DESC LIMIT 1), 0)
        FROM transitions AS restored
        WHERE restored.subject = deliveries.id AND restored.event = 'delivery.restored'
        """
    )
    op.drop_index("deliveries_of_segment", "deliveries")
    op.create_index(
        "deliveries_of_segment", "deliveries", ["upstream", "client_domain", "segment", "last_arrival", "place"]
    )
