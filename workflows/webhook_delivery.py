"""A batch of events on its way to one webhook: tried until the receiver has each, for a day."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

from workflows.messages import Record

LARGEST_BATCH = 20

PATIENCE = timedelta(hours=24)

# Soon again after a hiccup, every ten minutes through an outage.
_ATTEMPTS = RetryPolicy(
    initial_interval=timedelta(seconds=2), backoff_coefficient=2.0, maximum_interval=timedelta(minutes=10)
)
_ATTEMPT_WITHIN = timedelta(minutes=5)  # the largest batch, when each answer takes the 10 s that it may
_HEARTBEAT_WITHIN = timedelta(seconds=30)  # there is one before each event
_LAST_WORD_WITHIN = timedelta(seconds=30)


class DeliveryRound(Record):
    """A row in the database, and how often it was replayed."""

    id: int
    round: int = 0


class DeliveryStart(Record):
    """Input of `WebhookDeliveryWorkflow.run`, and of its activities: rows in the database, and no more.

    They are of one webhook; `patience` is not as long in tests.
    """

    deliveries: list[DeliveryRound]
    patience: timedelta = PATIENCE


@workflow.defn(name="WebhookDelivery")
class WebhookDeliveryWorkflow:
    """One batch. Its result says how each delivery ended, in words: `3 delivered, 1 given up`."""

    @workflow.run
    async def run(self, start: DeliveryStart) -> str:
        """Try until all are delivered, or in vain for as long as `patience`."""
        try:
            ended: str = await workflow.execute_activity(
                "DeliverWebhook",
                start,
                result_type=str,
                start_to_close_timeout=_ATTEMPT_WITHIN,
                heartbeat_timeout=_HEARTBEAT_WITHIN,
                schedule_to_close_timeout=start.patience,
                retry_policy=_ATTEMPTS,
            )
        except (ActivityError, asyncio.CancelledError):
            # The day is over; or somebody cancelled the workflow, perhaps before it began: no less final.
            ended = await workflow.execute_activity(
                "GiveUpWebhook", start, result_type=str, start_to_close_timeout=_LAST_WORD_WITHIN
            )
        return ended
