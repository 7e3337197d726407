"""The delivery of one event to one webhook: tried until the receiver has it, for a day."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

from workflows.messages import Record

PATIENCE = timedelta(hours=24)

# Soon again after a hiccup, every ten minutes through an outage.
_ATTEMPTS = RetryPolicy(
    initial_interval=timedelta(seconds=2), backoff_coefficient=2.0, maximum_interval=timedelta(minutes=10)
)
_ATTEMPT_WITHIN = timedelta(seconds=30)
_LAST_WORD_WITHIN = timedelta(seconds=10)


class DeliveryStart(Record):
    """Input of `WebhookDeliveryWorkflow.run`, and of its activities: the row in the directory, and no more.

    `round` counts the replays; `patience` is not as long in tests.
    """

    delivery_id: int
    round: int = 0
    patience: timedelta = PATIENCE


@workflow.defn(name="WebhookDelivery")
class WebhookDeliveryWorkflow:
    """One delivery. Its result is how it ended: `delivered`, `given_up` or `removed`."""

    @workflow.run
    async def run(self, start: DeliveryStart) -> str:
        """Try until it is delivered, or in vain for as long as `patience`."""
        try:
            ended: str = await workflow.execute_activity(
                "DeliverWebhook",
                start,
                result_type=str,
                start_to_close_timeout=_ATTEMPT_WITHIN,
                schedule_to_close_timeout=start.patience,
                retry_policy=_ATTEMPTS,
            )
        except (ActivityError, asyncio.CancelledError):
            # The day is over; or somebody cancelled the workflow, perhaps before it began: no less final.
            ended = await workflow.execute_activity(
                "GiveUpWebhook", start, result_type=str, start_to_close_timeout=_LAST_WORD_WITHIN
            )
        return ended
