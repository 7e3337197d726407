"""Sockets that webhooks were told had ended with their gateway, and that were there all the time.

Instants are unix seconds.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add two columns to what exists."""
    op.add_column("links", sa.Column("lost_at", sa.Double()))
    op.add_column("links", sa.Column("losses", sa.Integer(), nullable=False, server_default=sa.text("0")))
