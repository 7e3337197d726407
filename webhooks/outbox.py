"""Events on their way to webhooks: a row for each webhook that wants an event."""

from collections.abc import Sequence

from temporalio import activity

from berth.database import Database, OutboxEvent
from workflows.webhook_events import AnnounceInput, WebhookEvent


def outbox_event(one: WebhookEvent) -> OutboxEvent:
    """An event of a reservation as the database takes it."""
    return OutboxEvent(one.event_id, one.type, one.charger_id, one.site_id, one.body())


class WebhookOutbox:
    """The activity Announce. Safe to repeat: an event's id is entered once for each webhook."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name="Announce")
    async def announce(self, request: AnnounceInput) -> None:
        """Enter the events of a reservation's workflow."""
        await self.enqueue([outbox_event(one) for one in request.events])

    async def enqueue(self, events: Sequence[OutboxEvent]) -> None:
        """Enter these events; when no webhook wants them it is one small look into the database."""
        if events:
            await self._database.deliveries.enqueue(events)
