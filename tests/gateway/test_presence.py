"""Webhooks hear of chargers that come and go, each socket once, in the order of their instants."""

import asyncio
import json
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from berth.database import Charger, Database, UnreachableError
from berth.database.database import connect
from berth.database.tables import gateways
from tests.database.time_passes import age
from tests.gateway.stack import Stack, Temporal, eventually, until
from webhooks.charger_presence import ChargerPresence, watch_for_losses
from webhooks.outbox import WebhookOutbox

CAME, WENT = "charger.connected", "charger.disconnected"


@pytest.fixture
async def webhook(database: Database) -> int:
    """A webhook that is told of everything."""
    _, key = await database.keys.create("app", ["read"])
    return (await database.webhooks.add(key.id, "https://app.example/", "whsec_1")).id


async def told(database: Database, webhook_id: int) -> list[dict[str, Any]]:
    """The events so far, by their own instants."""
    found = await database.deliveries.of_webhook(webhook_id, state=None, limit=100)
    events = [json.loads(one.body_json) for one in reversed(found)]
    return sorted(events, key=lambda event: datetime.fromisoformat(event["createdAt"]))


async def until_told(database: Database, webhook_id: int, *types: str) -> list[dict[str, Any]]:
    async def check() -> list[dict[str, Any]] | None:
        events = await told(database, webhook_id)
        return events if len(events) >= len(types) else None

    events = await eventually(check)
    assert [event["type"] for event in events] == list(types)
    return events


async def test_a_charger_that_is_ready_and_ends_is_told_of_twice(
    stack: Stack, database: Database, charger: Charger, webhook: int
) -> None:
    async with stack.station() as station:
        await station.boot()
        await until_told(database, webhook, CAME)
    came, went = await until_told(database, webhook, CAME, WENT)
    assert came["data"] == went["data"] == {"chargerId": charger.id, "ocppId": "CP-1", "siteId": None}
    assert came["id"] != went["id"]


async def test_a_socket_that_never_was_ready_is_nobodys_news(
    stack: Stack, database: Database, webhook: int
) -> None:
    async with stack.station():
        await until(lambda: len(stack.registry) == 1)
    await until(lambda: len(stack.registry) == 0)
    async with stack.station() as station:
        await station.boot()
        await until_told(database, webhook, CAME)


async def test_a_charger_that_is_back_within_a_blink_went_before_it_came(
    stack: Stack, database: Database, webhook: int
) -> None:
    async with stack.station() as first:
        await first.boot()
        await until_told(database, webhook, CAME)
        async with stack.station() as second:  # the first one's end is not noticed yet
            await second.boot()
            events = await until_told(database, webhook, CAME, WENT, CAME)
    assert len({event["id"] for event in events}) == 3
    await until_told(database, webhook, CAME, WENT, CAME, WENT)


async def test_without_a_webhook_nothing_is_written(stack: Stack, database: Database) -> None:
    async with stack.station() as station:
        await station.boot()
        await stack.session()
    assert await database.deliveries.due() == []


async def test_a_gateway_that_stops_takes_its_chargers_along(
    database: Database, temporal: Temporal, charger: Charger, webhook: int
) -> None:
    presence = ChargerPresence(database, WebhookOutbox(database))
    async with Stack(database, temporal) as stack, stack.station() as station:
        await station.boot()
        await until_told(database, webhook, CAME)
        stack.server.refuse_new()
        await presence.leave_with(stack.incarnation)
        await database.links.stop(stack.incarnation)
        await until_told(database, webhook, CAME, WENT)
    await presence.look_for_lost()
    await until_told(database, webhook, CAME, WENT)


async def test_after_a_sleep_or_an_outage_gateways_are_given_time_to_be_heard(
    database: Database, charger: Charger, webhook: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    presence = ChargerPresence(database, WebhookOutbox(database))
    looked_at: list[float] = []

    async def look() -> None:
        looked_at.append(time.time())
        await ChargerPresence.look_for_lost(presence)

    monkeypatch.setattr(presence, "look_for_lost", look)
    await database.links.start("one", "G", "queue")
    await database.links.mark_ready(
        charger.id, (await database.links.take(charger.id, "one", "ocpp1.6")).epoch
    )
    connections = connect(make_url(f"sqlite+aiosqlite:///{tmp_path / 'berth.db'}"))

    async def silence_is_not_told() -> None:
        """Until the gateway is heard, which takes it a moment."""
        await age(connections, gateways.c.heartbeat_at, timedelta(seconds=20))
        before, back_at = len(looked_at), time.time()
        await asyncio.sleep(0.1)
        assert await database.links.heartbeat("one")
        await until(lambda: len(looked_at) > before)
        assert looked_at[before] - back_at >= 0.3

    await age(connections, gateways.c.heartbeat_at, timedelta(seconds=20))
    watching = asyncio.create_task(watch_for_losses(database, presence, every=0.1, steady_for=0.5))
    await silence_is_not_told()

    time.sleep(0.6)  # nothing in this process runs
    await silence_is_not_told()

    asked = asyncio.Event()

    async def is_away() -> bool:
        asked.set()
        raise UnreachableError("the database is away")

    with monkeypatch.context() as away:
        away.setattr(database.webhooks, "any", is_away)
        await asked.wait()
    await silence_is_not_told()
    assert await told(database, webhook) == []

    await age(connections, gateways.c.heartbeat_at, timedelta(seconds=20))
    await until_told(database, webhook, WENT)
    watching.cancel()
    await connections.close()


async def test_a_gateway_that_died_is_told_of_once_and_who_reconnected_went_first(
    database: Database, temporal: Temporal, charger: Charger, webhook: int, tmp_path: Path
) -> None:
    presence = ChargerPresence(database, WebhookOutbox(database))
    await database.links.start("dead", "G", "queue")
    epoch = (await database.links.take(charger.id, "dead", "ocpp1.6")).epoch
    await database.links.mark_ready(charger.id, epoch)
    await presence.connected(charger.id, epoch)
    connections = connect(make_url(f"sqlite+aiosqlite:///{tmp_path / 'berth.db'}"))
    await presence.look_for_lost()
    await until_told(database, webhook, CAME)
    await age(connections, gateways.c.heartbeat_at, timedelta(seconds=16))
    _, key = await database.keys.create("late", ["read"])
    newer = await database.webhooks.add(key.id, "https://app.example/", "whsec_2")
    await asyncio.gather(*(presence.look_for_lost() for _ in range(3)))
    found = await database.deliveries.of_webhook(webhook, state=None, limit=10)
    assert [one.event_type for one in found] == [WENT, CAME]
    assert await database.deliveries.of_webhook(newer.id, state=None, limit=10) == [], "it ended before"
    await connections.close()

    async with Stack(database, temporal) as stack, stack.station() as station:
        await station.boot()
        await until_told(database, webhook, CAME, WENT, CAME)
