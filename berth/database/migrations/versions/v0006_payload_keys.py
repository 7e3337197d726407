"""The keys that payloads in Temporal are encrypted with, by id and proof.

Instants are unix seconds.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add one table."""
    op.create_table(
        "payload_keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("proof", sa.String(length=64), nullable=False),
        sa.Column("used_since", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_payload_keys"),
    )
