"""Somebody is told of what happens, signed, whatever dies meanwhile; and nobody waits for them."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.stack import Stack
from tests.patience import at_most
from tests.receiver import Receiver
from webhooks.sender import HEADER, signature


@pytest.fixture
async def stack(tmp_path: Path, temporal_cli: Path) -> AsyncIterator[Stack]:
    async with Stack(tmp_path, temporal_cli, BERTH_WEBHOOK_PRIVATE_TARGETS="true") as stack:
        yield stack


async def webhook_at(stack: Stack, receiver: Receiver) -> tuple[int, str]:
    """A new webhook: its id and its secret."""
    response = await stack.http.post("/api/webhooks", json={"url": receiver.url})
    assert response.status_code == 201, response.text
    data = response.json()["data"]
    return data["id"], data["secret"]


async def test_what_happens_is_told_signed_and_a_dead_receiver_or_worker_loses_and_delays_nothing(
    stack: Stack,
) -> None:
    async with Receiver() as receiver, Receiver(hangs=True) as dead:
        webhook_id, secret = await webhook_at(stack, receiver)
        await stack.charger("CP-1")
        charger_id = (await stack.about("CP-1"))["id"]
        port_id = await stack.port_id("CP-1")
        assert (await stack.reserve(port_id, 1)).json()["data"]["status"] == "Accepted"
        assert (await stack.cancel(charger_id, 1)).json()["data"]["status"] == "Accepted"
        calls = await receiver.until(3)
        assert sorted(receiver.events) == [
            "charger.connected",
            "reservation.active",
            "reservation.cancelled",
        ]
        for call in calls:
            said = call.headers[HEADER.lower()]
            timestamp = int(said.partition(",")[0].removeprefix("t="))
            assert said == signature(secret, timestamp, call.body)
            assert call.event["data"]["chargerId"] == charger_id
            assert "CARD-1" not in call.body.decode(), "the driver's token"

        await webhook_at(stack, dead)
        for number in (2, 3, 4):
            asked_at = time.monotonic()
            assert (await stack.reserve(port_id, number)).json()["data"]["status"] == "Accepted"
            assert (await stack.cancel(charger_id, number)).json()["data"]["status"] == "Accepted"
            assert time.monotonic() - asked_at < at_most(8), "the dead receiver has 10 s"
        await dead.until(1)
        await receiver.until(9)

        receiver.status = 503
        assert (await stack.reserve(port_id, 5)).json()["data"]["status"] == "Accepted"
        await receiver.until(10)
        stack.kill("worker")
        receiver.status = 200
        stack.start("worker")
        (refused, *_) = [call for call in receiver.received if call.event["data"].get("reservationId") == 5]

        async def came_again() -> bool:
            ids = [call.headers["berth-event-id"] for call in receiver.received]
            return ids.count(refused.headers["berth-event-id"]) >= 2

        await stack.until(came_again, "the event comes again", within=90)
        listed = await stack.http.get(f"/api/webhooks/{webhook_id}/deliveries")
        events = [one["eventId"] for one in listed.json()["data"]]
        assert len(events) == len(set(events)) == 10
        assert {call.headers["berth-event-id"] for call in receiver.received} == set(events)
