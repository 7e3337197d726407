"""A charger gets a new password: it comes back with it, the old one opens no more, and nobody has seen it."""

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from simulator.personality import Version
from tests.acceptance.stack import Stack
from tests.gateway.station import basic

pytestmark = pytest.mark.asyncio(loop_scope="module")

OLD = "the-password-of-before"


async def status_with(stack: Stack, identity: str, version: Version, password: bytes) -> int:
    """What a handshake with this password is answered."""
    with pytest.raises(InvalidStatus) as refusal:
        await connect(
            f"{stack.gateway_url}/{identity}",
            subprotocols=[Subprotocol(f"ocpp{version}")],
            additional_headers=basic(identity, password),
        )
    return refusal.value.response.status_code


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_new_password_from_the_call_to_the_refusal_of_the_old_one(
    shared_stack: Stack, version: Version
) -> None:
    stack, identity = shared_stack, f"CP-{version}"
    charger_id = (await stack.register(identity, password=OLD))["id"]
    charger = await stack.charger(
        identity, version=version, password=OLD, reconnect_seconds=(0.2,), keep_frames=50
    )

    response = await stack.http.post(f"/api/chargers/{charger_id}/password")

    assert response.status_code == 200, response.text
    assert response.json()["data"] == {"chargerId": charger_id, "status": "Accepted"}

    async def has_used_it() -> bool:
        return (await stack.about(identity))["passwordChange"] is None

    await stack.until(has_used_it, f"{identity} has connected with its new password")
    await asyncio.wait_for(charger.booted.wait(), 60)
    await stack.until_online(identity)
    assert await status_with(stack, identity, version, OLD.encode()) == 401

    new = charger.password
    assert new is not None
    assert new != OLD.encode()

    async def is_logged() -> bool:
        messages = (await stack.http.get("/api/ocpp-messages", params={"chargerId": charger_id})).json()
        return any("***" in str(message) for message in messages["data"])

    await stack.until(is_logged, "the exchange is in the log of messages")
    # Logs of all processes, Temporal's database and Berth's own, to the last byte.
    files = [file for file in stack.folder.iterdir() if file.is_file()]
    assert {"temporal.db", "berth.db", "gateway.log"} <= {file.name for file in files}
    for file in files:
        content = file.read_bytes()
        assert new not in content, file
        assert new.hex().encode() not in content, file
