"""The first tables.

Instants are unix seconds.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("rights", sa.JSON(), nullable=False),
        sa.Column("site_ids", sa.JSON()),
        sa.Column("charger_ids", sa.JSON()),
        sa.Column("flipturn", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double()),
        sa.Column("revoked_at", sa.Double()),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("key_hash", name="uq_api_keys_key_hash"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "chargers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ocpp_identity", sa.String(length=48), nullable=False),
        sa.Column("identity_key", sa.String(), nullable=False),
        sa.Column("name", sa.String()),
        sa.Column("site_id", sa.String()),
        sa.Column("external_id", sa.String()),
        sa.Column("manufacturer", sa.String()),
        sa.Column("model", sa.String()),
        sa.Column("serial_number", sa.String()),
        sa.Column("firmware_version", sa.String()),
        sa.Column("latitude", sa.Double()),
        sa.Column("longitude", sa.Double()),
        sa.Column("charger_type", sa.String()),
        sa.Column("password_hash", sa.String()),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_chargers"),
        sa.UniqueConstraint("external_id", name="uq_chargers_external_id"),
        sa.UniqueConstraint("identity_key", name="uq_chargers_identity_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_chargers_site_id", "chargers", ["site_id"])
    op.create_table(
        "events",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("workflow_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("payload_json", sa.Text(), nullable=False),
        sa.Column("stored_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_charger_id_id", "events", ["charger_id", "id"])
    op.create_table(
        "gateways",
        sa.Column("incarnation", sa.String(), nullable=False),
        sa.Column("gateway_id", sa.String(), nullable=False),
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("heartbeat_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("incarnation", name="pk_gateways"),
    )
    op.create_table(
        "live_reservations",
        sa.Column("workflow_id", sa.String(), nullable=False),
        sa.Column("first_run_id", sa.String(), nullable=False),
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("reservation_id", sa.Integer(), nullable=False),
        sa.Column("port_number", sa.Integer()),
        sa.Column("id_tag", sa.String(), nullable=False),
        sa.Column("parent_id_tag", sa.String()),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("workflow_id", name="pk_live_reservations"),
    )
    op.create_index("ix_live_reservations_charger_id", "live_reservations", ["charger_id"])
    op.create_table(
        "messages",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("charger_id", sa.Integer()),
        sa.Column("ocpp_identity", sa.String(), nullable=False),
        sa.Column("protocol", sa.String(), nullable=False),
        sa.Column("sender", sa.String(), nullable=False),
        sa.Column("message_type", sa.String(), nullable=False),
        sa.Column("payload_json", sa.Text(), nullable=False),
        sa.Column("response_json", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_messages_charger_id_id", "messages", ["charger_id", "id"])
    op.create_index("ix_messages_created_at", "messages", ["created_at"])
    op.create_table(
        "tokens",
        sa.Column("token_key", sa.String(), nullable=False),
        sa.Column("id_tag", sa.String(), nullable=False),
        sa.Column("parent_id_tag", sa.String()),
        sa.Column("status", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("token_key", name="pk_tokens"),
    )
    op.create_table(
        "transactions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("start_key", sa.String(), nullable=False),
        sa.Column("ocpp_transaction_id", sa.String()),
        sa.Column("port_number", sa.Integer(), nullable=False),
        sa.Column("id_tag", sa.String()),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("meter_start", sa.Double()),
        sa.Column("reservation_id", sa.Integer()),
        sa.Column("ended_at", sa.Double()),
        sa.Column("meter_stop", sa.Double()),
        sa.Column("reason", sa.String()),
        sa.PrimaryKeyConstraint("id", name="pk_transactions"),
        sa.UniqueConstraint("charger_id", "start_key", name="uq_transactions_charger_id_start_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_transactions_charger_id_ended_at", "transactions", ["charger_id", "ended_at"])
    op.create_index(
        "ix_transactions_charger_id_port_number_started_at",
        "transactions",
        ["charger_id", "port_number", "started_at"],
    )
    op.create_table(
        "connectors",
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("port_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("connector_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["charger_id"], ["chargers.id"], name="fk_connectors_charger_id_chargers", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("charger_id", "port_number", "connector_id", name="pk_connectors"),
    )
    op.create_table(
        "links",
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("incarnation", sa.String()),
        sa.Column("protocol", sa.String(), nullable=False),
        sa.Column("connected_at", sa.Double(), nullable=False),
        sa.Column("ready_at", sa.Double()),
        sa.Column("disconnected_at", sa.Double()),
        sa.ForeignKeyConstraint(
            ["charger_id"], ["chargers.id"], name="fk_links_charger_id_chargers", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("charger_id", name="pk_links"),
    )
    op.create_index("ix_links_incarnation", "links", ["incarnation"])
    op.create_table(
        "ports",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("charger_id", sa.Integer(), nullable=False),
        sa.Column("port_number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String()),
        sa.Column("plug_type", sa.String()),
        sa.Column("maximum_power_kw", sa.Double()),
        sa.Column("status", sa.String()),
        sa.Column("status_at", sa.Double()),
        sa.Column("error_code", sa.String()),
        sa.Column("vendor_error_code", sa.String()),
        sa.Column("info", sa.String()),
        sa.ForeignKeyConstraint(
            ["charger_id"], ["chargers.id"], name="fk_ports_charger_id_chargers", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_ports"),
        sa.UniqueConstraint("charger_id", "port_number", name="uq_ports_charger_id_port_number"),
        sqlite_autoincrement=True,
    )
