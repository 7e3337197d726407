"""What chargers can do, answers under idempotency keys, when a key was used, gateways that drain.

Instants are unix seconds.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add columns that may be null to what exists, and one table."""
    for name in (
        "said_reservations",
        "said_whole_charger",
        "showed_reservations",
        "showed_whole_charger",
    ):
        op.add_column("chargers", sa.Column(name, sa.Boolean()))
    op.add_column("chargers", sa.Column("capabilities_asked_at", sa.Double()))
    op.add_column("api_keys", sa.Column("last_used_at", sa.Double()))
    op.add_column("gateways", sa.Column("draining_at", sa.Double()))
    op.create_table(
        "idempotency",
        sa.Column("api_key_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=False),
        sa.Column("answer_json", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("api_key_id", "key_hash", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"])
