"""The least security profile that a charger may connect with."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add a column that may be null: chargers that exist connect as before."""
    op.add_column("chargers", sa.Column("security_profile", sa.Integer()))
