"""Records histories in which a query cut a step in two: `python -m tests.workflows.record_cut_steps`.

Temporal answers a query with the step that it meets, and has the rest of that step taken in another one: the
result of a local activity stands in the one, what follows from it in the other. It takes a look at the right
moment, so it is recorded once, and the tests are certain.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from temporalio import activity, workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHistory
from temporalio.exceptions import ActivityError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from cli.up.temporal_cli import find_temporal_cli
from tests.workflows.record_histories import without_traces

FILES = Path(__file__).parent.parent / "data" / "cut-steps"


@activity.defn(name="LookAround")
async def look_around() -> None:
    """A look into the database."""


class _Patched:
    """Sleeps, looks into the database, and goes the way that its patch says."""

    def __init__(self) -> None:
        self.is_patched = False

    async def live(self, ask: Callable[[], bool]) -> None:
        await workflow.sleep(timedelta(seconds=2))
        await workflow.execute_local_activity("LookAround", start_to_close_timeout=timedelta(seconds=5))
        if ask():
            await workflow.sleep(timedelta(hours=1), summary="the new way")
        else:
            with suppress(ActivityError):
                await workflow.execute_activity("TheOldWay", start_to_close_timeout=timedelta(hours=1))


@workflow.defn(name="PatchedLate")
class PatchedLate(_Patched):
    """Asks where the ways part: after a local activity."""

    @workflow.run
    async def run(self) -> None:
        """Live."""
        await self.live(lambda: workflow.patched("way"))

    @workflow.query
    def where(self) -> str:
        """Be looked at."""
        return "here"


@workflow.defn(name="PatchedFirst")
class PatchedFirst(_Patched):
    """Asks in its first step, and keeps the answer."""

    @workflow.run
    async def run(self) -> None:
        """Live."""
        answer = workflow.patched("way")
        await self.live(lambda: answer)

    @workflow.query
    def where(self) -> str:
        """Be looked at."""
        return "here"


PROBES = {"patched-late": PatchedLate, "patched-first": PatchedFirst}


def types(history: WorkflowHistory) -> list[str]:
    """The types of a history's events."""
    return [EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in history.events]


def is_cut(history: WorkflowHistory) -> bool:
    """Whether nothing followed the local activity's result in its own step."""
    told = types(history)
    is_local = [
        event.marker_recorded_event_attributes.marker_name == "core_local_activity"
        for event in history.events
    ]
    return True in is_local and told[is_local.index(True) + 1] == "WORKFLOW_TASK_SCHEDULED"


async def record(client: Client, probe: type) -> WorkflowHistory:
    """Live one until it is looked at as its timer fires, again and again until that cuts a step."""
    while True:
        queue = f"probes-{uuid4().hex[:8]}"
        name = workflow_name(probe)
        handle = await client.start_workflow(name, id=queue, task_queue=queue)
        async with _worker(client, queue):
            while "TIMER_STARTED" not in types(await handle.fetch_history()):
                await asyncio.sleep(0.05)
        while "TIMER_FIRED" not in types(await handle.fetch_history()):
            await asyncio.sleep(0.05)
        looking = asyncio.create_task(handle.query("where"))
        await asyncio.sleep(0.3)
        async with _worker(client, queue):
            await looking
            while not {"ACTIVITY_TASK_SCHEDULED", "MARKER_RECORDED"} & set(
                types(await handle.fetch_history())
            ):
                await asyncio.sleep(0.05)
            await asyncio.sleep(1)
        history = await handle.fetch_history()
        if is_cut(history):
            return history


def workflow_name(probe: type) -> str:
    """The type of the workflow."""
    return probe.__name__


def _worker(client: Client, queue: str) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        workflows=list(PROBES.values()),
        activities=[look_around],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )


async def main() -> None:
    """Record both."""
    FILES.mkdir(parents=True, exist_ok=True)
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(find_temporal_cli())
    ) as environment:
        for name, probe in PROBES.items():
            history = await record(environment.client, probe)
            (FILES / f"{name}.json").write_text(without_traces(history.to_json()))


if __name__ == "__main__":
    asyncio.run(main())
