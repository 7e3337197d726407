"""What chargers report of their connectors, and the one status a port has from that."""

from collections.abc import Callable, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import bindparam

from berth.database.connections import Connections
from berth.database.events import store_events
from berth.database.records import NewEvent, StatusChange
from berth.database.tables import chargers, connectors, ports

_FIRST_THAT_APPLIES = ("Occupied", "Reserved", "Available", "Faulted", "Unavailable")
"""OCPP 2.0.1 ConnectorStatusEnumType, in the order that decides for an EVSE with several connectors."""

CHARGER_ITSELF = 0
"""The port number under which a charger reports its own status."""


_of_port = sa.and_(
    connectors.c.charger_id == bindparam("charger"), connectors.c.port_number == bindparam("number")
)
_PORT_NOW = sa.select(ports.c.id, ports.c.status).where(
    ports.c.charger_id == bindparam("charger"), ports.c.port_number == bindparam("number")
)
_PORT = _PORT_NOW.with_for_update()
_CHARGER_ITSELF = sa.select(
    sa.null(), sa.select(connectors.c.status).where(_of_port).limit(1).scalar_subquery()
).where(chargers.c.id == bindparam("charger"))
_STATUSES = sa.select(connectors.c.status).where(_of_port)
_UPDATE = sa.update(ports).where(ports.c.id == bindparam("port"))
# From the chargers' table, so that a charger removed meanwhile is an unknown one, not an error.
_NEW_PORT = sa.select(chargers.c.id, bindparam("number", type_=sa.Integer)).where(
    chargers.c.id == bindparam("charger")
)


class PortStatuses:
    """The part of `berth.database.chargers` that takes StatusNotification and NotifyEvent."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        insert = connections.insert(connectors)
        self._keep = insert.on_conflict_do_update(
            index_elements=["charger_id", "port_number", "connector_id"],
            set_={"status": insert.excluded.status},
        )
        self._add_port = (
            connections.insert(ports)
            .from_select(["charger_id", "port_number"], _NEW_PORT)
            .on_conflict_do_nothing(index_elements=["charger_id", "port_number"])
        )

    async def record_status(
        self,
        charger_id: int,
        port_number: int,
        connector_id: int,
        status: str,
        at: datetime,
        error_code: str | None = None,
        vendor_error_code: str | None = None,
        info: str | None = None,
        create: bool = False,
        events_for: Callable[[StatusChange], Sequence[NewEvent]] = lambda change: (),
        even_unchanged: bool = False,
    ) -> StatusChange | None:
        """Keep a connector's status; what it changes of its port's, or None.

        The events that `events_for` makes of a change are kept with it, both or neither: a repeat of the
        report is no change any more. With `even_unchanged` it is asked also when `after` is as before.

        None also for a port Berth does not know, unless `create` adds it. `status_at` of the port becomes
        `at` with every report. A connector of 1.6 is a port: its status is the port's, as reported.
        """
        port = {"charger": charger_id, "number": port_number}

        def work(connection: sa.Connection) -> StatusChange | None:
            known = _CHARGER_ITSELF if port_number == CHARGER_ITSELF else _PORT
            row = connection.execute(known, port).first()
            if row is None and create and port_number != CHARGER_ITSELF:
                connection.execute(self._add_port, port)
                row = connection.execute(known, port).first()
            if row is None:
                return None
            port_id, before = row
            connection.execute(
                self._keep,
                {
                    "charger_id": charger_id,
                    "port_number": port_number,
                    "connector_id": connector_id,
                    "status": status,
                },
            )
            after = status_of_port(connection.scalars(_STATUSES, port).all(), status)
            if port_id is not None:
                connection.execute(
                    _UPDATE,
                    {
                        "port": port_id,
                        "status": after,
                        "status_at": at,
                        "error_code": error_code,
                        "vendor_error_code": vendor_error_code,
                        "info": info,
                    },
                )
            change = StatusChange(port_id, port_number, before, after)
            if after != before or even_unchanged:
                store_events(connection, events_for(change))
            return change if after != before else None

        return await self._connections.transaction(work)

    async def status_of(self, charger_id: int, port_number: int) -> str | None:
        """The last reported status of a port, of the charger itself for number 0."""
        known = _CHARGER_ITSELF if port_number == CHARGER_ITSELF else _PORT_NOW
        rows = await self._connections.lookup(known, charger=charger_id, number=port_number)
        return None if not rows or rows[0][1] is None else str(rows[0][1])


def status_of_port(statuses: Sequence[str], reported: str) -> str:
    """The status of a port whose connectors have these, `reported` being the latest of them."""
    if len(statuses) > 1:
        for status in _FIRST_THAT_APPLIES:
            if status in statuses:
                return status
    return reported
