"""The tables of the database. `migrations/` creates them; a test holds the two equal."""

from typing import Any

import sqlalchemy as sa

from berth.database.column_types import Instant, WireText

IDENTITY_LENGTH = 48
"""OCPP 2.0.1 identifierString[48]; 1.6 leaves 20 of it unused."""

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Only a column of type INTEGER counts by itself in SQLite; there it has 64 bits anyway.
_BigId = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# Ids are never given twice, also after a removal: workflow ids and events outlive their rows.
_NEVER_REUSED: dict[str, Any] = {"sqlite_autoincrement": True}


def _charger() -> sa.Column[int]:
    return sa.Column("charger_id", sa.ForeignKey("chargers.id", ondelete="CASCADE"), nullable=False)


chargers = sa.Table(
    "chargers",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("ocpp_identity", WireText(IDENTITY_LENGTH), nullable=False),
    sa.Column("identity_key", WireText, nullable=False, unique=True),  # the identity, case folded
    sa.Column("name", WireText),
    sa.Column("site_id", WireText, index=True),
    sa.Column("external_id", WireText, unique=True),
    sa.Column("manufacturer", WireText),
    sa.Column("model", WireText),
    sa.Column("serial_number", WireText),
    sa.Column("firmware_version", WireText),
    sa.Column("latitude", sa.Double),
    sa.Column("longitude", sa.Double),
    sa.Column("charger_type", WireText),
    sa.Column("password_hash", WireText),
    sa.Column("newer_password_hashes", sa.JSON(none_as_null=True)),  # it may have one of these, oldest first
    sa.Column("said_reservations", sa.Boolean),  # in its configuration; null = unknown
    sa.Column("said_whole_charger", sa.Boolean),
    sa.Column("showed_reservations", sa.Boolean),  # by its answers to commands
    sa.Column("showed_whole_charger", sa.Boolean),
    sa.Column("capabilities_asked_at", Instant),
    sa.Column(
        "security_profile", sa.Integer
    ),  # OCPP's number, the least it may connect with; null = none set
    sa.Column("created_at", Instant, nullable=False),
    **_NEVER_REUSED,
)

ports = sa.Table(
    "ports",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    _charger(),
    sa.Column("port_number", sa.Integer, nullable=False),
    sa.Column("name", WireText),
    sa.Column("plug_type", WireText),
    sa.Column("maximum_power_kw", sa.Double),
    sa.Column("status", WireText),
    sa.Column("status_at", Instant),
    sa.Column("error_code", WireText),
    sa.Column("vendor_error_code", WireText),
    sa.Column("info", WireText),
    sa.UniqueConstraint("charger_id", "port_number"),
    **_NEVER_REUSED,
)

connectors = sa.Table(
    "connectors",
    metadata,
    sa.Column("charger_id", sa.ForeignKey("chargers.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("port_number", sa.Integer, primary_key=True, autoincrement=False),  # 0 = the charger itself
    sa.Column("connector_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("status", WireText, nullable=False),
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("token_key", WireText, primary_key=True),  # the tag, case folded
    sa.Column("id_tag", WireText, nullable=False),
    sa.Column("parent_id_tag", WireText),
    sa.Column("status", WireText, nullable=False),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", WireText, nullable=False),
    sa.Column("key_hash", sa.String(64), nullable=False, unique=True),  # SHA-256, hexadecimal
    sa.Column("rights", sa.JSON, nullable=False),
    sa.Column("site_ids", sa.JSON(none_as_null=True)),  # null = all
    sa.Column("charger_ids", sa.JSON(none_as_null=True)),  # null = all
    sa.Column("flipturn", sa.Boolean, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("expires_at", Instant),
    sa.Column("revoked_at", Instant),
    sa.Column("last_used_at", Instant),
    **_NEVER_REUSED,
)

gateways = sa.Table(
    "gateways",
    metadata,
    sa.Column("incarnation", WireText, primary_key=True),
    sa.Column("gateway_id", WireText, nullable=False),
    sa.Column("queue", WireText, nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("heartbeat_at", Instant, nullable=False),
    sa.Column("draining_at", Instant),  # takes no new commands since then
    sa.Column("loss_told_at", Instant),  # its chargers' disconnection was reported to webhooks
)

links = sa.Table(
    "links",
    metadata,
    sa.Column("charger_id", sa.ForeignKey("chargers.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),  # counts the charger's sockets, for ever
    sa.Column("incarnation", WireText, index=True),  # null = no socket
    sa.Column("protocol", WireText, nullable=False),
    sa.Column("connected_at", Instant, nullable=False),
    sa.Column("ready_at", Instant),
    sa.Column("disconnected_at", Instant),
    sa.Column("replaced_epoch", sa.BigInteger),  # the ready socket it took over from; null = none
    sa.Column("lost_at", Instant),  # this socket's end with its gateway was reported to webhooks
    # Counts, for ever, the sockets that were reported lost and were not.
    sa.Column("losses", sa.Integer, nullable=False, server_default=sa.text("0")),
)

# `EventSubscription`; the table keeps its name, an older release may run beside this one. No foreign key
# here and below: a run's subscription and a charger's reports outlive the charger's row.
live_reservations = sa.Table(
    "live_reservations",
    metadata,
    sa.Column("workflow_id", WireText, primary_key=True),
    sa.Column("first_run_id", WireText, nullable=False),
    sa.Column("charger_id", sa.Integer, nullable=False, index=True),
    sa.Column("reservation_id", sa.Integer, nullable=False),
    sa.Column("port_number", sa.Integer),  # null = any port
    sa.Column("id_tag", WireText, nullable=False),
    sa.Column("parent_id_tag", WireText),
    sa.Column("accepted", sa.Boolean, nullable=False),
    sa.Column("expires_at", Instant, nullable=False),
    # Of the last frame that was about to be sent; 0 = none yet. The next two are of its generation's first.
    sa.Column("generation", sa.Integer, nullable=False, server_default=sa.text("0")),
    sa.Column("asked_at", Instant),
    sa.Column("transactions_before", sa.Integer),  # the greatest transactions.id there was
)

transactions = sa.Table(
    "transactions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("charger_id", sa.Integer, nullable=False),
    sa.Column("start_key", WireText, nullable=False),  # what makes two reports one transaction
    sa.Column("ocpp_transaction_id", WireText),
    sa.Column("port_number", sa.Integer, nullable=False),
    sa.Column("id_tag", WireText),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("meter_start", sa.Double),
    sa.Column("reservation_id", sa.Integer),
    sa.Column("ended_at", Instant),
    sa.Column("meter_stop", sa.Double),
    sa.Column("reason", WireText),
    sa.Column("attributed_to", WireText),  # the workflow whose reservation it used up
    sa.UniqueConstraint("charger_id", "start_key"),
    sa.Index(None, "charger_id", "ended_at"),
    sa.Index(None, "charger_id", "port_number", "started_at"),
    **_NEVER_REUSED,
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", _BigId, primary_key=True),
    sa.Column("charger_id", sa.Integer, nullable=False),
    sa.Column("workflow_id", WireText, nullable=False),
    sa.Column("kind", WireText, nullable=False),
    sa.Column("payload_json", sa.Text, nullable=False),
    sa.Column("stored_at", Instant, nullable=False),
    sa.Index(None, "charger_id", "id"),
    **_NEVER_REUSED,
)

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("id", _BigId, primary_key=True),
    sa.Column("created_at", Instant, nullable=False, index=True),
    sa.Column("charger_id", sa.Integer),
    sa.Column("ocpp_identity", WireText, nullable=False),
    sa.Column("protocol", WireText, nullable=False),
    sa.Column("sender", WireText, nullable=False),
    sa.Column("message_type", WireText, nullable=False),
    sa.Column("payload_json", sa.Text, nullable=False),
    sa.Column("response_json", sa.Text),
    sa.Index(None, "charger_id", "id"),
    **_NEVER_REUSED,
)

payload_keys = sa.Table(
    "payload_keys",
    metadata,
    sa.Column("id", WireText, primary_key=True),
    sa.Column("proof", sa.String(64), nullable=False),  # HMAC-SHA256 under the key, hexadecimal
    sa.Column("used_since", Instant, nullable=False),
)

idempotency = sa.Table(
    "idempotency",
    metadata,
    sa.Column("api_key_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key_hash", sa.String(64), primary_key=True),  # SHA-256, hexadecimal
    sa.Column("body_hash", sa.String(64), nullable=False),
    sa.Column("status_code", sa.Integer, nullable=False),
    sa.Column("answer_json", sa.Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False, index=True),
)

webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("api_key_id", sa.ForeignKey("api_keys.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("url", WireText, nullable=False),
    sa.Column("secret", WireText, nullable=False),  # as it is: every attempt signs with it
    sa.Column("event_types", sa.JSON(none_as_null=True)),  # null = all
    sa.Column("site_id", WireText),  # null = all that its key sees
    sa.Column("created_at", Instant, nullable=False),
    **_NEVER_REUSED,
)

webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    sa.Column("id", _BigId, primary_key=True),
    sa.Column("webhook_id", sa.ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    sa.Column("event_id", sa.String(36), nullable=False),
    sa.Column("event_type", WireText, nullable=False),
    sa.Column("body_json", sa.Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("state", WireText, nullable=False),
    sa.Column("round", sa.Integer, nullable=False),  # counts the replays
    sa.Column("start_at", Instant, index=True),  # when a worker shall start its workflow; null = not
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("last_attempt_at", Instant),
    sa.Column("last_status", sa.Integer),
    sa.Column("last_error", WireText),
    sa.Column("ended_at", Instant, index=True),
    sa.UniqueConstraint("event_id", "webhook_id"),
    sa.Index(None, "webhook_id", "id"),
    **_NEVER_REUSED,
)
