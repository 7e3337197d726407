"""What was answered 202 is held by Temporal, whatever dies next."""

import pytest

from tests.acceptance.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def stack(mended_stack: Stack) -> Stack:
    """One for all: a charger knows nothing of the others."""
    return mended_stack


async def test_a_reservation_that_no_worker_had_seen_outlives_the_temporal_server(
    stack: Stack, identity: str
) -> None:
    await stack.charger(identity)
    charger_id = (await stack.about(identity))["id"]
    port_id = await stack.port_id(identity)
    stack.kill("worker")
    response = await stack.reserve(port_id, repeat=False, headers={"Prefer": "respond-async"})
    assert (response.status_code, response.json()["data"]["reason"]) == (202, "NotTakenUp")
    stack.kill("temporal")
    await stack.start_temporal()
    stack.start("worker")
    await stack.until_state(charger_id, "active", within=90)


async def test_a_change_that_no_worker_had_seen_outlives_the_temporal_server(
    stack: Stack, identity: str
) -> None:
    charger = await stack.charger(identity)
    port_id = await stack.port_id(identity)
    assert (await stack.reserve(port_id)).json()["data"]["state"] == "active"
    stack.kill("worker")
    response = await stack.reserve(
        port_id, repeat=False, id_tag="CARD-2", headers={"Prefer": "respond-async"}
    )
    assert response.status_code == 202
    stack.kill("temporal")
    await stack.start_temporal()
    stack.start("worker")

    async def changed() -> bool:
        return charger.reservations[7][1] == "CARD-2"

    await stack.until(changed, "the charger holds it for the other card", within=60)
