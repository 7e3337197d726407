"""Sending one event to one webhook; this runs in the worker, on a task queue of its own."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.metrics import WEBHOOK_ATTEMPTS
from directory import DeliveryTarget, Directory
from webhooks.sender import Outcome, Sender
from webhooks.target import receiver_of
from workflows.webhook_delivery import DeliveryStart

log = structlog.get_logger(__name__)

REMOVED = "removed"
"""How a delivery ended whose webhook does not exist any more."""

NOT_DELIVERED = "NotDelivered"
"""Application error type: an attempt failed, Temporal tries again."""

RECEIVER_BUSY = "ReceiverBusy"
"""Application error type: this receiver has as many attempts under way as one may have."""

PER_RECEIVER = 8
"""Attempts under way at one receiver, in each worker; after a failure one, until it takes an event again."""

_GONE = 410
_LONGEST_PAUSE = 600.0  # seconds


class WebhookDeliverer:
    """The activities DeliverWebhook and GiveUpWebhook. Their results say how the delivery ended."""

    def __init__(self, directory: Directory, sender: Sender, per_receiver: int = PER_RECEIVER) -> None:
        self._directory = directory
        self._sender = sender
        self._per_receiver = per_receiver
        self._under_way: Counter[str] = Counter()
        self._failing: set[str] = set()

    @activity.defn(name="DeliverWebhook")
    async def deliver(self, start: DeliveryStart) -> str:
        """Try once. A receiver that has it, says 410, or is not to be told any more, ends the delivery.

        Raises ApplicationError of the types above for everything that the next attempt may mend.
        """
        target = await self._directory.deliveries.target(start.delivery_id)
        if target is None:
            return REMOVED
        if target.state != "pending" or target.round != start.round:
            return target.state
        if not target.key_is_good:
            return await self._give_up(start, "its API key is revoked or has expired")
        receiver = receiver_of(target.url)
        with self._place_at(receiver):
            outcome = await self._sender.send(
                target.url, target.secret, target.event_id, target.event_type, target.body_json.encode()
            )
        if outcome.is_delivered:
            self._failing.discard(receiver)
        else:
            self._failing.add(receiver)
        return await self._conclude(start, target, outcome)

    @activity.defn(name="GiveUpWebhook")
    async def give_up(self, start: DeliveryStart) -> str:
        """No attempt succeeded in time: list it as given up."""
        return await self._give_up(start, None)

    async def _conclude(self, start: DeliveryStart, target: DeliveryTarget, outcome: Outcome) -> str:
        bound = log.bind(
            webhook_id=target.webhook_id, delivery_id=start.delivery_id, event_type=target.event_type
        )
        if outcome.is_delivered and outcome.status is not None:
            await self._directory.deliveries.delivered(start.delivery_id, start.round, outcome.status)
            WEBHOOK_ATTEMPTS.labels("delivered").inc()
            bound.info("webhook_delivered", status=outcome.status)
            return "delivered"
        error = outcome.error or "no answer"
        await self._directory.deliveries.failed(start.delivery_id, start.round, outcome.status, error)
        WEBHOOK_ATTEMPTS.labels("failed").inc()
        if outcome.status == _GONE:
            return await self._give_up(start, "HTTP 410: the receiver wants no more of it")
        bound.info("webhook_not_delivered", attempt=activity.info().attempt, error=error)
        raise ApplicationError(error, type=NOT_DELIVERED, category=ApplicationErrorCategory.BENIGN)

    async def _give_up(self, start: DeliveryStart, error: str | None) -> str:
        if await self._directory.deliveries.give_up(start.delivery_id, start.round, error):
            WEBHOOK_ATTEMPTS.labels("given_up").inc()
            log.warning("webhook_given_up", delivery_id=start.delivery_id, error=error)
        target = await self._directory.deliveries.target(start.delivery_id)
        return REMOVED if target is None else target.state

    @contextmanager
    def _place_at(self, receiver: str) -> Iterator[None]:
        """One of the places for a receiver; who finds none comes again and takes no place of another's."""
        if self._under_way[receiver] >= (1 if receiver in self._failing else self._per_receiver):
            pause = min(2.0 ** min(activity.info().attempt, 10), _LONGEST_PAUSE)
            raise ApplicationError(
                "other deliveries to this receiver are under way",
                type=RECEIVER_BUSY,
                next_retry_delay=timedelta(seconds=pause * random.uniform(0.5, 1.0)),  # noqa: S311 - jitter
                category=ApplicationErrorCategory.BENIGN,
            )
        self._under_way[receiver] += 1
        try:
            yield
        finally:
            self._under_way[receiver] -= 1
            if not self._under_way[receiver]:
                del self._under_way[receiver]
