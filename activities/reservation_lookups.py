"""What a reservation asks of the database: is the charger there, and who gets its events.

These run in the workflow worker. All are safe to repeat.
"""

from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.subscription import subscription_of
from berth.database import Database
from berth.deadline import in_time
from webhooks.outbox import outbox_event
from workflows.messages import CHARGER_OFFLINE, LookInput, PortView, Route, Subscription
from workflows.webhook_events import UnsubscribeInput

_LOOK_WITHIN = 3.0  # seconds: less than an attempt has


class RouteFinder:
    """Activities over the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name="WaitForCharger")
    async def wait_for_charger(self, request: Subscription) -> Route:
        """Look once for the charger's ready socket; Temporal repeats this until it is there.

        The run is subscribed first, so that a charger that connects meanwhile wakes it.
        Raises ApplicationError of type ChargerOffline.
        """
        await self._database.subscriptions.put(subscription_of(request))
        link = await self._database.links.route(request.charger_id)
        if link is None:
            raise ApplicationError(
                f"charger {request.charger_id} is offline",
                type=CHARGER_OFFLINE,
                category=ApplicationErrorCategory.BENIGN,
            )
        return Route(queue=link.queue, epoch=link.epoch)

    @activity.defn(name="LookAtCharger")
    async def look_at_charger(self, look: LookInput) -> PortView:
        """What the database knows of the charger, and of one of its ports, now. Raises TimeoutError."""
        workflow_id = activity.info().workflow_id or ""
        seen = await in_time(
            self._database.chargers.look(look.charger_id, look.port_number, workflow_id), _LOOK_WITHIN
        )
        if seen is None:
            return PortView(route=None)
        return PortView(
            route=Route(queue=seen.queue, epoch=seen.epoch) if seen.queue and seen.epoch else None,
            ready_for=seen.ready_for or timedelta(0),
            protocol=seen.protocol,
            status=seen.status,
            status_at=seen.status_at,
            events_waiting=seen.events_waiting,
        )

    @activity.defn(name="Unsubscribe")
    async def unsubscribe(self, request: UnsubscribeInput) -> bool:
        """End the run's subscription and enter the webhook events that are left; whether there was one."""
        workflow_id = activity.info().workflow_id or ""
        return await self._database.subscriptions.remove(
            workflow_id,
            request.first_run_id,
            [outbox_event(one) for one in request.events],
            generation=request.generation,
        )
