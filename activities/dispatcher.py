"""Starting the workflow of each delivery, whoever entered it: those of half a second at once.

Any number of workers may look at the same time: a delivery's workflow has the id of its row and round.
"""

import asyncio
import math
import time

import structlog
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy

from activities.charger_presence import ChargerPresence
from activities.metrics import WEBHOOKS_OLDEST_AGE, WEBHOOKS_PENDING
from directory import Directory, DueDelivery
from workflows.names import WEBHOOKS_QUEUE, webhook_delivery_workflow_id
from workflows.webhook_delivery import DeliveryStart, WebhookDeliveryWorkflow

log = structlog.get_logger(__name__)

LOOK_EVERY = 0.5  # seconds that an event waits for its first attempt, at most
_LOST_EVERY = 5.0
_COUNT_EVERY = 15.0
_AGAIN_AFTER = 5.0
_BATCH = 100
_AT_ONCE = 10


class Dispatcher:
    """Starts deliveries, for ever."""

    def __init__(self, directory: Directory, client: Client, task_queue: str = WEBHOOKS_QUEUE) -> None:
        self._directory = directory
        self._client = client
        self._task_queue = task_queue

    async def run(self, presence: ChargerPresence, every: float = LOOK_EVERY) -> None:
        """Start what is due again and again; what fails is tried with the next look."""
        lost_at = counted_at = -math.inf
        while True:
            try:
                if time.monotonic() - lost_at > _LOST_EVERY:
                    lost_at = time.monotonic()
                    await presence.look_for_lost()
                while len(await self.start_due()) == _BATCH:
                    pass
                if time.monotonic() - counted_at > _COUNT_EVERY:
                    counted_at = time.monotonic()
                    await self._count()
            except Exception as error:
                # Temporal or the directory is away; rows wait for as long as it takes.
                log.warning("webhooks_not_dispatched", error=repr(error))
                WEBHOOKS_PENDING.set(math.nan)
                WEBHOOKS_OLDEST_AGE.set(math.nan)
                counted_at = -math.inf
                await asyncio.sleep(_AGAIN_AFTER)
            await asyncio.sleep(every)

    async def start_due(self) -> list[DueDelivery]:
        """Start what is due now, a batch at most; what was started."""
        due = await self._directory.deliveries.due(_BATCH)
        slots = asyncio.Semaphore(_AT_ONCE)

        async def start(one: DueDelivery) -> None:
            async with slots:
                await self._client.start_workflow(
                    WebhookDeliveryWorkflow.run,
                    DeliveryStart(delivery_id=one.id, round=one.round),
                    id=webhook_delivery_workflow_id(one.id, one.round),
                    task_queue=self._task_queue,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    request_eager_start=True,  # by this very process, which spares Temporal a trip
                    static_summary=f"{one.event_type} to webhook {one.webhook_id}",
                )

        async with asyncio.TaskGroup() as group:
            for one in due:
                group.create_task(start(one))
        await self._directory.deliveries.started(due)
        return due

    async def _count(self) -> None:
        backlog = await self._directory.deliveries.backlog()
        WEBHOOKS_PENDING.set(backlog.count)
        WEBHOOKS_OLDEST_AGE.set(backlog.oldest_age.total_seconds())
