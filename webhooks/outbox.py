"""Telling webhooks of what happened: a delivery for each that wants to know. Workers send them afterwards."""

from collections.abc import Sequence

from temporalio import activity

from berth.database import Announced, Database
from workflows.webhook_events import AnnounceInput, WebhookEvent


def announced(one: WebhookEvent) -> Announced:
    """An event of a reservation as the database takes it."""
    return Announced(one.event_id, one.type, one.charger_id, one.site_id, one.body())


class Announcer:
    """The activity Announce. Safe to repeat: an event's id is entered once for each webhook."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name="Announce")
    async def announce(self, request: AnnounceInput) -> None:
        """Enter the events of a reservation's workflow."""
        await self.tell([announced(one) for one in request.events])

    async def tell(self, events: Sequence[Announced]) -> None:
        """Enter these events; when no webhook wants them it is one small look into the database."""
        if events:
            await self._database.deliveries.announce(events)
