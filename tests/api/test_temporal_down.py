"""Temporal does not answer, or no worker runs: within 5 s an answer says what is known, and life goes on."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from directory import Charger, Directory
from tests.api.conftest import Caller
from tests.api.scripted import Script
from workflows.names import reservation_workflow_id

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


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the patience, for tests of what is said and not of when."""
    monkeypatch.setattr("api.reservations_client.ACCEPTED_WITHIN", timedelta(seconds=0.4))
    monkeypatch.setattr("api.reservations_client.READ_WITHIN", timedelta(seconds=0.5))


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
        assert response.json() == NOTHING_STARTED

    async def test_a_look_is_503(self, http: httpx.AsyncClient, charger: Charger) -> None:
        response = await http.get(f"{RESERVE}/{charger.id}/1")
        assert response.status_code == 503
        assert response.json() == NOT_READ

    async def test_chargers_are_shown_all_the_same(self, http: httpx.AsyncClient, charger: Charger) -> None:
        assert (await http.get(f"/api/chargers/{charger.id}")).status_code == 200

    async def test_the_process_lives_and_is_not_ready(self, http: httpx.AsyncClient) -> None:
        assert (await http.get("/health/live")).status_code == 200
        response = await http.get("/health/ready")
        assert response.status_code == 503
        assert response.json() == {"error": "not ready: no answer from Temporal"}


class TestNobodyAnswers:
    """Connections are taken, and then nothing: a frozen server, a dropped network."""

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
        assert time.monotonic() - started < 5
        assert response.status_code == 503
        assert response.json() == UNKNOWN

    async def test_a_cancel_is_503_within_5_s(self, http: httpx.AsyncClient, charger: Charger) -> None:
        started = time.monotonic()
        response = await http.post(CANCEL, json={"chargerId": charger.id, "reservationId": 1})
        assert time.monotonic() - started < 5
        assert response.status_code == 503
        assert response.json() == UNKNOWN

    async def test_a_look_is_503_within_5_s(self, http: httpx.AsyncClient, charger: Charger) -> None:
        started = time.monotonic()
        response = await http.get(f"{RESERVE}/{charger.id}/1")
        assert time.monotonic() - started < 5
        assert response.status_code == 503
        assert response.json() == NOT_READ

    async def test_the_process_is_not_ready(self, http: httpx.AsyncClient) -> None:
        response = await http.get("/health/ready")
        assert response.status_code == 503
        assert response.json() == {"error": "not ready: no answer from Temporal"}


class TestNoWorker:
    """Temporal takes the request and keeps it; nobody works on it."""

    async def test_a_reservation_is_pending_within_5_s(
        self, http: httpx.AsyncClient, charger: Charger, script: Script, body: dict[str, Any]
    ) -> None:
        started = time.monotonic()
        response = await http.post(RESERVE, json=body)
        assert time.monotonic() - started < 5
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

    @pytest.mark.usefixtures("impatient")
    async def test_a_flipturn_key_hears_that_the_outcome_is_open(
        self, caller: Caller, directory: Directory, script: Script, body: dict[str, Any]
    ) -> None:
        raw_key, _ = await directory.keys.create("app", ["reservations"], flipturn=True)
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
        assert time.monotonic() - started < 5
        assert response.status_code == 202
        assert response.json()["data"]["status"] == "Pending"
        history = await handle.fetch_history()
        signals = [
            event.workflow_execution_signaled_event_attributes.signal_name
            for event in history.events
            if event.HasField("workflow_execution_signaled_event_attributes")
        ]
        assert signals == ["cancel"]

    @pytest.mark.usefixtures("impatient")
    async def test_a_look_is_503(
        self, http: httpx.AsyncClient, temporal: Client, charger: Charger, task_queue: str, number: int
    ) -> None:
        await temporal.start_workflow(
            "Reservation", id=reservation_workflow_id(charger.id, number), task_queue=task_queue
        )
        response = await http.get(f"{RESERVE}/{charger.id}/{number}")
        assert response.status_code == 503
        assert response.json() == NOT_READ
