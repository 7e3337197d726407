"""Temporal does not answer, or no worker runs: within 5 s an answer says what is known, and life goes on."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from api.app import create_app
from api.routes import health
from api.temporal import reservation_list, reservations_client, short_workflows
from api.temporal.reservations_client import Reservations
from berth.database import Charger, Database
from berth.settings import Settings
from tests.api.conftest import Caller, wait_for_temporal
from tests.api.scripted import Script, ScriptedReservation
from tests.patience import at_most
from workflows.messages import ReservationState
from workflows.names import SEARCH_ATTRIBUTES, reservation_workflow_id

RESERVE = "/api/ocpp/reservations"
CANCEL = "/api/ocpp/reservations/cancel"

NOTHING_STARTED = {"error": "Temporal does not answer; nothing was started"}
UNKNOWN = {
    "error": "Temporal does not answer in time; the outcome is unknown: repeat with the same reservationId"
}
NOT_READ = {
    "error": (
        "the reservation cannot be read now: Temporal or the workers do not answer; it goes on by itself"
    )
}

NOT_LISTED = {
    "error": "Temporal does not answer; the reservations cannot be listed now, they go on by themselves"
}

PASSING = [
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.RESOURCE_EXHAUSTED,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,
    RPCStatusCode.ABORTED,
    RPCStatusCode.FAILED_PRECONDITION,
    RPCStatusCode.INTERNAL,
    RPCStatusCode.UNKNOWN,
]
# NOT_FOUND is a closing run: tested with the reservations.
FAULTS = sorted(set(RPCStatusCode) - {*PASSING, RPCStatusCode.OK, RPCStatusCode.NOT_FOUND})


async def until_ready(http: httpx.AsyncClient) -> None:
    """Poll until Temporal is reached; fails after 60 s."""
    async with asyncio.timeout(60):
        while (await http.get("/health/ready")).status_code != 200:
            await asyncio.sleep(0.05)


def fail_with(error: Exception, temporal: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the client's update-with-start end in `error`."""

    async def failing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(temporal, "execute_update_with_start_workflow", failing)


@pytest.mark.parametrize(
    "one_after_another",
    [
        [
            reservations_client.ACCEPTED_WITHIN,
            reservations_client.LOOK_WITHIN,
            reservations_client.SIGNAL_WITHIN,
        ],
        [reservations_client.READ_WITHIN],
        [reservation_list.LISTED_WITHIN],
        [short_workflows.STARTED_WITHIN],
        [health.TEMPORAL_WITHIN],
    ],
)
def test_whatever_is_waited_for_takes_less_than_5_s(one_after_another: list[timedelta]) -> None:
    assert sum(one_after_another, timedelta()) < timedelta(seconds=5)


class TestNothingListens:
    """A lazy client at an address where nobody is: it connects on each request anew."""

    @pytest.fixture
    async def temporal(self, free_port: int) -> Client:
        return await Client.connect(
            f"127.0.0.1:{free_port}", data_converter=pydantic_data_converter, lazy=True
        )

    async def test_a_reservation_is_503_at_once_and_nothing_was_started(
        self, http: httpx.AsyncClient, body: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        response = await http.post(RESERVE, json=body)
        assert response.status_code == 503
        assert response.headers["retry-after"] == "5"
        assert response.json() == NOTHING_STARTED
        assert caplog.records == []  # asyncio logs what nobody retrieves

    async def test_a_cancel_is_503(self, http: httpx.AsyncClient, charger: Charger) -> None:
        response = await http.post(CANCEL, json={"chargerId": charger.id, "reservationId": 1})
        assert response.status_code == 503
        assert response.json() == {"error": "Temporal does not answer; nothing was cancelled"}

    async def test_a_look_is_503(self, http: httpx.AsyncClient, charger: Charger) -> None:
        response = await http.get(f"{RESERVE}/{charger.id}/1")
        assert response.status_code == 503
        assert response.json() == NOT_READ

    async def test_a_list_is_503(self, http: httpx.AsyncClient) -> None:
        response = await http.get(RESERVE)
        assert response.status_code == 503
        assert response.json() == NOT_LISTED

    async def test_a_reservation_under_a_key_is_503_too(
        self, http: httpx.AsyncClient, body: dict[str, Any]
    ) -> None:
        response = await http.post(RESERVE, json=body, headers={"Idempotency-Key": "a"})
        assert response.status_code == 503
        assert response.json() == UNKNOWN

    async def test_chargers_are_shown_all_the_same(self, http: httpx.AsyncClient, charger: Charger) -> None:
        assert (await http.get(f"/api/chargers/{charger.id}")).status_code == 200

    async def test_the_process_lives_and_is_not_ready(self, http: httpx.AsyncClient) -> None:
        assert (await http.get("/health/live")).status_code == 200
        response = await http.get("/health/ready")
        assert response.status_code == 503
        assert response.json() == {"error": "not ready: no answer from Temporal"}


class TestNobodyAnswers:
    """Connections are taken, and then nothing: a frozen server, a dropped network.

    The deadlines are a fraction of the real ones: a busy machine keeps to the 5 s as well.
    """

    @pytest.fixture(autouse=True)
    def impatience(self, patience: None, monkeypatch: pytest.MonkeyPatch) -> None:
        wait_for_temporal(0.4, monkeypatch)

    @pytest.fixture
    async def temporal(self) -> AsyncIterator[Client]:
        async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(1024):
                continue
            writer.close()

        server = await asyncio.start_server(silence, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        yield await Client.connect(f"127.0.0.1:{port}", data_converter=pydantic_data_converter, lazy=True)
        server.close()

    async def test_a_reservation_is_503_within_5_s_whatever_the_wait(
        self, http: httpx.AsyncClient, body: dict[str, Any]
    ) -> None:
        started = time.monotonic()
        response = await http.post(RESERVE, json=body, headers={"Prefer": "wait=60"})
        assert time.monotonic() - started < at_most(5)
        assert response.status_code == 503
        assert response.json() == UNKNOWN

    async def test_a_cancel_is_503_within_5_s(self, http: httpx.AsyncClient, charger: Charger) -> None:
        started = time.monotonic()
        response = await http.post(CANCEL, json={"chargerId": charger.id, "reservationId": 1})
        assert time.monotonic() - started < at_most(5)
        assert response.status_code == 503
        assert response.json() == UNKNOWN

    async def test_a_look_is_503_within_5_s(self, http: httpx.AsyncClient, charger: Charger) -> None:
        started = time.monotonic()
        response = await http.get(f"{RESERVE}/{charger.id}/1")
        assert time.monotonic() - started < at_most(5)
        assert response.status_code == 503
        assert response.json() == NOT_READ

    @pytest.mark.parametrize("method", ["GET", "POST"])
    async def test_a_list_and_a_reservation_under_a_key_are_503_within_5_s(
        self, http: httpx.AsyncClient, body: dict[str, Any], method: str
    ) -> None:
        started = time.monotonic()
        response = await http.request(method, RESERVE, json=body, headers={"Idempotency-Key": "a"})
        assert time.monotonic() - started < at_most(5)
        assert response.status_code == 503
        assert response.json() == (NOT_LISTED if method == "GET" else UNKNOWN)

    async def test_the_process_is_not_ready(self, http: httpx.AsyncClient) -> None:
        response = await http.get("/health/ready")
        assert response.status_code == 503
        assert response.json() == {"error": "not ready: no answer from Temporal"}


class TestItComesBack:
    """A server that dies and returns: the same process, the same client."""

    async def test_requests_fail_meanwhile_and_succeed_again(
        self,
        caller: Caller,
        database: Database,
        task_queue: str,
        temporal_cli: Path,
        free_port: int,
        script: Script,
        body: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        address = f"127.0.0.1:{free_port}"
        client = await Client.connect(address, data_converter=pydantic_data_converter, lazy=True)
        raw_key, _ = await database.keys.create("tests", ["reservations"])
        http = caller(raw_key, create_app(Settings(), client, database))

        for _ in range(2):
            async with await WorkflowEnvironment.start_local(
                port=free_port,
                dev_server_existing_path=str(temporal_cli),
                search_attributes=SEARCH_ATTRIBUTES,
                data_converter=pydantic_data_converter,
            ) as environment:
                await until_ready(http)
                worker = Worker(
                    environment.client,
                    task_queue=task_queue,
                    workflows=[ScriptedReservation],
                    workflow_runner=UnsandboxedWorkflowRunner(),
                )
                async with worker:
                    assert (await http.post(RESERVE, json=body)).status_code == 200
            with monkeypatch.context() as impatience:
                wait_for_temporal(0.4, impatience)
                assert (await http.post(RESERVE, json=body)).status_code == 503
            assert (await http.get("/health/live")).status_code == 200


class TestWhatTheServerMayAnswer:
    """Each status of Temporal's own."""

    @pytest.mark.parametrize("status", PASSING)
    async def test_what_passes_is_503_and_the_outcome_is_unknown(
        self,
        http: httpx.AsyncClient,
        temporal: Client,
        body: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
        status: RPCStatusCode,
    ) -> None:
        fail_with(RPCError("no", status, b""), temporal, monkeypatch)
        response = await http.post(RESERVE, json=body)
        assert response.status_code == 503
        assert response.headers["retry-after"] == "5"
        assert response.json() == UNKNOWN

    @pytest.mark.parametrize("status", FAULTS)
    async def test_what_does_not_pass_is_a_fault_of_ours(
        self,
        http: httpx.AsyncClient,
        temporal: Client,
        body: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
        status: RPCStatusCode,
    ) -> None:
        fail_with(RPCError("no", status, b""), temporal, monkeypatch)
        with structlog.testing.capture_logs():
            response = await http.post(RESERVE, json=body, headers={"X-Request-Id": "abc"})
        assert response.status_code == 500
        assert response.json() == {"error": "something failed on our side; the log knows more under abc"}

    async def test_a_namespace_that_does_not_exist_is_a_fault_of_ours(
        self,
        caller: Caller,
        temporal_address: str,
        task_queue: str,
        database: Database,
        body: dict[str, Any],
    ) -> None:
        elsewhere = await Client.connect(
            temporal_address, namespace="nowhere", data_converter=pydantic_data_converter
        )
        raw_key, _ = await database.keys.create("tests", ["reservations"])
        http = caller(raw_key, create_app(Settings(), elsewhere, database))
        with structlog.testing.capture_logs():
            response = await http.post(RESERVE, json=body)
        assert response.status_code == 500

    async def test_an_error_of_another_kind_is_a_fault_of_ours(
        self,
        http: httpx.AsyncClient,
        temporal: Client,
        body: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        fail_with(RuntimeError("something else"), temporal, monkeypatch)
        with structlog.testing.capture_logs():
            response = await http.post(RESERVE, json=body)
        assert response.status_code == 500


class TestNoWorker:
    """Temporal takes the request and keeps it; nobody works on it."""

    @pytest.fixture(autouse=True)
    def impatience(self, patience: None, monkeypatch: pytest.MonkeyPatch) -> None:
        """For a worker only: the API looks what became of the request once Temporal has it."""
        monkeypatch.setattr("api.temporal.reservations_client.ACCEPTED_WITHIN", timedelta(seconds=0.4))
        state = Reservations._state

        async def once_it_runs(self: Reservations, workflow_id: str) -> ReservationState | None:
            async with asyncio.timeout(30):
                while (found := await state(self, workflow_id)) is None:
                    await asyncio.sleep(0.02)
            return found

        monkeypatch.setattr(Reservations, "_state", once_it_runs)

    async def test_a_reservation_is_pending_within_5_s(
        self, http: httpx.AsyncClient, charger: Charger, script: Script, body: dict[str, Any]
    ) -> None:
        started = time.monotonic()
        response = await http.post(RESERVE, json=body)
        assert time.monotonic() - started < at_most(5)
        assert response.status_code == 202
        assert response.headers["location"] == f"{RESERVE}/{charger.id}/{body['reservationId']}"
        assert response.json() == {
            "data": {
                "status": "Pending",
                "reservationId": body["reservationId"],
                "chargerId": charger.id,
                "portId": body["portId"],
                "state": "requested",
                "reason": "NotTakenUp",
                "expiryDate": body["expiryDate"],
            }
        }

    async def test_a_flipturn_key_hears_that_the_outcome_is_open(
        self, caller: Caller, database: Database, script: Script, body: dict[str, Any]
    ) -> None:
        raw_key, _ = await database.keys.create("app", ["reservations"], flipturn=True)
        response = await caller(raw_key).post(RESERVE, json=body)
        assert response.status_code == 503
        assert response.json() == {
            "error": "no worker took the reservation in time; repeat with the same reservationId"
        }

    async def test_a_cancel_is_pending_and_durable(
        self, http: httpx.AsyncClient, temporal: Client, charger: Charger, task_queue: str, number: int
    ) -> None:
        handle = await temporal.start_workflow(
            "Reservation", id=reservation_workflow_id(charger.id, number), task_queue=task_queue
        )
        started = time.monotonic()
        response = await http.post(CANCEL, json={"chargerId": charger.id, "reservationId": number})
        assert time.monotonic() - started < at_most(5)
        assert response.status_code == 202
        assert response.json()["data"]["status"] == "Pending"
        history = await handle.fetch_history()
        signals = [
            event.workflow_execution_signaled_event_attributes.signal_name
            for event in history.events
            if event.HasField("workflow_execution_signaled_event_attributes")
        ]
        assert signals == ["cancel"]

    @pytest.mark.usefixtures("link")
    async def test_a_cancel_that_is_to_be_forwarded_is_pending(
        self, http: httpx.AsyncClient, charger: Charger, task_queue: str, number: int
    ) -> None:
        which = {"chargerId": charger.id, "reservationId": number}
        response = await http.post(CANCEL, json=which, headers={"Prefer": "wait=1"})
        assert response.status_code == 202
        assert response.json() == {"data": {"status": "Pending", "reason": "NoResponse", **which}}

    async def test_a_look_is_503(
        self,
        http: httpx.AsyncClient,
        temporal: Client,
        charger: Charger,
        task_queue: str,
        number: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("api.temporal.reservations_client.READ_WITHIN", timedelta(seconds=0.4))
        await temporal.start_workflow(
            "Reservation", id=reservation_workflow_id(charger.id, number), task_queue=task_queue
        )
        response = await http.get(f"{RESERVE}/{charger.id}/{number}")
        assert response.status_code == 503
        assert response.json() == NOT_READ
