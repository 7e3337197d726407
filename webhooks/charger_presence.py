"""Webhook events of chargers that connect and disconnect, also of those whose gateway died."""

import asyncio
import time
from functools import partial

import structlog

from berth.database import HEARTBEAT_LIFETIME, Database, OutboxEvent, Presence
from webhooks.outbox import WebhookOutbox
from workflows.webhook_events import EventType, charger_event_id, event_body

log = structlog.get_logger(__name__)

_LOOK_EVERY = 5.0  # seconds


class ChargerPresence:
    """Enqueues an event when a socket becomes ready, and when it ends. Safe to repeat, by the events' ids."""

    def __init__(self, database: Database, outbox: WebhookOutbox) -> None:
        self._database = database
        self._outbox = outbox

    async def connected(self, charger_id: int, epoch: int) -> None:
        """The charger's socket became ready."""
        if await self._database.webhooks.any():
            await self._enqueue(await self._database.presences.connected(charger_id, epoch))

    async def disconnected(self, charger_id: int, epoch: int) -> None:
        """The charger's socket, which was ready, ended. Before its link is released: a crash between the two
        is then found by who looks for lost gateways.
        """
        if await self._database.webhooks.any():
            await self._enqueue(await self._database.presences.disconnected(charger_id, epoch))

    async def leave_with(self, incarnation: str) -> None:
        """A gateway is about to stop, with all its sockets."""
        if await self._database.webhooks.any():
            await self._enqueue(await self._database.presences.leaving_with(incarnation))

    async def look_for_lost(self) -> None:
        """Enqueue the disconnection of all chargers of a gateway that is silent, once for each gateway."""
        if not await self._database.webhooks.any():
            return
        for incarnation in await self._database.presences.lost_gateways():
            await self._database.presences.mark_lost(incarnation, partial(_outbox_event, is_late=True))

    async def back_with(self, incarnation: str) -> None:
        """A gateway lives whose loss was reported: report that its chargers are connected."""
        await self._database.presences.find(incarnation, _outbox_event)

    async def _enqueue(self, presences: list[Presence]) -> None:
        await self._outbox.enqueue([_outbox_event(one) for one in presences])


def _outbox_event(presence: Presence, is_late: bool = False) -> OutboxEvent:
    event_type = EventType.CHARGER_CONNECTED if presence.is_connected else EventType.CHARGER_DISCONNECTED
    event_id = charger_event_id(presence.charger_id, presence.epoch, presence.losses, event_type)
    data = {
        "charger_id": presence.charger_id,
        "ocpp_id": presence.ocpp_identity,
        "site_id": presence.site_id,
    }
    return OutboxEvent(
        event_id,
        event_type,
        presence.charger_id,
        presence.site_id,
        event_body(event_id, event_type, presence.at, data),
        # A webhook made after the gateway died asked for what is to come.
        not_for_newer_than=presence.at if is_late else None,
    )


async def watch_for_losses(
    database: Database,
    presence: ChargerPresence,
    every: float = _LOOK_EVERY,
    steady_for: float = HEARTBEAT_LIFETIME.total_seconds(),
) -> None:
    """Report lost chargers, for ever; only while the database has answered for `steady_for` seconds.

    After a sleep of this process or an outage of the database every gateway looks silent: they are given the
    time to answer.
    """
    steady_since = answered_at = time.time()  # not the monotonic clock, which stands still in a sleep
    while True:
        await asyncio.sleep(every)
        try:
            await database.ping()
            now = time.time()
            if not 0 <= now - answered_at < 2 * every:
                steady_since = now
            answered_at = now
            if now - steady_since >= steady_for:
                await presence.look_for_lost()
        except Exception as error:
            log.warning("lost_chargers_not_told", error=repr(error))
            steady_since = time.time()
