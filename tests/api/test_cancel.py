"""POST /api/ocpp/reservations/cancel."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from directory import Charger, Directory
from tests.api.conftest import Caller
from tests.api.scripted import Script
from workflows.messages import PENDING, CancelAnswer, CancelStatus, ReservationState
from workflows.names import reservation_workflow_id

pytestmark = pytest.mark.usefixtures("worker")

RESERVE = "/api/ocpp/reservations"
CANCEL = "/api/ocpp/reservations/cancel"


@pytest.fixture
async def reserved(http: httpx.AsyncClient, worker: Worker, script: Script, body: dict[str, Any]) -> None:
    """A live reservation of the charger's first port."""
    await http.post(RESERVE, json=body)


@pytest.fixture
def which(charger: Charger, number: int) -> dict[str, int]:
    """Names the reservation of this test."""
    return {"chargerId": charger.id, "reservationId": number}


@pytest.mark.usefixtures("reserved")
async def test_a_live_reservation_is_cancelled_by_the_chargers_word(
    http: httpx.AsyncClient, which: dict[str, int]
) -> None:
    response = await http.post(CANCEL, json=which)
    assert response.status_code == 200
    assert response.json() == {"data": {"status": "Accepted", "state": "cancelled", **which}}


@pytest.mark.usefixtures("reserved")
async def test_a_charger_that_knows_no_such_number_rejects(
    http: httpx.AsyncClient, script: Script, which: dict[str, int]
) -> None:
    script.cancel = CancelAnswer(
        status=CancelStatus.REJECTED, state=ReservationState.ACTIVE, reason="UnknownReservation"
    )
    response = await http.post(CANCEL, json=which)
    assert response.status_code == 200
    assert response.json() == {
        "data": {"status": "Rejected", "state": "active", "reason": "UnknownReservation", **which}
    }


@pytest.mark.usefixtures("reserved")
async def test_an_offline_charger_is_202_with_the_place_to_look(
    http: httpx.AsyncClient, script: Script, which: dict[str, int]
) -> None:
    script.cancel = CancelAnswer(status=PENDING, state=ReservationState.ACTIVE, reason="ChargerOffline")
    response = await http.post(CANCEL, json=which)
    assert response.status_code == 202
    assert response.headers["location"] == f"{RESERVE}/{which['chargerId']}/{which['reservationId']}"
    assert response.json() == {
        "data": {"status": "Pending", "state": "active", "reason": "ChargerOffline", **which}
    }


@pytest.mark.usefixtures("reserved")
@pytest.mark.parametrize(("prefer", "wait"), [("", 35), ("wait=7", 7), ("respond-async", 0)])
async def test_prefer_bounds_the_wait(
    http: httpx.AsyncClient, script: Script, which: dict[str, int], prefer: str, wait: int
) -> None:
    await http.post(CANCEL, json=which, headers={"Prefer": prefer})
    assert script.cancels[0].wait == timedelta(seconds=wait)


@pytest.mark.usefixtures("reserved")
async def test_a_number_that_ended_cancelled_is_accepted_again(
    http: httpx.AsyncClient, script: Script, which: dict[str, int]
) -> None:
    await http.post(CANCEL, json=which)
    response = await http.post(CANCEL, json=which)
    assert response.json() == {"data": {"status": "Accepted", "state": "cancelled", **which}}
    assert len(script.cancels) == 1


async def test_a_number_that_ended_otherwise_is_unknown(
    http: httpx.AsyncClient, script: Script, body: dict[str, Any], which: dict[str, int]
) -> None:
    script.ends_as = ReservationState.USED
    await http.post(RESERVE, json=body)
    response = await http.post(CANCEL, json=which)
    assert response.status_code == 200
    assert response.json() == {
        "data": {"status": "Rejected", "state": "used", "reason": "UnknownReservation", **which}
    }


async def test_a_number_nobody_used_is_unknown(http: httpx.AsyncClient, which: dict[str, int]) -> None:
    response = await http.post(CANCEL, json=which)
    assert response.status_code == 200
    assert response.json() == {"data": {"status": "Rejected", "reason": "UnknownReservation", **which}}


@pytest.mark.usefixtures("reserved")
async def test_a_terminated_workflow_is_no_reservation(
    http: httpx.AsyncClient, temporal: Client, which: dict[str, int]
) -> None:
    workflow_id = reservation_workflow_id(which["chargerId"], which["reservationId"])
    await temporal.get_workflow_handle(workflow_id).terminate()
    response = await http.post(CANCEL, json=which)
    assert response.json() == {
        "data": {"status": "Rejected", "state": "failed", "reason": "UnknownReservation", **which}
    }


async def test_an_unknown_charger_is_404(http: httpx.AsyncClient, number: int) -> None:
    response = await http.post(CANCEL, json={"chargerId": 999, "reservationId": number})
    assert response.status_code == 404
    assert response.json() == {"error": "chargerId: there is no charger 999"}


@pytest.mark.usefixtures("reserved")
async def test_a_worker_that_took_it_and_died_leaves_it_pending(
    http: httpx.AsyncClient, script: Script, which: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.reservations_client.ACCEPTED_WITHIN", timedelta(milliseconds=300))
    monkeypatch.setattr("api.reservations_client.ANSWER_MARGIN", timedelta(milliseconds=600))
    script.silent = True
    response = await http.post(CANCEL, json=which, headers={"Prefer": "respond-async"})
    assert response.status_code == 202
    assert response.json() == {"data": {"status": "Pending", "state": "requested", **which}}


@pytest.mark.usefixtures("reserved")
async def test_a_flipturn_key_sees_rejected_while_the_cancel_goes_on(
    caller: Caller, directory: Directory, script: Script, which: dict[str, int]
) -> None:
    raw_key, _ = await directory.keys.create("app", ["reservations"], flipturn=True)
    script.cancel = CancelAnswer(status=PENDING, state=ReservationState.ACTIVE, reason="ChargerOffline")
    response = await caller(raw_key).post(CANCEL, json=which)
    assert response.status_code == 200
    assert response.json() == {
        "data": {"status": "Rejected", "state": "active", "reason": "ChargerOffline", **which}
    }
