"""Any process may die at any moment; the reservation goes on and the charger sees no second one."""

import asyncio
import time

import pytest

from simulator.misbehaviour import Wrong
from tests.acceptance.stack import Stack
from tests.patience import at_most

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def stack(mended_stack: Stack) -> Stack:
    """One for all: a charger knows nothing of the others."""
    return mended_stack


async def test_a_gateway_killed_while_a_call_is_open(stack: Stack, identity: str) -> None:
    charger = await stack.charger(identity)
    port_id = await stack.port_id(identity)
    charger_id = (await stack.about(identity))["id"]
    await charger.misbehave(Wrong.NO_ANSWER)  # it takes the reservation, and says nothing
    asking = asyncio.create_task(stack.reserve(port_id, headers={"Prefer": "wait=1"}))

    async def asked() -> bool:
        return bool(charger.received("ReserveNow"))

    await stack.until(asked, "ReserveNow reached the charger")
    stack.kill("gateway")
    response = await asking
    assert response.status_code == 202
    stack.start("gateway")

    await stack.until_state(charger_id, "active", within=60)
    assert {frame["reservationId"] for frame in charger.received("ReserveNow")} == {7}
    assert list(charger.reservations) == [7]


async def test_a_worker_killed_while_a_reservation_sleeps(stack: Stack, identity: str) -> None:
    charger = await stack.charger(identity)
    charger_id = (await stack.about(identity))["id"]
    await stack.reserve(await stack.port_id(identity), seconds=at_most(6))
    stack.kill("worker")
    stack.start("worker")
    await stack.until_state(charger_id, "expired")
    assert len(charger.received("ReserveNow")) == 1


async def test_an_api_killed_after_the_request(stack: Stack, identity: str) -> None:
    charger = await stack.charger(identity)
    charger_id = (await stack.about(identity))["id"]
    port_id = await stack.port_id(identity)
    await charger.misbehave(Wrong.LATE, seconds=2)
    asking = asyncio.create_task(stack.reserve(port_id))

    async def asked() -> bool:
        return bool(charger.received("ReserveNow"))

    await stack.until(asked, "ReserveNow reached the charger")
    stack.kill("api")
    await asyncio.gather(asking, return_exceptions=True)
    stack.start("api")
    await stack.until_ready()
    await stack.until_state(charger_id, "active")
    again = await stack.show(charger_id)
    assert again["state"] == "active"
    assert len(charger.received("ReserveNow")) == 1


async def test_a_temporal_server_killed_and_started_again(stack: Stack, identity: str) -> None:
    charger = await stack.charger(identity)
    charger_id = (await stack.about(identity))["id"]
    await stack.reserve(await stack.port_id(identity), seconds=at_most(20))
    stack.kill("temporal")
    await charger.start_charging("CARD-1", 1)  # nobody can be told yet
    await stack.start_temporal()
    await stack.until_state(charger_id, "used", within=60)
    assert len(charger.received("ReserveNow")) == 1


async def test_while_temporal_is_down_callers_get_503_and_chargers_are_answered(
    stack: Stack, identity: str
) -> None:
    charger = await stack.charger(identity)
    port_id = await stack.port_id(identity)
    stack.kill("temporal")

    asked_at = time.monotonic()
    response = await stack.reserve(port_id, repeat=False)
    assert time.monotonic() - asked_at < at_most(6)
    assert response.status_code == 503
    assert "Retry-After" in response.headers
    assert set(response.json()) == {"error"}

    before = len(charger.frames)
    await charger.fault(2)
    await charger.recover(2)

    async def answered() -> bool:
        return len(charger.frames) >= before + 4

    await stack.until(answered, "both status reports are answered")
    assert charger.connected

    await stack.start_temporal()

    async def accepted() -> bool:
        return (await stack.reserve(port_id)).status_code == 200

    await stack.until(accepted, "reservations work again", within=60)


async def test_a_gateway_stopped_politely_drains_and_hands_its_chargers_over(
    stack: Stack, identity: str
) -> None:
    charger = await stack.charger(identity)
    charger_id = (await stack.about(identity))["id"]
    assert stack.stop("gateway") == 0
    response = await stack.reserve(await stack.port_id(identity))
    assert response.status_code == 202
    stack.start("gateway")
    await stack.until_state(charger_id, "active", within=60)
    assert len(charger.received("ReserveNow")) == 1
