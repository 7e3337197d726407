"""Facts that a charger reported: stored, then answered, then delivered to workflows in order."""

from collections.abc import Collection, Sequence
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy import bindparam

from berth.database.clock import database_now, holds_socket
from berth.database.connections import Connections
from berth.database.records import Backlog, NewEvent, StoredEvent, as_row
from berth.database.tables import events, gateways, links

_columns = [events.c[name] for name in StoredEvent.__dataclass_fields__]
_NEXT_OF = (
    sa.select(*_columns)
    .where(events.c.charger_id == bindparam("charger"))
    .order_by(events.c.id)
    .limit(bindparam("count"))
)
_STORE = sa.insert(events).values(stored_at=database_now()).returning(events.c.id)
_of_workflow = sa.and_(
    events.c.charger_id == bindparam("charger"), events.c.workflow_id == bindparam("workflow")
)
_DROP = sa.delete(events).where(_of_workflow)
is_waiting_for: sa.Exists = sa.exists().where(_of_workflow)
"""Whether events for the workflow `workflow` of the charger `charger` are stored and not delivered yet."""
_IS_WAITING_FOR = sa.select(is_waiting_for.label("is_waiting"))
_EVENTS_LOCK = 0x62657276  # an arbitrary number that all releases of Berth share
_HAVE_TURN = sa.select(sa.func.pg_advisory_xact_lock(_EVENTS_LOCK, bindparam("charger", type_=sa.Integer)))
_DELIVERED = sa.delete(events).where(events.c.id.in_(bindparam("ids", expanding=True)))
_BACKLOG = sa.select(
    sa.func.count().label("count"),
    (database_now() - sa.func.min(sa.type_coerce(events.c.stored_at, sa.Double))).label("oldest_age"),
).select_from(events)
_held = sa.select(links.c.charger_id).join_from(links, gateways, holds_socket)
_ORPHANS = (
    sa.select(events.c.charger_id)
    .where(events.c.charger_id.not_in(_held))
    .group_by(events.c.charger_id)
    .order_by(sa.func.min(events.c.id))
    .limit(bindparam("count"))
)


def store_events(connection: sa.Connection, new_events: Sequence[NewEvent]) -> list[int]:
    """Keep all of them, as the last part of a transaction; their ids, in the order given.

    A charger's events appear in the order of their ids: who has got one looks at none below it any more.
    """
    if not new_events:
        return []
    if connection.dialect.name == "postgresql":  # SQLite has one writer
        for charger_id in sorted({event.charger_id for event in new_events}):
            connection.execute(_HAVE_TURN, {"charger": charger_id})
    return sorted(connection.scalars(_STORE, [as_row(event) for event in new_events]))


def drop_events(connection: sa.Connection, charger_id: int, workflow_id: str) -> None:
    """Forget what is stored for a workflow of this charger, as part of a transaction."""
    connection.execute(_DROP, {"charger": charger_id, "workflow": workflow_id})


class Events:
    """The undelivered events of all chargers."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def store(self, charger_id: int, workflow_id: str, kind: str, payload_json: str) -> int:
        """Keep one event until it is delivered; its id, greater than any before."""
        return (await self.store_many([NewEvent(charger_id, workflow_id, kind, payload_json)]))[0]

    async def store_many(self, new_events: Sequence[NewEvent]) -> list[int]:
        """Keep all of them or none; their ids, in the order given."""
        if not new_events:
            return []
        return await self._connections.transaction(lambda connection: store_events(connection, new_events))

    async def next_of(self, charger_id: int, limit: int = 100) -> list[StoredEvent]:
        """A charger's oldest undelivered events, in the order they were stored."""
        rows = await self._connections.lookup(_NEXT_OF, charger=charger_id, count=limit)
        return [StoredEvent(*row) for row in rows]

    async def is_waiting_for(self, charger_id: int, workflow_id: str) -> bool:
        """Whether the workflow has not got all of this charger's events that are stored for it."""
        rows = await self._connections.lookup(_IS_WAITING_FOR, charger=charger_id, workflow=workflow_id)
        return bool(rows[0].is_waiting)

    async def delivered(self, event_ids: Collection[int]) -> None:
        """Delete events: their workflow has received them, or is closed."""
        await self._connections.change(_DELIVERED, ids=list(event_ids))

    async def backlog(self) -> Backlog:
        """What waits of all chargers, by the database's clock."""
        (row,) = await self._connections.query(_BACKLOG)
        return Backlog(row[0], timedelta(seconds=max(0.0, row[1] or 0.0)))

    async def orphans(self, limit: int = 100) -> list[int]:
        """Chargers with undelivered events whose socket no live gateway holds, the longest waiting first."""
        rows = await self._connections.query(_ORPHANS, count=limit)
        return [row.charger_id for row in rows]
