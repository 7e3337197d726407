"""Which gateway holds a charger's socket. Every write is conditional on the epoch of that socket."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from berth.database.clock import database_now, gateway_lives, is_ready
from berth.database.connections import Connections
from berth.database.records import Gateway, Heartbeat, Link, Taken
from berth.database.tables import gateways, links

_FORGET_GATEWAY_AFTER = timedelta(days=1)

_held = sa.and_(
    links.c.charger_id == bindparam("charger"),
    links.c.epoch == bindparam("its_epoch"),
    links.c.incarnation.is_not(None),
)
_MARK_READY = (
    sa.update(links)
    .where(_held)
    .values(ready_at=sa.func.coalesce(links.c.ready_at, database_now()))
    .returning(links.c.charger_id)
)
# A socket that never was ready is never reported; the one before it may still have to be.
_still_replaces = sa.case((links.c.ready_at.is_(None), links.c.replaced_epoch), else_=None)


def _disconnected_at(ended_at: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The end of the last ready socket when the present one ends at `ended_at`.

    One that never was ready, as of a charger that tries again and again, ends no outage.
    """
    goes_on = sa.and_(links.c.ready_at.is_(None), links.c.disconnected_at.is_not(None))
    return sa.case((goes_on, links.c.disconnected_at), else_=ended_at)


_RELEASE = (
    sa.update(links)
    .where(_held)
    .values(
        incarnation=None,
        ready_at=None,
        disconnected_at=_disconnected_at(database_now()),
        replaced_epoch=_still_replaces,
    )
    .returning(links.c.charger_id)
)
_OWNS = sa.select(links.c.charger_id).where(_held)
_ROUTE = (
    sa.select(
        links.c.charger_id,
        links.c.incarnation,
        gateways.c.queue,
        links.c.epoch,
        links.c.ready_at,
        links.c.connected_at,
        links.c.protocol,
    )
    .join_from(links, gateways, is_ready)
    .where(links.c.charger_id == bindparam("charger"))
)
_GATEWAYS = (
    sa.select(
        gateways.c.incarnation,
        gateways.c.gateway_id,
        sa.func.count(links.c.charger_id).label("chargers"),
        (database_now() - sa.type_coerce(gateways.c.heartbeat_at, sa.Double)).label("silent_for"),
        gateway_lives.label("lives"),
        gateways.c.draining_at.is_not(None).label("drains"),
    )
    .join_from(gateways, links, links.c.incarnation == gateways.c.incarnation, isouter=True)
    .group_by(gateways.c.incarnation)
    .order_by(gateways.c.gateway_id, gateways.c.started_at)
)
_HEARTBEAT = (
    sa.update(gateways)
    .where(gateways.c.incarnation == bindparam("its_incarnation"))
    .values(heartbeat_at=database_now())
    .returning(gateways.c.loss_told_at)
)
_DRAIN = (
    sa.update(gateways)
    .where(gateways.c.incarnation == bindparam("its_incarnation"))
    .values(draining_at=sa.func.coalesce(gateways.c.draining_at, database_now()))
)
_is_forgotten = gateways.c.heartbeat_at < database_now() - _FORGET_GATEWAY_AFTER.total_seconds()


class Links:
    """Gateways and the sockets they hold."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        now = database_now()
        insert = connections.insert(links).values(epoch=1, connected_at=now)
        # A socket that was not released is replaced now, or ended with its gateway.
        died_at = (
            sa.select(gateways.c.heartbeat_at)
            .where(gateways.c.incarnation == links.c.incarnation, ~gateway_lives)
            .scalar_subquery()
        )
        replaced_at = sa.func.coalesce(sa.type_coerce(died_at, sa.Double), now)
        self._take = insert.on_conflict_do_update(
            index_elements=["charger_id"],
            set_={
                "epoch": links.c.epoch + 1,
                "incarnation": insert.excluded.incarnation,
                "protocol": insert.excluded.protocol,
                "connected_at": now,
                "ready_at": None,
                "disconnected_at": sa.case(
                    (links.c.incarnation.is_(None), links.c.disconnected_at),
                    else_=_disconnected_at(replaced_at),
                ),
                "lost_at": None,
                "replaced_epoch": sa.case(
                    (links.c.ready_at.is_not(None), links.c.epoch), else_=links.c.replaced_epoch
                ),
            },
        ).returning(
            links.c.epoch,
            (
                sa.type_coerce(links.c.connected_at, sa.Double)
                - sa.type_coerce(links.c.disconnected_at, sa.Double)
            ).label("outage"),
        )

    async def start(self, incarnation: str, gateway_id: str, queue: str) -> None:
        """Enter a gateway process; `incarnation` is random per process start. Forgets long dead ones."""
        now = database_now()
        enter = self._connections.insert(gateways).values(
            incarnation=incarnation, gateway_id=gateway_id, queue=queue, started_at=now, heartbeat_at=now
        )

        def work(connection: sa.Connection) -> None:
            _clear(connection, _is_forgotten)
            connection.execute(enter)

        await self._connections.transaction(work)

    async def heartbeat(self, incarnation: str) -> Heartbeat | None:
        """Keep a gateway's links live for another 15 s; None when it was never started, or stopped."""
        rows = await self._connections.change(_HEARTBEAT, its_incarnation=incarnation)
        return Heartbeat(loss_was_told=rows[0].loss_told_at is not None) if rows else None

    async def drain(self, incarnation: str) -> None:
        """No new command is routed to this gateway from now on; it keeps its sockets until `stop`."""
        await self._connections.change(_DRAIN, its_incarnation=incarnation)

    async def stop(self, incarnation: str) -> None:
        """End a gateway process: all its links are released."""
        await self._connections.transaction(
            lambda connection: _clear(connection, gateways.c.incarnation == incarnation)
        )

    async def prune(self) -> int:
        """Forget gateways that have been silent for a day, and release their links; how many."""
        return await self._connections.transaction(lambda connection: _clear(connection, _is_forgotten))

    async def take(self, charger_id: int, incarnation: str, protocol: str) -> Taken:
        """Enter a new socket, over any earlier one. Its epoch is greater than all before it, for ever."""
        rows = await self._connections.change(
            self._take, charger_id=charger_id, incarnation=incarnation, protocol=protocol
        )
        epoch, outage = rows[0]
        return Taken(epoch, None if outage is None else timedelta(seconds=max(0.0, outage)))

    async def mark_ready(self, charger_id: int, epoch: int) -> bool:
        """The charger takes commands on this socket from now on; False when a newer one took over."""
        return bool(await self._connections.change(_MARK_READY, charger=charger_id, its_epoch=epoch))

    async def release(self, charger_id: int, epoch: int) -> bool:
        """The socket is gone; False (and nothing happens) when a newer one took over."""
        return bool(await self._connections.change(_RELEASE, charger=charger_id, its_epoch=epoch))

    async def owns(self, charger_id: int, epoch: int) -> bool:
        """Whether no newer socket took over; asked before a frame is written."""
        return bool(await self._connections.lookup(_OWNS, charger=charger_id, its_epoch=epoch))

    async def route(self, charger_id: int) -> Link | None:
        """Where to reach a charger; None unless it is ready and its gateway lives."""
        rows = await self._connections.lookup(_ROUTE, charger=charger_id)
        return Link(*rows[0]) if rows else None

    async def gateways(self) -> list[Gateway]:
        """The gateways that are not stopped, by id and age: also dead ones, until they are forgotten."""
        return [
            Gateway(
                row.incarnation,
                row.gateway_id,
                row.chargers,
                timedelta(seconds=max(0.0, row.silent_for)),
                row.lives,
                row.drains,
            )
            for row in await self._connections.query(_GATEWAYS)
        ]


def _clear(connection: sa.Connection, which: sa.ColumnElement[bool]) -> int:
    """Forget gateways and release their links, as of their last heartbeat; how many gateways."""
    last_seen = (
        sa.select(gateways.c.heartbeat_at)
        .where(gateways.c.incarnation == links.c.incarnation)
        .scalar_subquery()
    )
    # The gateway's row before those of its links, like who reports its loss: neither waits for the other.
    connection.execute(
        sa.select(gateways.c.incarnation).where(which).order_by(gateways.c.incarnation).with_for_update()
    )
    connection.execute(
        sa.update(links)
        .where(links.c.incarnation.in_(sa.select(gateways.c.incarnation).where(which)))
        .values(
            incarnation=None,
            ready_at=None,
            disconnected_at=_disconnected_at(last_seen),
            replaced_epoch=_still_replaces,
        )
    )
    return len(connection.execute(sa.delete(gateways).where(which).returning(gateways.c.incarnation)).all())
