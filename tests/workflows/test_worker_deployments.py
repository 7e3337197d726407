"""Workers with builds: reservations that stay on theirs, or move with the current one.

The gateway's own worker has no build; chargers are reached from pinned reservations all the same.
"""

import asyncio
import json
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from berth.database import Database, NewCharger, migrate_async
from berth.settings import Settings
from berth.temporal.task_queues import draining_builds, promotion, queue_workers
from cli.doctor import Finding, examine
from cli.up.parent_death import mortal
from tests.workflows.world import QUICK, World
from worker import build_worker, deployment_config
from workflows.forward_cancel import ForwardCancelWorkflow
from workflows.messages import CancelStatus, ForwardCancelInput, ReservationState, ReserveStatus
from workflows.names import RESERVATIONS_QUEUE

MOVE = (
    "temporal workflow update-options --versioning-override-behavior auto_upgrade "
    """--query 'TemporalWorkerDeploymentVersion="berth:A" AND ExecutionStatus="Running"'"""
)
"""What docs/how-to/pinned-releases.md says about reservations that a build must give up."""


class Yard:
    """An installation with a Temporal of its own, whose workers come and go."""

    def __init__(self, env: WorkflowEnvironment, temporal_cli: Path, database: Database, url: str) -> None:
        self.env = env
        self.database = database
        self.database_url = url
        self.address = env.client.service_client.config.target_host
        self._temporal_cli = temporal_cli
        self.stack = AsyncExitStack()

    async def worker(self, build: str | None, versioning: str = "pinned") -> Worker:
        """A worker of this build, None: without one, that runs until the end of the test."""
        settings = Settings.model_validate({"worker_build": build, "worker_versioning": versioning})
        worker = build_worker(self.env.client, self.database, deployment=deployment_config(settings))
        await self.stack.enter_async_context(worker)
        if build is not None:
            await self.until_known(build)
        return worker

    async def promote(self, build: str | None) -> None:
        """Give new reservations to this build, as an operator does; the queue learns of it a moment later."""
        await self.run(promotion(build))
        async with asyncio.timeout(60):
            while (await queue_workers(self.env.client, RESERVATIONS_QUEUE)).current != build:
                await asyncio.sleep(0.05)

    async def run(self, command: str) -> None:
        """Type a command of the Temporal tool."""
        _, *arguments = shlex.split(command)
        tool = await asyncio.create_subprocess_exec(
            self._temporal_cli, *arguments, "--yes", "--address", self.address,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await tool.communicate()
        assert tool.returncode == 0, output.decode()

    async def reservation(self) -> World:
        """A reservation to be made, with a charger and a gateway of its own."""
        return await self.stack.enter_async_context(World(self.env, RESERVATIONS_QUEUE))

    async def active(self) -> World:
        """A reservation that sleeps."""
        reservation = await self.reservation()
        assert (await reservation.reserve()).status == ReserveStatus.ACCEPTED
        return reservation

    async def until_drained(self, build: str) -> None:
        """Wait until Temporal says that no reservation is left on it."""
        async with asyncio.timeout(60):
            while build in await draining_builds(self.env.client):
                await asyncio.sleep(0.1)

    async def until_known(self, build: str) -> None:
        """Wait until a worker of this build asks for work."""
        async with asyncio.timeout(60):
            while build not in (await queue_workers(self.env.client, RESERVATIONS_QUEUE)).builds:
                await asyncio.sleep(0.05)


@pytest.fixture
async def yard(env: WorkflowEnvironment, temporal_cli: Path, tmp_path: Path) -> AsyncIterator[Yard]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'berth.db'}"
    await migrate_async(url)
    async with await Database.open(url) as database:
        yard = Yard(env, temporal_cli, database, url)
        async with yard.stack:
            yield yard


async def builds(reservation: World) -> list[str]:
    """The build that took each step of a reservation, repetitions left out; "" is a worker without one."""
    steps: list[str] = []
    history = await reservation.handle.fetch_history()
    for event in history.events:
        if event.HasField("workflow_task_completed_event_attributes"):
            build = event.workflow_task_completed_event_attributes.deployment_version.build_id
            if steps[-1:] != [build]:
                steps.append(build)
    return steps


async def is_free_to_move(reservation: World) -> bool:
    """Whether an operator has overridden that it is pinned."""
    description = await reservation.handle.describe()
    info = description.raw_description.workflow_execution_info.versioning_info
    return info.HasField("versioning_override")


async def cancelled(reservation: World) -> list[str]:
    """Cancel a reservation and see it end; the builds that it saw."""
    assert (await reservation.cancel()).status == CancelStatus.ACCEPTED
    assert (await reservation.handle.result()).state == ReservationState.CANCELLED
    assert reservation.charger.frames == ["ReserveNow", "CancelReservation"]
    return await builds(reservation)


async def test_a_pinned_reservation_ends_on_the_build_it_began_with(yard: Yard) -> None:
    await yard.worker("A")
    await yard.promote("A")
    sleeping, moved, waiting = await yard.active(), await yard.active(), await yard.reservation()
    at = await yard.database.chargers.add(NewCharger("CP-1"))
    assert at.id == 1, "the one that a World reserves"
    waiting.charger.route = None
    assert (await waiting.reserve(wait=timedelta(seconds=0.3))).status == "Pending"

    await yard.worker("B")
    await yard.promote("B")
    assert await cancelled(await yard.active()) == ["B"]
    assert await draining_builds(yard.env.client) == {"A"}

    await waiting.come_online()
    await waiting.until(lambda shown: shown.state == ReservationState.ACTIVE)
    assert await cancelled(waiting) == ["A"]
    assert await cancelled(sleeping) == ["A"]

    await yard.run(MOVE)
    async with asyncio.timeout(60):
        while not await is_free_to_move(moved):
            await asyncio.sleep(0.1)
    assert await cancelled(moved) == ["A", "B"]
    await yard.until_drained("A")


async def test_a_reservation_that_upgrades_by_itself_goes_on_with_the_current_build(yard: Yard) -> None:
    await yard.worker("A", "auto_upgrade")
    await yard.promote("A")
    sleeping = await yard.active()
    await yard.worker("B", "auto_upgrade")
    await yard.promote("B")
    assert await cancelled(sleeping) == ["A", "B"]
    forwarded = await yard.env.client.execute_workflow(
        ForwardCancelWorkflow.run,
        ForwardCancelInput(charger_id=1, ocpp_identity="CP-1", reservation_id=8, policy=QUICK),
        id="forward-cancel-1-8",
        task_queue=RESERVATIONS_QUEUE,
    )
    assert forwarded.reason == "ChargerOffline"


async def test_reservations_go_from_workers_without_builds_to_builds_and_back(yard: Yard) -> None:
    await yard.worker(None)
    sleeping, other = await yard.active(), await yard.active()
    await yard.worker("A")
    await yard.promote("A")
    assert await cancelled(sleeping) == ["", "A"]
    pinned = await yard.active()
    await yard.promote(None)
    assert await cancelled(await yard.active()) == [""]
    assert await cancelled(other) == [""]
    assert await cancelled(pinned) == ["A"]


async def test_a_build_that_nobody_made_current_says_so_and_reservations_wait_for_it(
    yard: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", yard.address)
    monkeypatch.setenv("BERTH_DATABASE_URL", yard.database_url)
    monkeypatch.setenv("BERTH_WORKER_BUILD", "A")
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            mortal([sys.executable, "-P", "-m", "cli", "worker"]), stdout=output, stderr=output
        )
    try:
        await yard.until_known("A")
        reservation = await yard.reservation()
        asking = asyncio.create_task(reservation.reserve())
        await reservation.until_started()

        found = {finding.subject: finding for finding in await examine(Settings())}
        assert found["worker"] == Finding(
            "worker",
            "wrong",
            "of build A, while none is current: new reservations wait",
            f"`{promotion('A')}`",
        )
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        (warning,) = [line for line in lines if line["event"] == "worker_build_not_current"]
        assert not asking.done()
        await yard.run(warning["remedy"])
        assert (await asking).status == ReserveStatus.ACCEPTED
        assert await cancelled(reservation) == ["A"]
        found = {finding.subject: finding for finding in await examine(Settings())}
        assert found["worker"].detail == "polls the task queue reservations, build A is current"
    finally:
        process.terminate()
        process.wait()
