"""What a reservation asks of the directory: is the charger there, and who gets its events.

These run in the workflow worker. All are safe to repeat.
"""

from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.announcing import announced
from activities.subscription import subscription_of
from directory import Directory
from workflows.messages import CHARGER_OFFLINE, LookInput, PortView, Route, Subscription
from workflows.webhook_events import UnsubscribeInput


class RouteFinder:
    """Activities over the directory."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    @activity.defn(name="WaitForCharger")
    async def wait_for_charger(self, request: Subscription) -> Route:
        """Look once for the charger's ready socket; Temporal repeats this until it is there.

        The run is subscribed first, so that a charger that connects meanwhile wakes it.
        Raises ApplicationError of type ChargerOffline.
        """
        await self._directory.subscriptions.put(subscription_of(request))
        link = await self._directory.links.route(request.charger_id)
        if link is None:
            raise ApplicationError(
                f"charger {request.charger_id} is offline",
                type=CHARGER_OFFLINE,
                category=ApplicationErrorCategory.BENIGN,
            )
        return Route(queue=link.queue, epoch=link.epoch)

    @activity.defn(name="LookAtCharger")
    async def look_at_charger(self, look: LookInput) -> PortView:
        """What the directory knows of the charger, and of one of its ports, now."""
        link = await self._directory.links.route(look.charger_id)
        ready_for = await self._directory.links.ready_for(look.charger_id)
        port = None
        if look.port_number is not None:
            charger = await self._directory.chargers.by_id(look.charger_id)
            ports = charger.ports if charger is not None else ()
            port = next((p for p in ports if p.port_number == look.port_number), None)
        return PortView(
            route=Route(queue=link.queue, epoch=link.epoch) if link is not None else None,
            ready_for=ready_for or timedelta(0),
            protocol=link.protocol if link is not None else None,
            status=port.status if port is not None else None,
            status_at=port.status_at if port is not None else None,
        )

    @activity.defn(name="Unsubscribe")
    async def unsubscribe(self, request: UnsubscribeInput) -> None:
        """End the run's subscription and enter the webhook events that are left: its last step."""
        workflow_id = activity.info().workflow_id or ""
        announcing = [announced(one) for one in request.events]
        if not await self._directory.webhooks.any():
            announcing = []
        await self._directory.subscriptions.remove(workflow_id, request.first_run_id, announcing)
