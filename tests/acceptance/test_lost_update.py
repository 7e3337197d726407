"""What was answered 202 is held by Temporal, whatever dies next."""

import pytest

from tests.acceptance.house import House

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def house(mended_house: House) -> House:
    """One for all: a charger knows nothing of the others."""
    return mended_house


async def test_a_reservation_that_no_worker_had_seen_outlives_the_temporal_server(
    house: House, identity: str
) -> None:
    await house.charger(identity)
    charger_id = (await house.about(identity))["id"]
    port_id = await house.port_id(identity)
    house.kill("worker")
    response = await house.reserve(port_id, repeat=False, headers={"Prefer": "respond-async"})
    assert (response.status_code, response.json()["data"]["reason"]) == (202, "NotTakenUp")
    house.kill("temporal")
    await house.start_temporal()
    house.start("worker")
    await house.until_state(charger_id, "active", within=90)


async def test_a_change_that_no_worker_had_seen_outlives_the_temporal_server(
    house: House, identity: str
) -> None:
    charger = await house.charger(identity)
    port_id = await house.port_id(identity)
    assert (await house.reserve(port_id)).json()["data"]["state"] == "active"
    house.kill("worker")
    response = await house.reserve(
        port_id, repeat=False, id_tag="CARD-2", headers={"Prefer": "respond-async"}
    )
    assert response.status_code == 202
    house.kill("temporal")
    await house.start_temporal()
    house.start("worker")

    async def changed() -> bool:
        return charger.reservations[7][1] == "CARD-2"

    await house.until(changed, "the charger holds it for the other card", within=60)
