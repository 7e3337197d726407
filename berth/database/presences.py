"""Which chargers came and went: what the links know of the sockets that begin, end and are lost."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import bindparam

from berth.database.clock import database_now, gateway_lives
from berth.database.connections import Connections, Row
from berth.database.deliveries import enter_deliveries, insert_of
from berth.database.records import OutboxEvent, Presence
from berth.database.tables import chargers, gateways, links

_AFTER = timedelta(milliseconds=1)  # an end has a later instant than the beginning that was reported

_of_link = (
    links.c.charger_id,
    chargers.c.ocpp_identity,
    chargers.c.site_id,
    links.c.epoch,
    links.c.replaced_epoch,
    links.c.connected_at,
    links.c.ready_at,
    links.c.lost_at,
    links.c.losses,
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
_is_lost = sa.and_(~gateway_lives, gateways.c.loss_told_at.is_(None))
_LOST = sa.select(gateways.c.incarnation).where(_is_lost).order_by(gateways.c.heartbeat_at)
_of_gateway = gateways.c.incarnation == bindparam("its_incarnation")
_LOSE_GATEWAY = (
    sa.update(gateways)
    .where(_of_gateway, _is_lost)
    .values(loss_told_at=database_now())
    .returning(gateways.c.incarnation)
)
_LOSE_LINKS = (
    sa.update(links)
    .where(links.c.incarnation == bindparam("its_incarnation"), links.c.ready_at.is_not(None))
    .values(lost_at=database_now())
)
_FIND_GATEWAY = (
    sa.update(gateways)
    .where(_of_gateway, gateways.c.loss_told_at.is_not(None))
    .values(loss_told_at=None)
    .returning(gateways.c.incarnation)
)
# Whoever received this socket's loss needs no event of the end of the one before it.
_FIND_LINKS = (
    sa.update(links)
    .where(links.c.incarnation == bindparam("its_incarnation"), links.c.lost_at.is_not(None))
    .values(lost_at=None, losses=links.c.losses + 1, replaced_epoch=None)
    .returning(links.c.charger_id)
)
_STAY_LOST = (
    sa.update(links)
    .where(links.c.charger_id == bindparam("charger"), links.c.epoch == bindparam("its_epoch"))
    .values(lost_at=None)
)


class Presences:
    """The comings and goings of all chargers; instants by the database's clock."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._insert_delivery = insert_of(connections)

    async def connected(self, charger_id: int, epoch: int) -> list[Presence]:
        """The socket is ready; before it went the one it took over from, if that was never released.

        Empty when a newer one took over, or the charger was removed; also when the socket was reported to be
        lost, until `find`.
        """
        rows = await self._connections.query(_LINK, charger=charger_id)
        if not rows or rows[0].epoch != epoch or rows[0].ready_at is None or rows[0].lost_at is not None:
            return []
        link = rows[0]
        presences = [_presence(link, epoch, True, link.ready_at)]
        if link.replaced_epoch is not None:
            presences.insert(0, _presence(link, link.replaced_epoch, False, link.connected_at))
        return presences

    async def disconnected(self, charger_id: int, epoch: int) -> list[Presence]:
        """The ready socket ended: now, or when a newer one took over.

        Empty when the charger was removed, or the end of a newer one was reported.
        """
        rows = await self._connections.query(_LINK, charger=charger_id)
        if rows and rows[0].epoch == epoch and rows[0].lost_at is not None:
            # Its gateway was asleep and is about to be found, this socket is not.
            await self._connections.change(_STAY_LOST, charger=charger_id, its_epoch=epoch)
            rows = await self._connections.query(_LINK, charger=charger_id)
        if not rows or (rows[0].epoch > epoch and rows[0].replaced_epoch != epoch):
            return []
        link = rows[0]
        return [_presence(link, epoch, False, link.connected_at if link.epoch > epoch else _now(link))]

    async def leaving_with(self, incarnation: str) -> list[Presence]:
        """What ends when this gateway stops: all its ready sockets, now."""
        rows = await self._connections.query(_READY_AT, its_incarnation=incarnation)
        return [_presence(row, row.epoch, False, _now(row)) for row in rows]

    async def lost_gateways(self) -> Sequence[str]:
        """Gateways without a heartbeat whose loss is not reported yet."""
        return [row.incarnation for row in await self._connections.query(_LOST)]

    async def mark_lost(self, incarnation: str, outbox_event: Callable[[Presence], OutboxEvent]) -> None:
        """Announce what ended when this gateway died: all its ready sockets, after its last heartbeat.

        Nothing when it was reported already, or the gateway's heartbeat is back.
        """

        def work(connection: sa.Connection) -> None:
            its = {"its_incarnation": incarnation}
            if connection.execute(_LOSE_GATEWAY, its).first() is None:
                return
            connection.execute(_LOSE_LINKS, its)
            rows = [row for row in connection.execute(_READY_AT, its) if row.lost_at is not None]
            lost = [
                _presence(row, row.epoch, False, max(row.heartbeat_at, row.ready_at) + _AFTER) for row in rows
            ]
            enter_deliveries(connection, self._insert_delivery, [outbox_event(one) for one in lost])

        await self._connections.transaction(work)

    async def find(self, incarnation: str, outbox_event: Callable[[Presence], OutboxEvent]) -> None:
        """Report the chargers of a gateway whose heartbeat came back after its loss, as of then."""

        def work(connection: sa.Connection) -> None:
            its = {"its_incarnation": incarnation}
            if connection.execute(_FIND_GATEWAY, its).first() is None:
                return
            found = {row.charger_id for row in connection.execute(_FIND_LINKS, its)}
            rows = [row for row in connection.execute(_READY_AT, its) if row.charger_id in found]
            came = [_presence(row, row.epoch, True, row.heartbeat_at) for row in rows]
            enter_deliveries(connection, self._insert_delivery, [outbox_event(one) for one in came])

        await self._connections.transaction(work)


def _presence(link: Row, epoch: int, is_connected: bool, at: datetime) -> Presence:
    return Presence(link.charger_id, link.ocpp_identity, link.site_id, epoch, link.losses, is_connected, at)


def _now(row: Row) -> datetime:
    return datetime.fromtimestamp(row.now, UTC)
