"""What was asked of a charger when, and which reservation a transaction used up.

Instants are unix seconds.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add columns to what exists; a release without them goes on writing its rows."""
    zero = sa.text("0")
    op.add_column(
        "live_reservations", sa.Column("generation", sa.Integer(), nullable=False, server_default=zero)
    )
    op.add_column("live_reservations", sa.Column("asked_at", sa.Double()))
    op.add_column("live_reservations", sa.Column("transactions_before", sa.Integer()))
    op.add_column("transactions", sa.Column("attributed_to", sa.String()))
