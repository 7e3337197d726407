"""Which chargers came and went: what the links know of the sockets that begin, end and are lost."""

from collections.abc import Sequence
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy import bindparam

from directory.clock import database_now
from directory.connections import Connections, Row
from directory.liveness import gateway_lives
from directory.records import Presence
from directory.tables import chargers, gateways, links

_of_link = (
    links.c.charger_id,
    chargers.c.ocpp_identity,
    chargers.c.site_id,
    links.c.epoch,
    links.c.replaced_epoch,
    links.c.connected_at,
    links.c.ready_at,
    database_now().label("now"),
)
_LINK = sa.select(*_of_link).join_from(links, chargers).where(links.c.charger_id == bindparam("charger"))
_READY_AT = (
    sa.select(*_of_link, gateways.c.heartbeat_at)
    .join_from(links, chargers)
    .join(gateways, gateways.c.incarnation == links.c.incarnation)
    .where(links.c.incarnation == bindparam("its_incarnation"), links.c.ready_at.is_not(None))
    .order_by(links.c.charger_id)
)
_LOST = (
    sa.select(gateways.c.incarnation)
    .where(~gateway_lives, gateways.c.loss_told_at.is_(None))
    .order_by(gateways.c.heartbeat_at)
)
_LOSS_TOLD = (
    sa.update(gateways)
    .where(gateways.c.incarnation == bindparam("its_incarnation"))
    .values(loss_told_at=database_now())
)


class Presences:
    """The comings and goings of all chargers; instants by the database's clock."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def came(self, charger_id: int, epoch: int) -> list[Presence]:
        """The socket is ready; before it went the one it took over from, if that was never released.

        Empty when a newer one took over, or the charger was removed.
        """
        rows = await self._connections.query(_LINK, charger=charger_id)
        if not rows or rows[0].epoch != epoch or rows[0].ready_at is None:
            return []
        link = rows[0]
        presences = [_presence(link, epoch, True, link.ready_at)]
        if link.replaced_epoch is not None:
            presences.insert(0, _presence(link, link.replaced_epoch, False, link.connected_at))
        return presences

    async def went(self, charger_id: int, epoch: int) -> list[Presence]:
        """The ready socket ended: now, or when a newer one took over; empty when the charger was removed."""
        rows = await self._connections.query(_LINK, charger=charger_id)
        if not rows:
            return []
        link = rows[0]
        return [_presence(link, epoch, False, link.connected_at if link.epoch > epoch else _now(link))]

    async def leaving_with(self, incarnation: str) -> list[Presence]:
        """What ends when this gateway stops: all its ready sockets, now."""
        rows = await self._connections.query(_READY_AT, its_incarnation=incarnation)
        return [_presence(row, row.epoch, False, _now(row)) for row in rows]

    async def lost_gateways(self) -> Sequence[str]:
        """Gateways without a heartbeat whose loss was not told yet."""
        return [row.incarnation for row in await self._connections.query(_LOST)]

    async def lost_with(self, incarnation: str) -> list[Presence]:
        """What ended when this gateway died: all its ready sockets, at its last heartbeat."""
        rows = await self._connections.query(_READY_AT, its_incarnation=incarnation)
        return [_presence(row, row.epoch, False, row.heartbeat_at) for row in rows]

    async def loss_told(self, incarnation: str) -> None:
        """Whoever wanted to know has been told; until its next heartbeat, should it come back to life."""
        await self._connections.change(_LOSS_TOLD, its_incarnation=incarnation)


def _presence(link: Row, epoch: int, is_connected: bool, at: datetime) -> Presence:
    return Presence(link.charger_id, link.ocpp_identity, link.site_id, epoch, is_connected, at)


def _now(row: Row) -> datetime:
    return datetime.fromtimestamp(row.now, UTC)
