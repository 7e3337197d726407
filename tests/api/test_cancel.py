"""POST /api/ocpp/reservations/cancel."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from berth.database import Charger, Database
from tests.api.conftest import Caller
from tests.api.scripted import Script
from workflows.messages import PENDING, CancelAnswer, CancelStatus, ReservationState
from workflows.names import CHARGER_ID, RESERVATION_ID, forward_cancel_workflow_id, reservation_workflow_id

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


class TestANumberWithoutALiveReservation:
    """Is forwarded to a connected charger, and its word is the answer (OCA test TC_052)."""

    @pytest.mark.usefixtures("link")
    async def test_the_charger_gives_it_free(
        self, http: httpx.AsyncClient, charger: Charger, script: Script, which: dict[str, int]
    ) -> None:
        response = await http.post(CANCEL, json=which)
        assert response.status_code == 200
        assert response.json() == {"data": {"status": "Accepted", **which}}
        (forwarded,) = script.forwarded
        assert (forwarded.charger_id, forwarded.ocpp_identity) == (charger.id, "CP-16")
        assert forwarded.reservation_id == which["reservationId"]
        assert forwarded.policy.call_timeout == timedelta(seconds=30)

    @pytest.mark.usefixtures("link")
    async def test_the_charger_does_not_know_it_either(
        self, http: httpx.AsyncClient, script: Script, which: dict[str, int]
    ) -> None:
        script.forward = CancelAnswer(
            status=CancelStatus.REJECTED, state=ReservationState.FAILED, reason="UnknownReservation"
        )
        response = await http.post(CANCEL, json=which)
        assert response.status_code == 200
        assert response.json() == {"data": {"status": "Rejected", "reason": "UnknownReservation", **which}}

    async def test_an_offline_charger_is_not_waited_for(
        self, http: httpx.AsyncClient, script: Script, which: dict[str, int]
    ) -> None:
        response = await http.post(CANCEL, json=which)
        assert response.status_code == 200
        assert response.json() == {"data": {"status": "Rejected", "reason": "ChargerOffline", **which}}
        assert script.forwarded == []

    @pytest.mark.usefixtures("link")
    async def test_a_silent_charger_is_pending_and_a_repeat_meets_the_same_cancel(
        self, http: httpx.AsyncClient, script: Script, which: dict[str, int]
    ) -> None:
        script.forward = None
        for _ in range(2):
            response = await http.post(CANCEL, json=which, headers={"Prefer": "wait=1"})
            assert response.status_code == 202
            assert response.json() == {"data": {"status": "Pending", "reason": "NoResponse", **which}}
        assert len(script.forwarded) == 1

    @pytest.mark.usefixtures("link")
    async def test_a_flipturn_key_sees_rejected_when_the_charger_is_silent(
        self, caller: Caller, database: Database, script: Script, which: dict[str, int]
    ) -> None:
        raw_key, _ = await database.keys.create("app", ["reservations"], flipturn=True)
        script.forward = None
        app = caller(raw_key)
        app.headers["Prefer"] = "wait=0"  # not Flipturn's: not heard
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("api.routes.reservations.default_wait", lambda _: timedelta(milliseconds=200))
            response = await app.post(CANCEL, json=which)
        assert response.status_code == 200
        assert response.json() == {"data": {"status": "Rejected", "reason": "NoResponse", **which}}

    @pytest.mark.usefixtures("link")
    async def test_one_that_ended_otherwise_is_forwarded_and_says_how_it_ended(
        self, http: httpx.AsyncClient, script: Script, body: dict[str, Any], which: dict[str, int]
    ) -> None:
        script.ends_as = ReservationState.USED
        await http.post(RESERVE, json=body)
        response = await http.post(CANCEL, json=which)
        assert response.json() == {"data": {"status": "Accepted", "state": "used", **which}}
        assert len(script.forwarded) == 1

    @pytest.mark.usefixtures("link", "reserved")
    async def test_one_whose_workflow_was_terminated_is_forwarded(
        self, http: httpx.AsyncClient, temporal: Client, script: Script, which: dict[str, int]
    ) -> None:
        workflow_id = reservation_workflow_id(which["chargerId"], which["reservationId"])
        await temporal.get_workflow_handle(workflow_id).terminate()
        response = await http.post(CANCEL, json=which)
        assert response.json() == {"data": {"status": "Accepted", "state": "failed", **which}}
        assert len(script.forwarded) == 1

    @pytest.mark.usefixtures("link", "reserved")
    async def test_one_that_ended_cancelled_is_not_forwarded(
        self, http: httpx.AsyncClient, script: Script, which: dict[str, int]
    ) -> None:
        await http.post(CANCEL, json=which)
        await http.post(CANCEL, json=which)
        assert script.forwarded == []

    @pytest.mark.usefixtures("link", "reserved")
    async def test_one_that_this_cancel_ended_is_not_forwarded(
        self, http: httpx.AsyncClient, script: Script, which: dict[str, int]
    ) -> None:
        """Some chargers die of CancelReservation: once the run has given up, nobody sends another."""
        script.cancel = CancelAnswer(
            status=CancelStatus.REJECTED, state=ReservationState.FAILED, reason="ChargerFailsOnCommand"
        )
        response = await http.post(CANCEL, json=which)
        assert response.json() == {
            "data": {"status": "Rejected", "state": "failed", "reason": "ChargerFailsOnCommand", **which}
        }
        assert script.forwarded == []

    @pytest.mark.usefixtures("link")
    async def test_it_is_found_in_temporal_by_charger_and_number(
        self, http: httpx.AsyncClient, temporal: Client, script: Script, which: dict[str, int]
    ) -> None:
        await http.post(CANCEL, json=which)
        workflow_id = forward_cancel_workflow_id(which["chargerId"], which["reservationId"])
        description = await temporal.get_workflow_handle(workflow_id).describe()
        attributes = description.typed_search_attributes
        assert attributes[CHARGER_ID] == which["chargerId"]
        assert attributes[RESERVATION_ID] == which["reservationId"]
        number = which["reservationId"]
        assert await description.static_summary() == f"CP-16, cancel reservation {number}"

    @pytest.mark.usefixtures("link")
    async def test_a_terminated_cancel_is_a_500_that_asks_to_repeat(
        self, http: httpx.AsyncClient, temporal: Client, script: Script, which: dict[str, int]
    ) -> None:
        script.forward = None
        asking = asyncio.create_task(http.post(CANCEL, json=which))
        async with asyncio.timeout(60):
            while not script.forwarded:
                await asyncio.sleep(0.02)
        workflow_id = forward_cancel_workflow_id(which["chargerId"], which["reservationId"])
        await temporal.get_workflow_handle(workflow_id).terminate()
        response = await asking
        assert response.status_code == 500
        assert response.json() == {"error": "the cancel's workflow failed to answer; repeat the cancel"}


async def test_an_unknown_charger_is_404(http: httpx.AsyncClient, number: int) -> None:
    response = await http.post(CANCEL, json={"chargerId": 999, "reservationId": number})
    assert response.status_code == 404
    assert response.json() == {"error": "chargerId: there is no charger 999"}


@pytest.mark.usefixtures("reserved")
async def test_a_worker_that_took_it_and_died_leaves_it_pending(
    http: httpx.AsyncClient, script: Script, which: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.temporal.reservations_client.ACCEPTED_WITHIN", timedelta(milliseconds=300))
    monkeypatch.setattr("api.temporal.reservations_client.ANSWER_MARGIN", timedelta(milliseconds=600))
    script.silent = True
    response = await http.post(CANCEL, json=which, headers={"Prefer": "respond-async"})
    assert response.status_code == 202
    assert response.json() == {"data": {"status": "Pending", "state": "requested", **which}}


@pytest.mark.usefixtures("reserved")
async def test_a_flipturn_key_sees_rejected_while_the_cancel_goes_on(
    caller: Caller, database: Database, script: Script, which: dict[str, int]
) -> None:
    raw_key, _ = await database.keys.create("app", ["reservations"], flipturn=True)
    script.cancel = CancelAnswer(status=PENDING, state=ReservationState.ACTIVE, reason="ChargerOffline")
    response = await caller(raw_key).post(CANCEL, json=which)
    assert response.status_code == 200
    assert response.json() == {
        "data": {"status": "Rejected", "state": "active", "reason": "ChargerOffline", **which}
    }
