"""POST /api/ocpp/reservations."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from temporalio.client import Client

from api.temporal.reservations_client import Reservations
from berth.database import Capabilities, Charger, Database
from tests.api.conftest import QUEUE, Caller
from tests.api.scripted import ACCEPTED, Script
from workflows.messages import (
    PENDING,
    IdTagType,
    Policy,
    ReservationState,
    ReserveAnswer,
    ReserveStatus,
    Route,
    Terms,
)
from workflows.names import (
    CHARGER_ID,
    EXPIRES_AT,
    PORT_ID,
    RESERVATION_ID,
    RESERVATION_STATE,
    SITE_ID,
    reservation_workflow_id,
)

pytestmark = pytest.mark.usefixtures("worker")

RESERVE = "/api/ocpp/reservations"


async def test_an_accepted_reservation_is_answered_whole(
    http: httpx.AsyncClient, charger: Charger, script: Script, body: dict[str, Any]
) -> None:
    response = await http.post(RESERVE, json=body)

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert "location" not in response.headers
    assert response.json() == {
        "data": {
            "status": "Accepted",
            "reservationId": body["reservationId"],
            "chargerId": charger.id,
            "portId": body["portId"],
            "state": "active",
            "expiryDate": body["expiryDate"],
        }
    }


@pytest.mark.parametrize("status", [status for status in ReserveStatus if status != ReserveStatus.ACCEPTED])
async def test_a_refusal_is_a_result_with_its_reason(
    http: httpx.AsyncClient, charger: Charger, script: Script, body: dict[str, Any], status: ReserveStatus
) -> None:
    script.reserve = ReserveAnswer(status=status, state=ReservationState.REJECTED, reason="ReservedByOther")

    response = await http.post(RESERVE, json=body)

    assert response.status_code == 200
    assert response.json() == {
        "data": {
            "status": status.value,
            "reservationId": body["reservationId"],
            "chargerId": charger.id,
            "portId": body["portId"],
            "state": "rejected",
            "reason": "ReservedByOther",
            "expiryDate": body["expiryDate"],
        }
    }


async def test_pending_is_202_with_the_place_to_look(
    http: httpx.AsyncClient, charger: Charger, script: Script, body: dict[str, Any]
) -> None:
    script.reserve = ReserveAnswer(status=PENDING, state=ReservationState.SENDING, reason="ChargerOffline")

    response = await http.post(RESERVE, json=body)

    assert response.status_code == 202
    assert response.headers["location"] == f"{RESERVE}/{charger.id}/{body['reservationId']}"
    assert response.json() == {
        "data": {
            "status": "Pending",
            "reservationId": body["reservationId"],
            "chargerId": charger.id,
            "portId": body["portId"],
            "state": "sending",
            "reason": "ChargerOffline",
            "expiryDate": body["expiryDate"],
        }
    }


async def test_after_a_refused_change_the_former_terms_are_told(
    http: httpx.AsyncClient, charger: Charger, script: Script, body: dict[str, Any]
) -> None:
    former = Terms(
        port_id=charger.ports[1].id,
        port_number=2,
        expires_at=datetime.fromisoformat("2026-12-01T10:00:00Z"),
        id_tag="RFID-Tag",
    )
    script.reserve = ReserveAnswer(status=ReserveStatus.OCCUPIED, state=ReservationState.ACTIVE, holds=former)

    data = (await http.post(RESERVE, json=body)).json()["data"]

    assert (data["status"], data["state"]) == ("Occupied", "active")
    assert (data["portId"], data["expiryDate"]) == (charger.ports[1].id, "2026-12-01T10:00:00Z")


async def test_the_workflow_hears_what_was_asked(
    http: httpx.AsyncClient, charger: Charger, script: Script, body: dict[str, Any]
) -> None:
    body |= {"parentIdTag": "FLEET-1", "idTokenType": "ISO14443", "force": True, "offlinePolicy": "reject"}

    await http.post(RESERVE, json=body)

    (asked,) = script.asked
    assert asked.terms == Terms(
        port_id=charger.ports[0].id,
        port_number=1,
        expires_at=datetime.fromisoformat(body["expiryDate"]),
        id_tag="RFID-Tag",
        id_tag_type=IdTagType.ISO14443,
        parent_id_tag="FLEET-1",
    )
    assert (asked.force, asked.offline_policy) == (True, "reject")
    assert (asked.wait, asked.hold_while_offline) == (timedelta(seconds=35), False)


async def test_the_workflow_starts_with_who_it_is_and_the_policy_of_the_settings(
    http: httpx.AsyncClient, charger: Charger, script: Script, body: dict[str, Any]
) -> None:
    await http.post(RESERVE, json=body)

    (start,) = script.starts
    assert start.charger_id == charger.id
    assert start.ocpp_identity == "CP-16"
    assert start.reservation_id == body["reservationId"]
    assert start.site_id == "site-1"
    assert start.policy == Policy()


async def test_an_offline_charger_gives_no_route(
    http: httpx.AsyncClient, script: Script, body: dict[str, Any]
) -> None:
    await http.post(RESERVE, json=body)
    assert script.asked[0].route is None


async def test_a_live_link_travels_as_a_hint(
    http: httpx.AsyncClient, link: int, script: Script, body: dict[str, Any]
) -> None:
    await http.post(RESERVE, json=body)
    assert script.asked[0].route == Route(queue=QUEUE, epoch=link)


@pytest.mark.parametrize(
    ("prefer", "wait", "holds"),
    [
        ("wait=7", 7, True),
        ("wait=0", 0, False),
        ("respond-async", 0, False),
        ("respond-async, wait=3", 3, True),
    ],
)
async def test_prefer_bounds_the_wait_and_may_ask_to_hold(
    http: httpx.AsyncClient, script: Script, body: dict[str, Any], prefer: str, wait: int, holds: bool
) -> None:
    await http.post(RESERVE, json=body, headers={"Prefer": prefer})
    assert script.asked[0].wait == timedelta(seconds=wait)
    assert script.asked[0].hold_while_offline is holds


async def test_an_operator_can_read_the_workflow_and_no_token_is_in_sight(
    http: httpx.AsyncClient, temporal: Client, charger: Charger, script: Script, body: dict[str, Any]
) -> None:
    await http.post(RESERVE, json=body)

    workflow_id = reservation_workflow_id(charger.id, body["reservationId"])
    description = await temporal.get_workflow_handle(workflow_id).describe()
    attributes = description.typed_search_attributes
    assert description.workflow_type == "Reservation"
    assert attributes[CHARGER_ID] == charger.id
    assert attributes[PORT_ID] == body["portId"]
    assert attributes[RESERVATION_ID] == body["reservationId"]
    assert attributes[SITE_ID] == "site-1"
    assert attributes[RESERVATION_STATE] == "requested"
    assert attributes[EXPIRES_AT] == datetime.fromisoformat(body["expiryDate"])
    until = f"{datetime.fromisoformat(body['expiryDate']):%d %b %Y %H:%M} UTC"
    assert await description.static_summary() == f"CP-16, port 1, until {until}"
    assert await description.static_details() == (
        f"Reservation **{body['reservationId']}** of port 1 on charger **CP-16** "
        f"(charger {charger.id}, port id {body['portId']}), as first asked for until {until}."
    )
    assert "RFID-Tag" not in str(description.raw_description)


async def test_the_same_number_again_asks_the_same_workflow(
    http: httpx.AsyncClient, script: Script, body: dict[str, Any]
) -> None:
    first = await http.post(RESERVE, json=body)
    second = await http.post(RESERVE, json=body)
    assert first.json() == second.json()
    assert (len(script.starts), len(script.asked)) == (1, 2)


async def test_a_finished_number_may_be_used_again(
    http: httpx.AsyncClient, script: Script, body: dict[str, Any]
) -> None:
    script.ends_as = ReservationState.REJECTED
    await http.post(RESERVE, json=body)
    script.ends_as = None

    response = await http.post(RESERVE, json=body)

    assert response.json()["data"]["state"] == "active"
    assert len(script.starts) == 2


async def test_a_request_that_meets_a_closing_run_is_sent_again(
    http: httpx.AsyncClient, script: Script, body: dict[str, Any]
) -> None:
    script.closing_runs = 3

    response = await http.post(RESERVE, json=body)

    assert response.status_code == 200
    assert response.json()["data"]["status"] == "Accepted"
    assert len(script.asked) == 4


async def test_a_request_that_meets_closing_runs_only_is_given_up(
    http: httpx.AsyncClient, script: Script, body: dict[str, Any]
) -> None:
    script.closing_runs = 100

    response = await http.post(RESERVE, json=body)

    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert response.json() == {
        "error": "the reservation was ending each time it was asked; repeat the request"
    }
    assert len(script.asked) == 4


@pytest.fixture
def taken_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The API looks whether a worker has the update once one has, however long that takes."""
    is_accepted = Reservations._is_accepted

    async def once_it_is(self: Reservations, workflow_id: str, update_id: str) -> bool:
        async with asyncio.timeout(30):
            while not await is_accepted(self, workflow_id, update_id):
                await asyncio.sleep(0.02)
        return True

    monkeypatch.setattr(Reservations, "_is_accepted", once_it_is)


@pytest.mark.usefixtures("taken_up")
async def test_a_slow_charger_is_waited_for(
    http: httpx.AsyncClient, script: Script, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.temporal.reservations_client.ACCEPTED_WITHIN", timedelta(milliseconds=300))
    script.reserve = None

    response = await http.post(RESERVE, json=body, headers={"Prefer": "wait=1"})

    assert response.status_code == 202
    assert response.json()["data"]["reason"] == "NoResponse"


@pytest.mark.usefixtures("taken_up")
async def test_an_update_that_forgets_its_wait_is_pending_all_the_same(
    http: httpx.AsyncClient, script: Script, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.temporal.reservations_client.ACCEPTED_WITHIN", timedelta(milliseconds=300))
    monkeypatch.setattr("api.temporal.reservations_client.ANSWER_MARGIN", timedelta(milliseconds=600))
    script.silent = True

    response = await http.post(RESERVE, json=body, headers={"Prefer": "respond-async"})

    assert response.status_code == 202
    data = response.json()["data"]
    assert (data["status"], data["state"]) == ("Pending", "requested")
    assert "reason" not in data


async def test_a_workflow_that_fails_to_answer_is_a_500_without_the_request_in_it(
    http: httpx.AsyncClient, script: Script, body: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    script.fails = True

    response = await http.post(RESERVE, json=body)

    assert response.status_code == 500
    assert response.json() == {"error": "the reservation's workflow failed to answer (NoLuck)"}
    assert "RFID-Tag" not in capsys.readouterr().out


class TestAFlipturnKey:
    """Sees Flipturn's five statuses, and nothing is held for whoever was told Rejected."""

    @pytest.fixture
    async def http(self, caller: Caller, database: Database) -> httpx.AsyncClient:
        raw_key, _ = await database.keys.create("app", ["reservations"], flipturn=True)
        return caller(raw_key)

    async def test_an_offline_charger_is_rejected_not_waited_for(
        self, http: httpx.AsyncClient, script: Script, body: dict[str, Any]
    ) -> None:
        await http.post(RESERVE, json=body | {"offlinePolicy": "retry"}, headers={"Prefer": "wait=1"})
        assert script.asked[0].offline_policy == "reject"
        assert script.asked[0].wait == timedelta(seconds=35)

    async def test_no_answer_in_time_is_rejected_and_the_reservation_is_withdrawn(
        self, http: httpx.AsyncClient, script: Script, body: dict[str, Any]
    ) -> None:
        script.reserve = ReserveAnswer(status=PENDING, state=ReservationState.SENDING, reason="NoResponse")

        response = await http.post(RESERVE, json=body)

        assert response.status_code == 200
        assert response.json()["data"]["status"] == "Rejected"
        assert response.json()["data"]["reason"] == "NoResponse"
        script.reserve = ACCEPTED
        await http.post(RESERVE, json=body)  # a new run: the first is over
        assert script.signals == 1
        assert len(script.starts) == 2


class TestAWholeCharger:
    """Any port of it: no `portId`, but `chargerId`."""

    @pytest.fixture
    def body(self, body: dict[str, Any], charger: Charger) -> dict[str, Any]:
        del body["portId"]
        return body | {"chargerId": charger.id}

    async def test_it_is_asked_for_without_a_port(
        self, http: httpx.AsyncClient, charger: Charger, link: int, script: Script, body: dict[str, Any]
    ) -> None:
        response = await http.post(RESERVE, json=body)
        assert response.status_code == 200
        assert response.json() == {
            "data": {
                "status": "Accepted",
                "reservationId": body["reservationId"],
                "chargerId": charger.id,
                "state": "active",
                "expiryDate": body["expiryDate"],
            }
        }
        asked = script.asked[0]
        assert (asked.terms.port_id, asked.terms.port_number) == (None, None)
        assert asked.route == Route(queue=QUEUE, epoch=link)

    async def test_temporal_shows_it_without_a_port(
        self,
        http: httpx.AsyncClient,
        temporal: Client,
        charger: Charger,
        script: Script,
        body: dict[str, Any],
    ) -> None:
        await http.post(RESERVE, json=body)
        workflow_id = reservation_workflow_id(charger.id, body["reservationId"])
        description = await temporal.get_workflow_handle(workflow_id).describe()
        assert description.typed_search_attributes.get(PORT_ID) is None
        summary = await description.static_summary()
        assert summary is not None
        assert summary.startswith("CP-16, any port, until ")

    async def test_a_charger_known_not_to_be_able_is_asked_all_the_same(
        self,
        http: httpx.AsyncClient,
        database: Database,
        charger: Charger,
        script: Script,
        body: dict[str, Any],
    ) -> None:
        await database.capabilities.said(charger.id, Capabilities(reservations=True, whole_charger=False))
        script.reserve = ReserveAnswer(status=ReserveStatus.REJECTED, state=ReservationState.REJECTED)
        response = await http.post(RESERVE, json=body)
        assert response.json()["data"]["status"] == "Rejected"
        assert len(script.asked) == 1

    async def test_a_port_with_its_charger_is_that_port(
        self, http: httpx.AsyncClient, charger: Charger, script: Script, body: dict[str, Any]
    ) -> None:
        port_id = charger.ports[1].id
        response = await http.post(RESERVE, json=body | {"portId": port_id})
        assert response.json()["data"]["portId"] == port_id
        assert script.asked[0].terms.port_number == 2

    async def test_a_port_with_another_charger_is_400(
        self, http: httpx.AsyncClient, charger: Charger, script: Script, body: dict[str, Any]
    ) -> None:
        wrong = {"portId": charger.ports[0].id, "chargerId": 999}
        response = await http.post(RESERVE, json=body | wrong)
        assert response.status_code == 400
        assert response.json() == {
            "error": f"chargerId: port {charger.ports[0].id} is not one of charger 999"
        }
        assert script.starts == []

    async def test_neither_is_400(
        self, http: httpx.AsyncClient, script: Script, body: dict[str, Any]
    ) -> None:
        del body["chargerId"]
        response = await http.post(RESERVE, json=body)
        assert response.status_code == 400
        assert response.json() == {"error": "portId: is required; or chargerId, for any port of that charger"}

    async def test_an_unknown_charger_is_404(
        self, http: httpx.AsyncClient, script: Script, body: dict[str, Any]
    ) -> None:
        response = await http.post(RESERVE, json=body | {"chargerId": 999})
        assert response.status_code == 404
        assert response.json() == {"error": "chargerId: there is no charger 999"}
        assert script.starts == []

    async def test_one_outside_the_keys_scope_is_404(
        self,
        caller: Caller,
        database: Database,
        charger: Charger,
        script: Script,
        body: dict[str, Any],
    ) -> None:
        raw_key, _ = await database.keys.create("elsewhere", ["reservations"], site_ids=["site-2"])
        response = await caller(raw_key).post(RESERVE, json=body)
        assert response.status_code == 404
        assert response.json() == {"error": f"chargerId: there is no charger {charger.id}"}
        assert script.starts == []
