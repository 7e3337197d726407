"""Lets time pass in the database, whose clock decides what is fresh."""

from datetime import timedelta

import sqlalchemy as sa

from berth.database.connections import Connections


async def age(connections: Connections, column: sa.Column[object], by: timedelta) -> None:
    """Make every instant of a column earlier."""
    earlier = sa.type_coerce(column, sa.Double) - by.total_seconds()
    await connections.change(sa.update(column.table).values({column: earlier}))
