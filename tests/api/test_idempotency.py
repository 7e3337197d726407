"""Idempotency-Key: the first final answer, once and for all."""

import asyncio
from typing import Any

import httpx
import pytest

from berth.database import Database, UnreachableError
from tests.api.conftest import Caller
from tests.api.scripted import ACCEPTED, Script
from workflows.messages import PENDING, ReservationState, ReserveAnswer, ReserveStatus

pytestmark = pytest.mark.usefixtures("worker")

RESERVE = "/api/ocpp/reservations"
CANCEL = f"{RESERVE}/cancel"
KEYED = {"Idempotency-Key": "3f0c5c1e-8a55"}

REJECTED = ReserveAnswer(
    status=ReserveStatus.REJECTED, state=ReservationState.REJECTED, reason="ReservationUnsupported"
)


async def test_the_same_request_again_hears_the_recorded_answer_and_nobody_is_asked(
    http: httpx.AsyncClient, script: Script, body: dict[str, Any]
) -> None:
    script.reserve = REJECTED
    first = await http.post(RESERVE, json=body, headers=KEYED)
    script.reserve = ACCEPTED

    second = await http.post(RESERVE, json=body, headers=KEYED)

    assert (second.status_code, second.json()) == (first.status_code, first.json())
    assert second.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert len(script.asked) == 1


async def test_the_order_of_the_fields_is_not_another_body(
    http: httpx.AsyncClient, script: Script, body: dict[str, Any]
) -> None:
    await http.post(RESERVE, json=body, headers=KEYED)
    response = await http.post(RESERVE, json=dict(reversed(body.items())), headers=KEYED)
    assert response.status_code == 200
    assert len(script.asked) == 1


async def test_another_body_under_the_same_key_is_409(
    http: httpx.AsyncClient, script: Script, body: dict[str, Any]
) -> None:
    await http.post(RESERVE, json=body, headers=KEYED)
    response = await http.post(RESERVE, json=body | {"idTag": "Other"}, headers=KEYED)
    assert response.status_code == 409
    assert response.json() == {"error": "Idempotency-Key: was used with another body"}
    assert len(script.asked) == 1


async def test_another_caller_has_keys_of_its_own(
    http: httpx.AsyncClient, caller: Caller, database: Database, script: Script, body: dict[str, Any]
) -> None:
    await http.post(RESERVE, json=body, headers=KEYED)
    raw_key, _ = await database.keys.create("other", ["reservations"])
    response = await caller(raw_key).post(RESERVE, json=body | {"idTag": "Other"}, headers=KEYED)
    assert response.status_code == 200
    assert len(script.asked) == 2


async def test_pending_is_not_recorded_and_a_repeat_asks_again(
    http: httpx.AsyncClient, script: Script, body: dict[str, Any]
) -> None:
    script.reserve = ReserveAnswer(status=PENDING, state=ReservationState.SENDING, reason="NoResponse")
    for _ in range(3):
        assert (await http.post(RESERVE, json=body, headers=KEYED)).status_code == 202
    script.reserve = ACCEPTED

    response = await http.post(RESERVE, json=body, headers=KEYED)

    assert response.json()["data"]["status"] == "Accepted"
    assert len(script.asked) == 4


async def test_a_repeat_while_the_first_is_under_way_waits_for_the_same_answer(
    http: httpx.AsyncClient, script: Script, body: dict[str, Any]
) -> None:
    script.reserve = None
    headers = KEYED | {"Prefer": "wait=2"}
    first = asyncio.create_task(http.post(RESERVE, json=body, headers=headers))
    async with asyncio.timeout(60):
        while not script.asked:
            await asyncio.sleep(0.02)

    second = await http.post(RESERVE, json=body, headers=headers)

    assert second.json() == (await first).json()
    assert len(script.asked) == 1


@pytest.mark.parametrize("ends", [False, True])
async def test_an_answer_that_nobody_could_record_is_found_again_in_temporal(
    http: httpx.AsyncClient,
    database: Database,
    script: Script,
    body: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    ends: bool,
) -> None:
    async def gone(*_: object) -> None:
        raise UnreachableError("no database")

    script.reserve = REJECTED if ends else ACCEPTED
    with monkeypatch.context() as patch:
        patch.setattr(database.idempotency, "record", gone)
        first = await http.post(RESERVE, json=body, headers=KEYED)
    assert first.status_code == 200, "the outcome is known"

    second = await http.post(RESERVE, json=body, headers=KEYED)

    assert second.json() == first.json()
    assert len(script.asked) == 1


async def test_a_request_that_meets_closing_runs_is_sent_again_under_its_key(
    http: httpx.AsyncClient, script: Script, body: dict[str, Any]
) -> None:
    script.closing_runs = 2
    response = await http.post(RESERVE, json=body, headers=KEYED)
    assert response.json()["data"]["status"] == "Accepted"
    assert len(script.asked) == 3


async def test_a_cancel_has_its_answer_recorded_too(
    http: httpx.AsyncClient, script: Script, body: dict[str, Any], number: int, charger: Any
) -> None:
    await http.post(RESERVE, json=body)
    which = {"chargerId": charger.id, "reservationId": number}
    first = await http.post(CANCEL, json=which, headers=KEYED)
    assert first.json()["data"]["status"] == "Accepted"
    await http.post(RESERVE, json=body)  # the number lives again

    second = await http.post(CANCEL, json=which, headers=KEYED)

    assert second.json() == first.json()
    assert len(script.cancels) == 1, "the second reservation is spared"


async def test_a_key_of_a_reservation_is_no_key_of_a_cancel(
    http: httpx.AsyncClient, script: Script, body: dict[str, Any], number: int, charger: Any
) -> None:
    await http.post(RESERVE, json=body, headers=KEYED)
    which = {"chargerId": charger.id, "reservationId": number}
    response = await http.post(CANCEL, json=which, headers=KEYED)
    assert response.status_code == 409


async def test_a_refused_request_is_not_recorded(
    http: httpx.AsyncClient, script: Script, body: dict[str, Any]
) -> None:
    assert (await http.post(RESERVE, json=body | {"portId": 999}, headers=KEYED)).status_code == 404
    assert (await http.post(RESERVE, json=body, headers=KEYED)).status_code == 200


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("", "Idempotency-Key: must have at least 1 character"),
        ("x" * 256, "Idempotency-Key: must have at most 255 characters"),
        ("a\tb", "Idempotency-Key: must have printable characters only"),
    ],
)
async def test_a_key_that_breaks_a_rule_is_400(
    http: httpx.AsyncClient, script: Script, body: dict[str, Any], key: str, sentence: str
) -> None:
    response = await http.post(RESERVE, json=body, headers={"Idempotency-Key": key})
    assert response.status_code == 400
    assert response.json() == {"error": sentence}
    assert script.starts == []
