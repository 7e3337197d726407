"""The API as callers see it: a real database, a real Temporal server, a workflow that keeps to a script."""

import itertools
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from api.app import close, create_app
from berth.database import Charger, Database, NewCharger, NewPort
from berth.settings import Settings
from tests.api.scripted import (
    SCRIPTS,
    Script,
    ScriptedChangePassword,
    ScriptedForwardCancel,
    ScriptedReservation,
)
from workflows.names import SEARCH_ATTRIBUTES

DEV_SERVER = [
    "--dynamic-config-value", "history.transferProcessorMaxPollRPS=5000",
    "--dynamic-config-value", "history.timerProcessorMaxPollRPS=5000",
    "--dynamic-config-value", "history.visibilityProcessorMaxPollRPS=5000",
]  # fmt: skip

QUEUE = "gateway-g1-abc"

_numbers = itertools.count(1000)


def wait_for_temporal(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the API wait for so long instead, each time it waits for Temporal."""
    for deadline in (
        "temporal.forwarded_cancels.STARTED_WITHIN",
        "routes.health.TEMPORAL_WITHIN",
        "temporal.charger_password_changes.STARTED_WITHIN",
        "temporal.reservation_list.LISTED_WITHIN",
        "temporal.reservations_client.ACCEPTED_WITHIN",
        "temporal.reservations_client.ANSWER_MARGIN",
        "temporal.reservations_client.LOOK_WITHIN",
        "temporal.reservations_client.MEET_WITHIN",
        "temporal.reservations_client.READ_WITHIN",
        "temporal.reservations_client.SIGNAL_WITHIN",
    ):
        monkeypatch.setattr(f"api.{deadline}", timedelta(seconds=seconds))


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an answer says does not depend on how busy the machine is. Tests of deadlines set their own."""
    wait_for_temporal(60, monkeypatch)
    monkeypatch.setattr("api.routes.health.DATABASE_WITHIN", timedelta(seconds=60))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def temporal_address(temporal_cli: Path) -> AsyncIterator[str]:
    """Where the Temporal server of all these tests listens."""
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(temporal_cli),
        dev_server_extra_args=DEV_SERVER,
        search_attributes=SEARCH_ATTRIBUTES,
    ) as environment:
        yield environment.client.service_client.config.target_host


@pytest.fixture
async def temporal(temporal_address: str) -> Client:
    """A client as the API's process has it."""
    return await Client.connect(temporal_address, data_converter=pydantic_data_converter)


@pytest.fixture
def task_queue(monkeypatch: pytest.MonkeyPatch) -> str:
    """The queue of this test's reservations."""
    queue = f"reservations-{uuid4().hex}"
    monkeypatch.setattr("api.temporal.reservation_start.RESERVATIONS_QUEUE", queue)
    monkeypatch.setattr("api.temporal.forwarded_cancels.RESERVATIONS_QUEUE", queue)
    monkeypatch.setattr("api.temporal.charger_password_changes.RESERVATIONS_QUEUE", queue)
    return queue


@pytest.fixture
async def worker(temporal: Client, task_queue: str) -> AsyncIterator[Worker]:
    """A worker that runs scripted reservations."""
    async with Worker(
        temporal,
        task_queue=task_queue,
        workflows=[ScriptedReservation, ScriptedForwardCancel, ScriptedChangePassword],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ) as worker:
        yield worker


@pytest.fixture
def number() -> int:
    """A reservation number that no other test has."""
    return next(_numbers)


@pytest.fixture
def script(number: int) -> Iterator[Script]:
    """What the workflow of `number` does and heard."""
    SCRIPTS[number] = Script()
    yield SCRIPTS[number]
    del SCRIPTS[number]


@pytest.fixture
async def database(migrated_file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database of this test's own."""
    file = shutil.copy(migrated_file, tmp_path / "berth.db")
    async with await Database.open(f"sqlite+aiosqlite:///{file}") as database:
        yield database


@pytest.fixture
async def charger(database: Database) -> Charger:
    """A charger with two ports at site-1, offline."""
    return await database.chargers.add(
        NewCharger("CP-16", site_id="site-1", external_id="GARAGE/7", ports=[NewPort(1), NewPort(2)])
    )


@pytest.fixture
async def link(database: Database, charger: Charger) -> int:
    """The epoch of the charger's live, ready socket."""
    await database.links.start("abc", "g1", QUEUE)
    epoch = (await database.links.take(charger.id, "abc", "ocpp1.6")).epoch
    await database.links.mark_ready(charger.id, epoch)
    return epoch


@pytest.fixture
def settings() -> Settings:
    """The defaults, and a Temporal UI to link to."""
    return Settings(temporal_ui_url="http://127.0.0.1:8233/")


@pytest.fixture
async def app(
    settings: Settings, temporal: Client, task_queue: str, database: Database
) -> AsyncIterator[FastAPI]:
    """The application under test."""
    app = create_app(settings, temporal, database)
    yield app
    await close(app)


Caller = Callable[..., httpx.AsyncClient]


@pytest.fixture
async def caller(app: FastAPI) -> AsyncIterator[Caller]:
    """Makes HTTP clients for `app`, with an API key or without."""
    clients: list[httpx.AsyncClient] = []

    def make(raw_key: str | None = None, app: FastAPI = app) -> httpx.AsyncClient:
        headers = {} if raw_key is None else {"Authorization": f"Bearer {raw_key}"}
        transport = httpx.ASGITransport(app)
        clients.append(httpx.AsyncClient(transport=transport, base_url="http://berth", headers=headers))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
async def http(caller: Caller, database: Database) -> httpx.AsyncClient:
    """A caller with every right."""
    raw_key, _ = await database.keys.create("tests", ["reservations", "read", "admin"])
    return caller(raw_key)


@pytest.fixture
def body(charger: Charger, number: int) -> dict[str, Any]:
    """A request to reserve the charger's first port for an hour, as good as it gets."""
    return {
        "portId": charger.ports[0].id,
        "expiryDate": in_an_hour(),
        "idTag": "RFID-Tag",
        "reservationId": number,
    }


def in_an_hour() -> str:
    """Whole seconds, as callers send it."""
    return instant(datetime.now(UTC) + timedelta(hours=1))


def instant(at: datetime) -> str:
    """ISO 8601 with Z."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
