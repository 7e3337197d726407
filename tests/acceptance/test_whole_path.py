"""A caller, all of Berth, a charger."""

import asyncio
import time

import pytest

from tests.acceptance.stack import Stack
from tests.patience import at_most

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def stack(shared_stack: Stack) -> Stack:
    """One for all: no test here does anything to a process."""
    return shared_stack


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_port_is_held_for_a_token_and_given_free_on_cancel(
    stack: Stack, identity: str, version: str
) -> None:
    charger = await stack.charger(identity, version=version)
    port_id = await stack.port_id(identity)
    charger_id = (await stack.about(identity))["id"]

    response = await stack.reserve(port_id)

    assert response.status_code == 200, response.text
    assert response.json()["data"]["status"] == "Accepted"
    assert response.json()["data"]["state"] == "active"
    assert charger.reservations[7][:2] == (1, "CARD-1")
    assert (await stack.show(charger_id))["state"] == "active"

    cancelled = await stack.cancel(charger_id)

    assert cancelled.json()["data"]["status"] == "Accepted"
    assert charger.reservations == {}
    await stack.until_state(charger_id, "cancelled")


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_reservation_ends_at_its_expiry_date(stack: Stack, identity: str, version: str) -> None:
    charger = await stack.charger(identity, version=version)
    charger_id = (await stack.about(identity))["id"]
    await stack.reserve(await stack.port_id(identity), seconds=at_most(3))
    ended = await stack.until_state(charger_id, "expired")
    assert ended["endedAt"] is not None
    assert charger.reservations == {}
    assert len(charger.received("ReserveNow")) == 1
    assert charger.received("CancelReservation") == []


async def test_a_driver_uses_the_reservation(stack: Stack, identity: str) -> None:
    charger = await stack.charger(identity)
    charger_id = (await stack.about(identity))["id"]
    await stack.reserve(await stack.port_id(identity))
    await charger.start_charging("CARD-1", 1)
    ended = await stack.until_state(charger_id, "used")
    assert "transaction" in ended["evidence"]


async def test_a_refusal_is_told_as_the_charger_said_it(stack: Stack, identity: str) -> None:
    charger = await stack.charger(identity)
    await charger.fault(1)
    response = await stack.reserve(await stack.port_id(identity))
    assert response.json()["data"]["status"] == "Faulted"
    assert response.json()["data"]["state"] == "rejected"


async def test_bad_requests_reach_no_charger_and_start_nothing(stack: Stack, identity: str) -> None:
    charger = await stack.charger(identity)
    port_id = await stack.port_id(identity)
    charger_id = (await stack.about(identity))["id"]

    past = await stack.reserve(port_id, seconds=-60)
    assert (past.status_code, past.json()) == (400, {"error": "expiryDate: must be in the future"})
    missing = await stack.http.post("/api/ocpp/reservations", json={"portId": port_id})
    assert missing.status_code == 400
    unknown = await stack.reserve(999_999)
    assert unknown.status_code == 404
    wrong_key = await stack.reserve(port_id, headers={"Authorization": "Bearer nonsense"})
    assert wrong_key.status_code == 401

    assert charger.received("ReserveNow") == []
    nothing = await stack.http.get(f"/api/ocpp/reservations/{charger_id}/7")
    assert nothing.status_code == 404


async def test_an_offline_charger_is_served_within_two_seconds_of_its_return(
    stack: Stack, identity: str
) -> None:
    charger = await stack.charger(identity)
    port_id = await stack.port_id(identity)
    charger_id = (await stack.about(identity))["id"]
    await charger.disconnect()
    await stack.until_online(identity, False)

    asked_at = time.monotonic()
    response = await stack.reserve(port_id)
    assert time.monotonic() - asked_at < at_most(2)
    assert response.status_code == 202
    assert response.json()["data"]["status"] == "Pending"
    assert response.headers["Location"] == f"/api/ocpp/reservations/{charger_id}/7"

    await charger.reboot()  # connects, and is ready when its boot is accepted
    await asyncio.wait_for(charger.booted.wait(), 60)
    ready_at = time.monotonic()
    await stack.until_state(charger_id, "active")
    assert time.monotonic() - ready_at < at_most(2)
    assert charger.reservations[7][:2] == (1, "CARD-1")


async def test_a_charger_that_never_connects_is_never_sent_anything(stack: Stack, identity: str) -> None:
    known = await stack.register(identity)
    response = await stack.reserve(known["ports"][0]["id"], seconds=at_most(3))
    assert response.status_code == 202
    ended = await stack.until_state(known["id"], "expired")
    assert ended["reason"] == "ChargerOffline"
