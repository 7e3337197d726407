"""Passwords that a charger was told of and has not used yet."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add a column that may be null: no charger's password is being changed."""
    op.add_column("chargers", sa.Column("newer_password_hashes", sa.JSON()))
