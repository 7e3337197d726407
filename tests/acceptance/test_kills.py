"""Any process may die at any moment; the reservation goes on and the charger sees no second one."""

import asyncio
import time

import pytest

from simulator.misbehaviour import Wrong
from tests.acceptance.house import House
from tests.patience import at_most

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def house(mended_house: House) -> House:
    """One for all: a charger knows nothing of the others."""
    return mended_house


async def test_a_gateway_killed_while_a_call_is_open(house: House, identity: str) -> None:
    charger = await house.charger(identity)
    port_id = await house.port_id(identity)
    charger_id = (await house.about(identity))["id"]
    await charger.misbehave(Wrong.NO_ANSWER)  # it takes the reservation, and says nothing
    asking = asyncio.create_task(house.reserve(port_id, headers={"Prefer": "wait=1"}))

    async def asked() -> bool:
        return bool(charger.received("ReserveNow"))

    await house.until(asked, "ReserveNow reached the charger")
    house.kill("gateway")
    response = await asking
    assert response.status_code == 202
    house.start("gateway")

    await house.until_state(charger_id, "active", within=60)
    assert {frame["reservationId"] for frame in charger.received("ReserveNow")} == {7}
    assert list(charger.reservations) == [7]


async def test_a_worker_killed_while_a_reservation_sleeps(house: House, identity: str) -> None:
    charger = await house.charger(identity)
    charger_id = (await house.about(identity))["id"]
    await house.reserve(await house.port_id(identity), seconds=at_most(6))
    house.kill("worker")
    house.start("worker")
    await house.until_state(charger_id, "expired")
    assert len(charger.received("ReserveNow")) == 1


async def test_an_api_killed_after_the_request(house: House, identity: str) -> None:
    charger = await house.charger(identity)
    charger_id = (await house.about(identity))["id"]
    port_id = await house.port_id(identity)
    await charger.misbehave(Wrong.LATE, seconds=2)
    asking = asyncio.create_task(house.reserve(port_id))

    async def asked() -> bool:
        return bool(charger.received("ReserveNow"))

    await house.until(asked, "ReserveNow reached the charger")
    house.kill("api")
    await asyncio.gather(asking, return_exceptions=True)
    house.start("api")
    await house.until_ready()
    await house.until_state(charger_id, "active")
    again = await house.show(charger_id)
    assert again["state"] == "active"
    assert len(charger.received("ReserveNow")) == 1


async def test_a_temporal_server_killed_and_started_again(house: House, identity: str) -> None:
    charger = await house.charger(identity)
    charger_id = (await house.about(identity))["id"]
    await house.reserve(await house.port_id(identity), seconds=at_most(20))
    house.kill("temporal")
    await charger.start_charging("CARD-1", 1)  # nobody can be told yet
    await house.start_temporal()
    await house.until_state(charger_id, "used", within=60)
    assert len(charger.received("ReserveNow")) == 1


async def test_while_temporal_is_down_callers_get_503_and_chargers_are_answered(
    house: House, identity: str
) -> None:
    charger = await house.charger(identity)
    port_id = await house.port_id(identity)
    house.kill("temporal")

    asked_at = time.monotonic()
    response = await house.reserve(port_id, repeat=False)
    assert time.monotonic() - asked_at < at_most(6)
    assert response.status_code == 503
    assert "Retry-After" in response.headers
    assert set(response.json()) == {"error"}

    before = len(charger.frames)
    await charger.fault(2)
    await charger.recover(2)

    async def answered() -> bool:
        return len(charger.frames) >= before + 4

    await house.until(answered, "both status reports are answered")
    assert charger.connected

    await house.start_temporal()

    async def accepted() -> bool:
        return (await house.reserve(port_id)).status_code == 200

    await house.until(accepted, "reservations work again", within=60)


async def test_a_gateway_stopped_politely_drains_and_hands_its_chargers_over(
    house: House, identity: str
) -> None:
    charger = await house.charger(identity)
    charger_id = (await house.about(identity))["id"]
    assert house.stop("gateway") == 0
    response = await house.reserve(await house.port_id(identity))
    assert response.status_code == 202
    house.start("gateway")
    await house.until_state(charger_id, "active", within=60)
    assert len(charger.received("ReserveNow")) == 1
