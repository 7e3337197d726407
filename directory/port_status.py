"""What chargers report of their connectors, and the one status a port has from that."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from directory.connections import Connections
from directory.records import StatusChange
from directory.tables import chargers, connectors, ports

_FIRST_THAT_APPLIES = ("Occupied", "Reserved", "Available", "Faulted", "Unavailable")
"""OCPP 2.0.1 ConnectorStatusEnumType, in the order that decides for an EVSE with several connectors."""

CHARGER_ITSELF = 0
"""The port number under which a charger reports its own status."""


class PortStatuses:
    """The part of `directory.chargers` that listens to StatusNotification and NotifyEvent."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

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
    ) -> StatusChange | None:
        """Keep a connector's status; what it changes of its port's, or None.

        None also for a port Berth does not know, unless `create` adds it. `status_at` of the port becomes
        `at` with every report. A connector of 1.6 is a port: its status is the port's, as reported.
        """
        port = sa.and_(ports.c.charger_id == charger_id, ports.c.port_number == port_number)
        of_port = sa.and_(connectors.c.charger_id == charger_id, connectors.c.port_number == port_number)
        report = {
            "status_at": at,
            "error_code": error_code,
            "vendor_error_code": vendor_error_code,
            "info": info,
        }

        def work(connection: sa.Connection) -> StatusChange | None:
            if port_number == CHARGER_ITSELF:
                known = sa.select(
                    sa.null(), sa.select(connectors.c.status).where(of_port).limit(1).scalar_subquery()
                )
                known = known.select_from(chargers).where(chargers.c.id == charger_id)
            else:
                known = sa.select(ports.c.id, ports.c.status).where(port).with_for_update()
            row = connection.execute(known).first()
            if row is None and create and port_number != CHARGER_ITSELF:
                self._add_port(connection, charger_id, port_number)
                row = connection.execute(known).first()
            if row is None:
                return None
            port_id, before = row
            connection.execute(
                self._connections.insert(connectors)
                .values(
                    charger_id=charger_id, port_number=port_number, connector_id=connector_id, status=status
                )
                .on_conflict_do_update(
                    index_elements=["charger_id", "port_number", "connector_id"], set_={"status": status}
                )
            )
            after = status_of_port(
                connection.scalars(sa.select(connectors.c.status).where(of_port)).all(), status
            )
            if port_id is not None:
                connection.execute(
                    sa.update(ports).where(ports.c.id == port_id).values(status=after, **report)
                )
            return None if after == before else StatusChange(port_id, port_number, before, after)

        return await self._connections.transaction(work)

    def _add_port(self, connection: sa.Connection, charger_id: int, port_number: int) -> None:
        # From the chargers' table, so that a charger removed meanwhile is an unknown one, not an error.
        charger = sa.select(chargers.c.id, sa.literal(port_number)).where(chargers.c.id == charger_id)
        connection.execute(
            self._connections.insert(ports)
            .from_select(["charger_id", "port_number"], charger)
            .on_conflict_do_nothing(index_elements=["charger_id", "port_number"])
        )


def status_of_port(statuses: Sequence[str], reported: str) -> str:
    """The status of a port whose connectors have these, `reported` being the latest of them."""
    if len(statuses) > 1:
        for status in _FIRST_THAT_APPLIES:
            if status in statuses:
                return status
    return reported
