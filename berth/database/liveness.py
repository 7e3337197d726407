"""What makes a socket live: its gateway's heartbeat is fresh by the database's clock."""

from datetime import timedelta

import sqlalchemy as sa

from berth.database.clock import database_now
from berth.database.tables import gateways, links

HEARTBEAT_LIFETIME = timedelta(seconds=15)
"""A gateway silent for this long is taken for dead."""

gateway_lives: sa.ColumnElement[bool] = (
    gateways.c.heartbeat_at > database_now() - HEARTBEAT_LIFETIME.total_seconds()
)

holds_socket: sa.ColumnElement[bool] = sa.and_(gateways.c.incarnation == links.c.incarnation, gateway_lives)
"""Joins `gateways` to `links`: a live gateway holds the charger's socket."""

takes_commands: sa.ColumnElement[bool] = sa.and_(
    gateway_lives, gateways.c.draining_at.is_(None), links.c.ready_at.is_not(None)
)
"""Of a link and the gateway that holds it: the charger is ready, and its gateway takes new commands."""

is_ready: sa.ColumnElement[bool] = sa.and_(holds_socket, takes_commands)
"""Joins `gateways` to `links`: and the charger can be sent commands."""
