"""A reservation takes the steps of the release that it began with."""

import asyncio

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory

from tests.workflows.world import World
from workflows import revision
from workflows.messages import ReservationStart, ReservationState
from workflows.reservation import ReservationWorkflow

LATER = revision.REVISION + 1


def failures(history: WorkflowHistory) -> list[str]:
    """Why steps failed."""
    return [
        event.workflow_task_failed_event_attributes.failure.message
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    ]


async def test_a_worker_leaves_a_reservation_of_a_later_release_to_newer_ones(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asyncio.timeout(60):
        handle = await world.client.start_workflow(
            ReservationWorkflow.run,
            ReservationStart(charger_id=1, ocpp_identity="CP-1", reservation_id=7, revision=LATER),
            id=world.workflow_id,
            task_queue=world.queue,
        )
        while not (why := failures(await handle.fetch_history())):
            await asyncio.sleep(0.05)
        assert why[0].endswith(f"this worker knows them up to {revision.REVISION}: upgrade the workers")
        assert world.charger.frames == []

    monkeypatch.setattr(revision, "REVISION", LATER)
    assert (await world.snapshot()).state == ReservationState.REQUESTED
