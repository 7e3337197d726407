"""GET /api/ocpp/reservations/{chargerId}/{reservationId}."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from temporalio.client import Client

from api.app import create_app
from berth.database import Charger, Database
from berth.settings import Settings
from tests.api.conftest import Caller
from tests.api.scripted import Script
from workflows.messages import ReservationState
from workflows.names import reservation_workflow_id

pytestmark = pytest.mark.usefixtures("worker")

RESERVE = "/api/ocpp/reservations"


async def test_a_live_reservation_is_shown_whole(
    http: httpx.AsyncClient, temporal: Client, charger: Charger, script: Script, body: dict[str, Any]
) -> None:
    await http.post(RESERVE, json=body)

    response = await http.get(f"{RESERVE}/{charger.id}/{body['reservationId']}")

    assert response.status_code == 200
    workflow_id = reservation_workflow_id(charger.id, body["reservationId"])
    run_id = (await temporal.get_workflow_handle(workflow_id).describe()).run_id
    assert response.json() == {
        "data": {
            "reservationId": body["reservationId"],
            "chargerId": charger.id,
            "portId": body["portId"],
            "idTag": "RFID-Tag",
            "state": "active",
            "status": "Accepted",
            "reason": None,
            "evidence": "ReserveNow.conf",
            "expiryDate": body["expiryDate"],
            "waitingSince": None,
            "endedAt": None,
            "timeline": [
                {"at": "2026-11-23T12:00:00Z", "event": "accepted", "detail": "the charger holds port 1"}
            ],
            "workflowUrl": (
                f"http://127.0.0.1:8233/namespaces/default/workflows/{workflow_id}/{run_id}/history"
            ),
        }
    }


async def test_a_finished_reservation_is_shown_as_it_ended(
    http: httpx.AsyncClient, charger: Charger, script: Script, body: dict[str, Any]
) -> None:
    script.ends_as = ReservationState.USED
    await http.post(RESERVE, json=body)

    data = (await http.get(f"{RESERVE}/{charger.id}/{body['reservationId']}")).json()["data"]

    assert (data["state"], data["endedAt"]) == ("used", "2026-11-23T13:00:00Z")


async def test_a_terminated_workflow_is_a_failed_reservation(
    http: httpx.AsyncClient, temporal: Client, charger: Charger, script: Script, body: dict[str, Any]
) -> None:
    await http.post(RESERVE, json=body)
    workflow_id = reservation_workflow_id(charger.id, body["reservationId"])
    await temporal.get_workflow_handle(workflow_id).terminate()

    data = (await http.get(f"{RESERVE}/{charger.id}/{body['reservationId']}")).json()["data"]

    assert (data["state"], data["reason"], data["evidence"]) == ("failed", "WorkflowTerminated", "Temporal")
    assert data["endedAt"] is not None


async def test_a_workflow_that_was_terminated_before_any_worker_saw_it_is_failed_too(
    http: httpx.AsyncClient, temporal: Client, charger: Charger, number: int
) -> None:
    workflow_id = reservation_workflow_id(charger.id, number)
    unseen = await temporal.start_workflow("Reservation", id=workflow_id, task_queue="nobody")
    await unseen.terminate()

    data = (await http.get(f"{RESERVE}/{charger.id}/{number}")).json()["data"]

    assert (data["state"], data["reason"]) == ("failed", "WorkflowTerminated")
    assert (data["portId"], data["idTag"], data["expiryDate"]) == (None, None, None)


async def test_without_a_ui_there_is_no_link(
    caller: Caller,
    temporal: Client,
    database: Database,
    charger: Charger,
    task_queue: str,
    script: Script,
    body: dict[str, Any],
) -> None:
    app: FastAPI = create_app(Settings(), temporal, database)
    raw_key, _ = await database.keys.create("tests", ["reservations"])
    http = caller(raw_key, app)
    await http.post(RESERVE, json=body)
    data = (await http.get(f"{RESERVE}/{charger.id}/{body['reservationId']}")).json()["data"]
    assert data["workflowUrl"] is None


async def test_a_number_nobody_used_is_404(http: httpx.AsyncClient, charger: Charger, number: int) -> None:
    response = await http.get(f"{RESERVE}/{charger.id}/{number}")
    assert response.status_code == 404
    assert response.json() == {"error": f"reservationId: charger {charger.id} has no reservation {number}"}


async def test_an_unknown_charger_is_404(http: httpx.AsyncClient, number: int) -> None:
    response = await http.get(f"{RESERVE}/999/{number}")
    assert response.status_code == 404
    assert response.json() == {"error": "chargerId: there is no charger 999"}


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("one/1", "chargerId: must be a valid integer"),
        ("0/1", "chargerId: must be greater than or equal to 1"),
        ("1/2147483648", "reservationId: must be less than or equal to 2147483647"),
    ],
)
async def test_a_path_that_makes_no_sense_is_400(http: httpx.AsyncClient, path: str, sentence: str) -> None:
    response = await http.get(f"{RESERVE}/{path}")
    assert response.status_code == 400
    assert response.json() == {"error": sentence}


async def test_a_key_that_may_only_read_may_look(
    http: httpx.AsyncClient,
    caller: Caller,
    database: Database,
    charger: Charger,
    script: Script,
    body: dict[str, Any],
) -> None:
    await http.post(RESERVE, json=body)
    raw_key, _ = await database.keys.create("reader", ["read"])
    response = await caller(raw_key).get(f"{RESERVE}/{charger.id}/{body['reservationId']}")
    assert response.status_code == 200
