"""The database's clock, the only one that decides what is fresh: processes' clocks may disagree.

A socket is live while its gateway's heartbeat is fresh by it.
"""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from berth.database.tables import gateways, links


class _DatabaseNow(FunctionElement[float]):
    inherit_cache = True  # without it every statement with a clock is compiled anew each time
    type = sa.Double()


def database_now() -> sa.ColumnElement[float]:
    """The instant at which the database runs the statement, in unix seconds."""
    return _DatabaseNow()


@compiles(_DatabaseNow, "sqlite")
def _sqlite_now(element: _DatabaseNow, compiler: Any, **_: Any) -> str:
    # unixepoch('subsec') is newer than SQLite 3.40; 2440587.5 is the Julian day of 1970-01-01.
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(_DatabaseNow, "postgresql")
def _postgresql_now(element: _DatabaseNow, compiler: Any, **_: Any) -> str:
    # Not now(): that is the start of the transaction.
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"


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
