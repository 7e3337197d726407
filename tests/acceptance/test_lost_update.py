"""What was answered 202 is held by Temporal, whatever dies next."""

from tests.acceptance.house import House


async def test_a_reservation_that_no_worker_had_seen_outlives_the_temporal_server(house: House) -> None:
    await house.charger()
    charger_id = (await house.about("CP-1"))["id"]
    port_id = await house.port_id("CP-1")
    house.kill("worker")
    response = await house.reserve(port_id, headers={"Prefer": "respond-async"})
    assert (response.status_code, response.json()["data"]["reason"]) == (202, "NotTakenUp")
    house.kill("temporal")
    await house.start_temporal()
    house.start("worker")
    await house.until_state(charger_id, "active", within=90)


async def test_a_change_that_no_worker_had_seen_outlives_the_temporal_server(house: House) -> None:
    charger = await house.charger()
    port_id = await house.port_id("CP-1")
    assert (await house.reserve(port_id)).json()["data"]["state"] == "active"
    house.kill("worker")
    response = await house.reserve(port_id, id_tag="CARD-2", headers={"Prefer": "respond-async"})
    assert response.status_code == 202
    house.kill("temporal")
    await house.start_temporal()
    house.start("worker")

    async def changed() -> bool:
        return charger.reservations[7][1] == "CARD-2"

    await house.until(changed, "the charger holds it for the other card", within=60)
