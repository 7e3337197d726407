"""What has had its time is deleted, once an hour, whoever does it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import make_url

from berth.database import Charger, Database, EventSubscription, LoggedMessage
from berth.database.connections import Connections
from berth.database.database import connect
from berth.database.tables import gateways, idempotency, messages
from gateway.housekeeping import run_housekeeping, sweep
from tests.database.time_passes import age
from tests.gateway.stack import eventually

HASH = "0" * 64


@pytest.fixture
async def connections(database: Database, tmp_path: Path) -> AsyncIterator[Connections]:
    """A way around the database, to let time pass in it."""
    connections = connect(make_url(f"sqlite+aiosqlite:///{tmp_path / 'berth.db'}"))
    yield connections
    await connections.close()


@pytest.fixture
async def old(database: Database, charger: Charger, connections: Connections) -> None:
    """One of everything that has had its time."""
    now = datetime.now(UTC)
    await database.messages.write([message(now)])
    await database.idempotency.record(1, "old", HASH, 200, "{}")
    await database.links.start("old", "G", "gateway-G-old")
    await database.subscriptions.put(subscription(charger, now - timedelta(hours=25)))
    await age(connections, messages.c.created_at, timedelta(days=31))
    await age(connections, idempotency.c.created_at, timedelta(days=2))
    await age(connections, gateways.c.heartbeat_at, timedelta(days=2))


def message(at: datetime) -> LoggedMessage:
    return LoggedMessage(at, 1, "CP-1", "ocpp1.6", "charger", "Heartbeat", "{}")


def subscription(charger: Charger, expires_at: datetime) -> EventSubscription:
    number = 7 if expires_at < datetime.now(UTC) else 8
    return EventSubscription(f"r-{number}", "run", charger.id, number, 1, "ABC", None, True, expires_at)


async def counts(connections: Connections) -> dict[str, int]:
    """Rows in every table that is swept."""
    tables = ("messages", "idempotency", "gateways", "live_reservations")
    return {table: await count(connections, table) for table in tables}


async def count(connections: Connections, table: str) -> int:
    def work(connection: Any) -> int:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())

    return await connections.transaction(work)


async def test_what_is_old_goes_and_what_is_not_stays(
    database: Database, charger: Charger, connections: Connections, old: None
) -> None:
    now = datetime.now(UTC)
    await database.messages.write([message(now)])
    await database.idempotency.record(1, "new", HASH, 200, "{}")
    await database.subscriptions.put(subscription(charger, now + timedelta(hours=1)))
    with structlog.testing.capture_logs() as logs:
        await asyncio.gather(*(sweep(database) for _ in range(3)))
    assert await counts(connections) == {
        "messages": 1,
        "idempotency": 1,
        "gateways": 0,
        "live_reservations": 1,
    }
    assert await database.idempotency.find(1, "new") is not None
    assert sorted(line["what"] for line in logs) == sorted(await counts(connections))
    assert {line["deleted_count"] for line in logs} == {1}


async def test_one_that_fails_does_not_keep_the_others(
    database: Database, connections: Connections, old: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: Any) -> int:
        raise OSError("disk full")

    monkeypatch.setattr(database.messages, "prune", fails)
    with structlog.testing.capture_logs() as logs:
        await sweep(database)
    assert [line["what"] for line in logs if line["event"] == "housekeeping_failed"] == ["messages"]
    assert set((await counts(connections)).values()) == {0, 1}


async def test_it_is_done_again_and_again(database: Database, connections: Connections, old: None) -> None:
    keeping = asyncio.create_task(run_housekeeping(database, every=0.01, first_after=0.01))

    async def is_empty() -> bool:
        return set((await counts(connections)).values()) == {0}

    await eventually(is_empty)
    await database.messages.write([message(datetime.now(UTC))])
    await age(connections, messages.c.created_at, timedelta(days=31))
    await eventually(is_empty)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
