"""Stored events on their way to workflows: per charger in the order of their ids, until each is delivered.

Temporal being away is nobody's problem but ours: events are kept and tried again, chargers never wait.
"""

import asyncio
import random

import structlog
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from berth.database import Database, StoredEvent
from gateway.charger_events import signal_argument

log = structlog.get_logger(__name__)

_AT_ONCE = 32
"""Chargers whose events are on their way at the same time."""

_BATCH = 50
_FIRST_RETRY, _LAST_RETRY = 1.0, 30.0  # seconds
_ORPHANS_EVERY = 5.0  # seconds

_NO_NAMESPACE = "NamespaceNotFoundFailure"


class EventDispatcher:
    """Signals the events of this gateway's chargers, and those that no live gateway looks after."""

    def __init__(self, database: Database, client: Client) -> None:
        self._database = database
        self._client = client
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._woken: set[int] = set()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    @property
    def waiting_count(self) -> int:
        """Chargers whose events are on their way."""
        return len(self._under_way)

    def wake(self, charger_id: int) -> None:
        """There may be events of this charger to deliver; returns at once."""
        self._woken.add(charger_id)
        if charger_id not in self._under_way:
            self._under_way[charger_id] = asyncio.create_task(self._deliver_all(charger_id))

    async def sweep(self) -> None:
        """Look for orphans every few seconds, for ever: their gateway died before it delivered them."""
        while True:
            try:
                for charger_id in await self._database.events.orphans():
                    self.wake(charger_id)
            except Exception:
                log.exception("orphans_not_found")
            await asyncio.sleep(_ORPHANS_EVERY)

    async def stop(self) -> None:
        """Leave what is not delivered to the next gateway."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver_all(self, charger_id: int) -> None:
        retry_in = _FIRST_RETRY
        try:
            while charger_id in self._woken:
                self._woken.discard(charger_id)
                try:
                    async with self._slots:
                        await self._deliver_waiting(charger_id)
                    retry_in = _FIRST_RETRY
                except Exception as error:
                    # The SDK speaks of an absent server in several ways; the database has its own.
                    log.warning(
                        "events_not_delivered", charger_id=charger_id, retry_in=retry_in, error=repr(error)
                    )
                    self._woken.add(charger_id)
                    await asyncio.sleep(retry_in * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
                    retry_in = min(retry_in * 2, _LAST_RETRY)
        finally:
            del self._under_way[charger_id]

    async def _deliver_waiting(self, charger_id: int) -> None:
        while events := await self._database.events.next_of(charger_id, _BATCH):
            delivered: list[int] = []
            try:
                for event in events:
                    await self._signal(event)
                    delivered.append(event.id)
            finally:
                if delivered:
                    await self._database.events.delivered(delivered)

    async def _signal(self, event: StoredEvent) -> None:
        workflow = self._client.get_workflow_handle(event.workflow_id)
        try:
            await workflow.signal(event.kind, signal_argument(event))
        except RPCError as error:
            if not _is_never_heard(error):
                raise
            log.info("event_not_heard", workflow_id=event.workflow_id, kind=event.kind, error=str(error))


def _is_never_heard(error: RPCError) -> bool:
    """Whether a repeat is of no use: the workflow is closed, or its argument is not one Temporal takes."""
    if error.status is RPCStatusCode.NOT_FOUND:
        # A wrong TEMPORAL_NAMESPACE must not empty the outbox.
        return not any(detail.type_url.endswith(_NO_NAMESPACE) for detail in error.grpc_status.details)
    return error.status is RPCStatusCode.INVALID_ARGUMENT
