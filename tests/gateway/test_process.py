"""The gateway as a process: it serves chargers whatever happens to Temporal, and leaves no mess."""

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url
from temporalio import workflow
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from berth.database import Charger, Database, Link, UnreachableError
from berth.database.database import connect as connect_database
from berth.database.tables import gateways
from berth.settings import Settings
from berth.temporal.client import connect
from cli.up.temporal_cli import find_temporal_cli
from gateway import process
from gateway.process import run
from gateway.server import PortInUse
from tests.database.time_passes import age
from tests.gateway.stack import eventually
from tests.gateway.station import Station
from webhooks.charger_presence import ChargerPresence
from webhooks.outbox import WebhookOutbox
from workflows.messages import NOT_SENT, ReserveNowInput, ReserveNowResult, ReserveStatus, Terms


@workflow.defn
class Reserving:
    """The least workflow that reserves."""

    @workflow.run
    async def run(self, queue: str, request: ReserveNowInput) -> ReserveNowResult:
        result: ReserveNowResult = await workflow.execute_activity(
            "ReserveNow",
            request,
            task_queue=queue,
            result_type=ReserveNowResult,
            start_to_close_timeout=timedelta(seconds=50),
            heartbeat_timeout=timedelta(seconds=10),
        )
        return result


@pytest.fixture
def settings(free_port: int) -> Settings:
    return Settings(gateway_port=free_port, unknown_chargers="register", open_chargers=True)


@pytest.fixture
async def absent(monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client of a Temporal that does not exist."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    return await connect(None, lazy=True)


@pytest.fixture
async def temporal() -> AsyncIterator[Client]:
    """A real Temporal."""
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(find_temporal_cli()), data_converter=pydantic_data_converter
    ) as environment:
        yield environment.client


def worker(client: Client, queue: str) -> Worker:
    """A worker for the workflow above."""
    return Worker(
        client, task_queue=queue, workflows=[Reserving], workflow_runner=UnsandboxedWorkflowRunner()
    )


@asynccontextmanager
async def gateway(settings: Settings, client: Client, database: Database) -> AsyncIterator[asyncio.Event]:
    """A running gateway; setting the event stops it."""
    stop = asyncio.Event()
    running = asyncio.create_task(run(settings, "G", client, database, stop=stop))

    async def listening() -> bool:
        if running.done():
            running.result()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", settings.gateway_port)) == 0

    await eventually(listening)
    try:
        yield stop
    finally:
        stop.set()
        await running


def station(settings: Settings) -> Station:
    return Station(f"ws://127.0.0.1:{settings.gateway_port}/ocpp/CP-1")


async def route(database: Database) -> Link:
    async def ready() -> Link | None:
        charger = await database.chargers.by_identity("CP-1")
        return await database.links.route(charger.id) if charger else None

    return await eventually(ready)


async def test_chargers_are_served_while_temporal_is_away(
    settings: Settings, absent: Client, database: Database, charger: Charger
) -> None:
    async with gateway(settings, absent, database) as stop, station(settings) as one:
        await one.boot()
        link = await route(database)
        assert link.queue.startswith("gateway-G-")
        await one.call("Heartbeat")
        stop.set()
        assert await one.closed() == (1012, "the gateway restarts")
    assert await database.links.route(charger.id) is None
    assert [message.message_type for message in await database.messages.query()] == [
        "Heartbeat",
        "BootNotification",
    ]


async def test_without_a_load_report_it_goes_on(
    settings: Settings, absent: Client, database: Database, charger: Charger
) -> None:
    quiet = settings.model_copy(update={"load_log_interval": 0})
    async with gateway(quiet, absent, database) as stop, station(settings) as one:
        await one.boot()
        assert not stop.is_set()


async def test_chargers_of_a_gateway_that_was_taken_for_dead_are_back_with_its_next_heartbeat(
    settings: Settings,
    absent: Client,
    database: Database,
    charger: Charger,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "_HEARTBEAT_EVERY", 1.0)
    _, key = await database.keys.create("app", ["read"])
    webhook = await database.webhooks.add(key.id, "https://app.example/", "whsec_1")
    connections = connect_database(make_url(f"sqlite+aiosqlite:///{tmp_path / 'berth.db'}"))
    presence = ChargerPresence(database, WebhookOutbox(database))
    came, went = "charger.connected", "charger.disconnected"

    async def told() -> list[str]:
        found = await database.deliveries.of_webhook(webhook.id, state=None, limit=10)
        return [one.event_type for one in reversed(found)]

    async def is_told_to_be_lost() -> bool:
        await age(connections, gateways.c.heartbeat_at, timedelta(seconds=20))
        await presence.look_for_lost()
        return went in await told()

    async def is_back() -> bool:
        return await told() == [came, went, came]

    async def is_connected() -> bool:
        return await told() == [came]

    async with gateway(settings, absent, database), station(settings) as one:
        await one.boot()
        await eventually(is_connected)
        await eventually(is_told_to_be_lost)
        await eventually(is_back)
        await one.call("Heartbeat")
    assert await told() == [came, went] * 2
    await connections.close()


async def test_a_gateway_that_cannot_tell_of_its_end_leaves_no_link_and_no_message_behind(
    settings: Settings,
    absent: Client,
    database: Database,
    charger: Charger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fails(*_: object) -> None:
        raise UnreachableError("the database is away")

    monkeypatch.setattr(ChargerPresence, "leave_with", fails)
    async with gateway(settings, absent, database), station(settings) as one:
        await one.boot()
        await route(database)
    assert await database.links.gateways() == []
    assert [message.message_type for message in await database.messages.query()] == ["BootNotification"]


async def test_a_port_in_use_is_named_with_its_setting(
    settings: Settings, absent: Client, database: Database
) -> None:
    async with gateway(settings, absent, database):
        with pytest.raises(PortInUse, match=f"port {settings.gateway_port} .* BERTH_GATEWAY_PORT"):
            await run(settings, "H", absent, database, asyncio.Event())


async def test_each_start_has_a_queue_of_its_own(
    settings: Settings, absent: Client, database: Database, charger: Charger
) -> None:
    queues = []
    for _ in range(2):
        async with gateway(settings, absent, database), station(settings) as one:
            await one.boot()
            queues.append((await route(database)).queue)
    assert queues[0] != queues[1]


async def test_a_running_command_is_finished_before_the_gateway_stops(
    settings: Settings, temporal: Client, database: Database, charger: Charger
) -> None:
    terms = Terms(port_id=1, port_number=1, expires_at=datetime.now(UTC) + timedelta(hours=1), id_tag="ABC")
    request = ReserveNowInput(charger_id=charger.id, reservation_id=7, terms=terms, first_run_id="run-1")
    queue = f"test-{uuid.uuid4()}"
    async with (
        worker(temporal, queue),
        gateway(settings, temporal, database) as stop,
        station(settings) as one,
    ):
        await one.boot()
        link = await route(database)
        reserving = await temporal.start_workflow(
            Reserving.run, args=[link.queue, request], id=f"test-{uuid.uuid4()}", task_queue=queue
        )
        message_id, _ = await one.asked("ReserveNow")
        stop.set()
        await one.call("Heartbeat")
        await one.answer(message_id, {"status": "Accepted"})
        assert await one.closed() == (1012, "the gateway restarts")
        assert await reserving.result() == ReserveNowResult(status=ReserveStatus.ACCEPTED)


async def test_a_failure_keeps_its_type_and_detail_on_the_way_to_the_workflow(
    settings: Settings, temporal: Client, database: Database, charger: Charger
) -> None:
    terms = Terms(port_id=1, port_number=1, expires_at=datetime.now(UTC), id_tag="ABC")
    request = ReserveNowInput(charger_id=charger.id + 1, reservation_id=7, terms=terms)
    queue = f"test-{uuid.uuid4()}"
    async with (
        worker(temporal, queue),
        gateway(settings, temporal, database),
        station(settings) as one,
    ):
        await one.boot()
        link = await route(database)
        with pytest.raises(WorkflowFailureError) as raised:
            await temporal.execute_workflow(
                Reserving.run, args=[link.queue, request], id=f"test-{uuid.uuid4()}", task_queue=queue
            )
    assert isinstance(raised.value.cause, ActivityError)
    failure = raised.value.cause.cause
    assert isinstance(failure, ApplicationError)
    assert (failure.type, failure.details) == (NOT_SENT, ({"cause": "not_connected"},))


async def test_a_gateway_that_stops_is_not_routed_to_and_finishes_what_is_under_way(
    settings: Settings, temporal: Client, database: Database, charger: Charger
) -> None:
    terms = Terms(port_id=1, port_number=1, expires_at=datetime.now(UTC) + timedelta(hours=1), id_tag="ABC")
    request = ReserveNowInput(
        charger_id=charger.id, reservation_id=7, terms=terms, first_run_id="run-1", force=True
    )
    queue = f"test-{uuid.uuid4()}"
    async with (
        worker(temporal, queue),
        gateway(settings, temporal, database) as stop,
        station(settings) as one,
    ):
        await one.boot()
        link = await route(database)

        async def reserve() -> WorkflowHandle[Reserving, ReserveNowResult]:
            return await temporal.start_workflow(
                Reserving.run, args=[link.queue, request], id=f"test-{uuid.uuid4()}", task_queue=queue
            )

        running = await reserve()
        first, _ = await one.asked("ReserveNow")
        stop.set()

        async def is_withdrawn() -> bool:
            return await database.links.route(charger.id) is None

        await eventually(is_withdrawn)
        late = await reserve()  # by a look at the route from just before
        await one.answer(first, {"status": "Accepted"})
        second, _ = await one.asked("ReserveNow")
        await one.answer(second, {"status": "Accepted"})
        for handle in (running, late):
            assert await handle.result() == ReserveNowResult(status=ReserveStatus.ACCEPTED)
        assert await one.closed() == (1012, "the gateway restarts")
