"""Starting the workflows that deliver, whoever entered the events: one for the many events of a webhook.

Any number of workers may look at the same time: who takes a delivery has it for a minute.
"""

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator

import structlog
from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError

from berth.database import Database, DueDelivery
from webhooks.delivery_metrics import WEBHOOKS_OLDEST_AGE, WEBHOOKS_PENDING
from workflows.names import WEBHOOKS_QUEUE, webhook_delivery_workflow_id
from workflows.webhook_delivery import LARGEST_BATCH, DeliveryRound, DeliveryStart, WebhookDeliveryWorkflow

log = structlog.get_logger(__name__)

LOOK_EVERY = 1.0  # seconds that an event waits for its first attempt, at most; so long events gather
_COUNT_EVERY = 15.0
_AGAIN_AFTER = 5.0
_TAKEN_AT_ONCE = 100
_STARTED_AT_ONCE = 10


class Dispatcher:
    """Starts deliveries, for ever."""

    def __init__(self, database: Database, client: Client, task_queue: str = WEBHOOKS_QUEUE) -> None:
        self._database = database
        self._client = client
        self._task_queue = task_queue

    async def run(self, every: float = LOOK_EVERY) -> None:
        """Start what is due again and again; what fails is tried again when nobody has it any more."""
        counted_at = -math.inf
        while True:
            try:
                while len(await self.start_due()) == _TAKEN_AT_ONCE:
                    pass
                if time.monotonic() - counted_at > _COUNT_EVERY:
                    counted_at = time.monotonic()
                    await self._count()
            except Exception as error:
                # Temporal or the database is away; rows wait for as long as it takes.
                log.warning("webhooks_not_dispatched", error=repr(error))
                WEBHOOKS_PENDING.set(math.nan)
                WEBHOOKS_OLDEST_AGE.set(math.nan)
                counted_at = -math.inf
                await asyncio.sleep(_AGAIN_AFTER)
            await asyncio.sleep(every)

    async def start_due(self) -> list[DueDelivery]:
        """Start what is due now, in batches; what was started."""
        due = await self._database.deliveries.due(_TAKEN_AT_ONCE)
        slots = asyncio.Semaphore(_STARTED_AT_ONCE)
        started: list[DueDelivery] = []

        async def start(batch: list[DueDelivery]) -> None:
            async with slots:
                await self._start(batch)
            started.extend(batch)

        try:
            async with asyncio.TaskGroup() as group:
                for batch in _batches(due):
                    group.create_task(start(batch))
        finally:
            await self._database.deliveries.started(started)
        return due

    async def _start(self, batch: list[DueDelivery]) -> None:
        while batch:
            first = batch[0]
            what = first.event_type if len(batch) == 1 else f"{len(batch)} events"
            try:
                await self._client.start_workflow(
                    WebhookDeliveryWorkflow.run,
                    DeliveryStart(deliveries=[DeliveryRound(id=one.id, round=one.round) for one in batch]),
                    id=webhook_delivery_workflow_id(first.webhook_id, first.id, first.round),
                    task_queue=self._task_queue,
                    request_eager_start=True,  # by this very process, which spares Temporal a trip
                    static_summary=f"{what} to webhook {first.webhook_id}",
                )
            except WorkflowAlreadyStartedError:
                # Somebody died before saying so. Whether that batch had the others as well, nobody knows.
                batch = batch[1:]
            else:
                return

    async def _count(self) -> None:
        backlog = await self._database.deliveries.backlog()
        WEBHOOKS_PENDING.set(backlog.count)
        WEBHOOKS_OLDEST_AGE.set(backlog.oldest_age.total_seconds())


def _batches(due: Iterable[DueDelivery]) -> Iterator[list[DueDelivery]]:
    of_webhook: defaultdict[int, list[DueDelivery]] = defaultdict(list)
    for one in due:
        of_webhook[one.webhook_id].append(one)
    for deliveries in of_webhook.values():
        for first in range(0, len(deliveries), LARGEST_BATCH):
            yield deliveries[first : first + LARGEST_BATCH]
