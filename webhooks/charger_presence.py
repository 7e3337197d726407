"""Webhook events of chargers that connect and disconnect, also of those whose gateway died."""

from functools import partial

from berth.database import Database, OutboxEvent, Presence
from webhooks.outbox import WebhookOutbox
from workflows.webhook_events import EventType, charger_event_id, event_body


class ChargerPresence:
    """Tells of sockets that became ready, and of their ends. Safe to repeat, like all outbox_events."""

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
