"""Whatever happens, in whatever order: what a reservation says is so, also on a real server.

The scripts and the checks are those of `tests/core/test_model.py`, which lives thousands of them with the
core alone. Here a few are lived by the real workflow on a server that skips time. `make test` lives a fixed
set, `make chaos` many longer ones from a seed that it prints.
"""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import TimeSkippingConfig, WorkflowEnvironment
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from cli.up.temporal_cli import find_temporal_cli
from tests.core import checks
from tests.core.script import Callers, Script, scripts
from tests.workflows.model import ServerDriver
from tests.workflows.world import DEV_SERVER, WORKFLOWS
from workflows.messages import Snapshot
from workflows.names import SEARCH_ATTRIBUTES
from workflows.reservation.workflow import ReservationWorkflow

FIXED = settings(
    max_examples=10,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)

# Long histories early: every sequence of some length continues as new.
SERVER = [
    *(option for option in DEV_SERVER if "suggestContinueAsNew" not in option),
    "limit.historyCount.suggestContinueAsNew=80",
]

NORMAL_FAILURES = {
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND,  # a signal met the end
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_STICKY_TASK_QUEUE,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND,
}


class Stage:
    """One server and one event loop for all sequences."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.env: WorkflowEnvironment = self.runner.run(_start())

    def live(self, script: Script) -> None:
        """Live one sequence; raises AssertionError when something is not as it should be."""
        self.runner.run(_live(self.env, script))

    def close(self) -> None:
        self.runner.run(self.env.shutdown())
        self.runner.close()


async def _live(env: WorkflowEnvironment, script: Script) -> None:
    await Sequence(env, script).live()  # its driver wants a running loop


async def _start() -> WorkflowEnvironment:
    return await WorkflowEnvironment.start_time_skipping_v2(
        dev_server_existing_path=str(find_temporal_cli()),
        dev_server_extra_args=SERVER,
        data_converter=pydantic_data_converter,
        search_attributes=SEARCH_ATTRIBUTES,
        ts_config=TimeSkippingConfig(max_session_skip_count=5000),
    )


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


class Sequence:
    """A reservation, and what happens to it."""

    def __init__(self, env: WorkflowEnvironment, script: Script) -> None:
        self.env = env
        self.script = script
        self.driver = ServerDriver(env, script)
        self.site = self.driver.site
        self.callers = Callers(self.site)

    async def live(self) -> None:
        await self.driver.open()
        try:
            for name, *arguments in (self.script.first, *self.script.steps):
                if await self.driver.is_closed() and not name.startswith("reserve"):
                    await self.take("reserve", *self.script.first[1:])
                await self.take(name, *arguments)
            await self.finish()
        finally:
            await self.driver.close()

    async def take(self, name: str, *arguments: Any) -> None:
        await self.driver.describe()
        for one in (self, self.driver):
            if (method := getattr(one, name, None)) is not None:
                await method(*arguments)
                break
        else:
            getattr(self.site, name)(*arguments)
        await self.check()

    # --- steps of callers, and of time ---------------------------------------------------------------------

    async def reserve(self, *arguments: Any) -> None:
        now = await self.driver.now()
        await self.driver.reserve(self.callers.reserve(now, *arguments))

    async def reserve_the_same(self) -> None:
        if (request := self.callers.reserve_the_same()) is not None:
            await self.driver.reserve(request)

    async def repeat_request(self, way: str) -> None:
        """The client did not get its answer, and asks again."""
        if (request := self.callers.last_request) is not None:
            await self.driver.reserve(request, by_signal=way == "signal")

    async def cancel(self, way: str) -> None:
        await self.driver.cancel(self.callers.cancel_id(), way)

    async def wait(self, seconds: int) -> None:
        await self.driver.skip(timedelta(seconds=seconds))

    async def wait_for_expiry(self) -> None:
        if (duration := self.callers.until_expiry()) is not None:
            await self.driver.skip(duration)

    # --- what must be so -------------------------------------------------------------------------------

    async def check(self) -> None:
        is_closed = await self.driver.quiet()
        snapshot = await self.snapshot(is_closed)
        if is_closed or any(
            call.answer is None and self.site.now - call.at > checks.LATEST_ANSWER
            for call in self.driver.calls
        ):
            await self.driver.answers()
        checks.check(self.site, self.driver.calls, snapshot, is_closed=is_closed)

    async def snapshot(self, is_closed: bool) -> Snapshot:
        handle = self.driver.handle
        return await (handle.result() if is_closed else handle.query(ReservationWorkflow.snapshot))

    # --- the end of the sequence -------------------------------------------------------------------

    async def finish(self) -> None:
        """Let everything come right, and time run out."""
        driver = self.driver
        await driver.describe()
        self.site.come_right()
        for _ in range(40):
            await self.check()
            if await driver.is_closed():
                break
            await driver.skip(timedelta(minutes=20))
        assert await driver.is_closed(), "it never ended"
        assert all(call.answer is not None for call in driver.calls)
        end = await driver.handle.result()
        assert f"reservation.{end.state}" in [event.type for event in self.site.webhook_events]
        await self.check_histories()

    async def check_histories(self) -> None:
        """No workflow task failed, and every run replays."""
        histories: dict[str, WorkflowHistory] = {}
        runs = set(self.driver.runs)
        while runs:
            run_id = runs.pop()
            handle = self.env.client.get_workflow_handle(self.driver.workflow_id, run_id=run_id)
            histories[run_id] = history = await handle.fetch_history()
            before = history.events[0].workflow_execution_started_event_attributes.continued_execution_run_id
            runs |= {before} - {""} - histories.keys()
        replayer = Replayer(
            workflows=WORKFLOWS,
            data_converter=pydantic_data_converter,
            workflow_runner=UnsandboxedWorkflowRunner(),
        )
        for history in histories.values():
            for event in history.events:
                if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                    failed = event.workflow_task_failed_event_attributes
                    assert failed.cause in NORMAL_FAILURES, failed
            await replayer.replay_workflow(history)


@pytest.mark.timeout(0)
def test_what_a_reservation_says_is_so(stage: Stage) -> None:
    is_chaos = settings.get_current_profile_name() == "chaos"
    chosen, length = (settings.get_profile("chaos"), 25) if is_chaos else (FIXED, 15)

    @chosen
    @given(script=scripts(length))
    def live(script: Script) -> None:
        stage.live(script)

    live()
