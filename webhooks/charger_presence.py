"""Telling webhooks of chargers that come and go, also of those whose gateway died with them."""

from functools import partial

from berth.database import Announced, Database, Presence
from webhooks.outbox import Announcer
from workflows.webhook_events import EventType, charger_event_id, event_body


class ChargerPresence:
    """Tells of sockets that became ready, and of their ends. Safe to repeat, like all announcing."""

    def __init__(self, database: Database, announcer: Announcer) -> None:
        self._database = database
        self._announcer = announcer

    async def came(self, charger_id: int, epoch: int) -> None:
        """The charger's socket became ready."""
        if await self._database.webhooks.any():
            await self._tell(await self._database.presences.came(charger_id, epoch))

    async def went(self, charger_id: int, epoch: int) -> None:
        """The charger's socket, which was ready, ended. Before its link is released: a crash between the two
        is then found by who looks for lost gateways.
        """
        if await self._database.webhooks.any():
            await self._tell(await self._database.presences.went(charger_id, epoch))

    async def leave_with(self, incarnation: str) -> None:
        """A gateway is about to stop, with all its sockets."""
        if await self._database.webhooks.any():
            await self._tell(await self._database.presences.leaving_with(incarnation))

    async def look_for_lost(self) -> None:
        """Tell of the chargers whose gateway is silent, once for each gateway."""
        if not await self._database.webhooks.any():
            return
        for incarnation in await self._database.presences.lost_gateways():
            await self._database.presences.lose(incarnation, partial(_announced, is_late=True))

    async def back_with(self, incarnation: str) -> None:
        """A gateway lives whose loss was told: tell that its chargers are there."""
        await self._database.presences.find(incarnation, _announced)

    async def _tell(self, presences: list[Presence]) -> None:
        await self._announcer.tell([_announced(one) for one in presences])


def _announced(presence: Presence, is_late: bool = False) -> Announced:
    event_type = EventType.CHARGER_CONNECTED if presence.is_connected else EventType.CHARGER_DISCONNECTED
    event_id = charger_event_id(presence.charger_id, presence.epoch, presence.losses, event_type)
    data = {
        "charger_id": presence.charger_id,
        "ocpp_id": presence.ocpp_identity,
        "site_id": presence.site_id,
    }
    return Announced(
        event_id,
        event_type,
        presence.charger_id,
        presence.site_id,
        event_body(event_id, event_type, presence.at, data),
        # A webhook made after the gateway died asked for what is to come.
        not_for_newer_than=presence.at if is_late else None,
    )
