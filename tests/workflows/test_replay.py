"""A release must replay the histories of the reservations that sleep through it."""

import asyncio
from datetime import timedelta

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.client import WorkflowExecutionStatus, WorkflowHistory
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import PayloadConverter
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from berth.telemetry.workflow_spans import ReservationTracing
from tests.workflows.record_histories import HISTORIES, STORIES
from tests.workflows.world import QUICK, World
from worker import WORKFLOWS
from workflows.messages import ReservationEnded

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

HELP = (
    "This change of the workflow would break reservations that are under way. Make it as a patch "
    "(docs/how-to/changing-the-workflow.md). Only if this history was never deployed: "
    "python -m tests.workflows.record_histories {name}"
)


@pytest.mark.parametrize("name", sorted(STORIES))
async def test_a_stored_history_replays(name: str) -> None:
    history = WorkflowHistory.from_json(name, (HISTORIES / f"{name}.json").read_text())
    replayer = Replayer(
        workflows=WORKFLOWS,
        data_converter=pydantic_data_converter,
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    assert result.replay_failure is None, HELP.format(name=name) + f"\n{result.replay_failure}"


@pytest.mark.parametrize("is_traced", [False, True])
async def test_a_history_replays_with_tracing_and_makes_no_span(is_traced: bool) -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracing = ReservationTracing(provider.get_tracer("test"))
    replayer = Replayer(
        workflows=WORKFLOWS,
        data_converter=pydantic_data_converter,
        workflow_runner=UnsandboxedWorkflowRunner(),
        interceptors=[tracing],
    )
    history = WorkflowHistory.from_json("cancelled", (HISTORIES / "cancelled.json").read_text())
    if is_traced:
        (header,) = PayloadConverter.default.to_payloads([{"traceparent": TRACEPARENT}])
        started = history.events[0].workflow_execution_started_event_attributes
        started.header.fields[TracingInterceptor().header_key].CopyFrom(header)
    await replayer.replay_workflow(history)
    assert kept.get_finished_spans() == ()


async def test_a_look_at_the_very_moment_of_the_end_leaves_a_history_that_replays(world: World) -> None:
    await world.reserve(policy=QUICK.model_copy(update={"quiet": timedelta(milliseconds=1)}))
    async with world.worker_away():
        await world.tell(
            "reservation_ended", ReservationEnded(at=await world.now(), reservation_id=7, status="Removed")
        )
        looking = asyncio.create_task(world.snapshot())
        assert (await world.handle.describe()).status is WorkflowExecutionStatus.RUNNING
    await looking
    await world.handle.result()
    replayer = Replayer(
        workflows=WORKFLOWS,
        data_converter=pydantic_data_converter,
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    await replayer.replay_workflow(await world.handle.fetch_history())


def test_every_story_has_its_history_and_every_history_its_story() -> None:
    assert {file.stem for file in HISTORIES.glob("*.json")} == set(STORIES)
