"""The message log: found by charger, time and type, newest first."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from berth.database import Database, LoggedMessage, NewCharger
from berth.database.connections import Connections
from berth.database.tables import messages
from tests.database.time_passes import age


@pytest.fixture
def message(now: datetime) -> LoggedMessage:
    """A heartbeat of charger 1."""
    return LoggedMessage(now, 1, "CP-1", "ocpp1.6", "charger", "Heartbeat", "{}", '{"currentTime": "x"}')


async def test_a_message_comes_back_as_it_was_written(database: Database, message: LoggedMessage) -> None:
    unanswered = replace(message, sender="berth", message_type="ReserveNow", response_json=None)
    await database.messages.write([message, unanswered])
    newest, oldest = await database.messages.query()
    assert newest.id is not None
    assert oldest.id is not None
    assert newest.id > oldest.id
    assert (replace(oldest, id=None), replace(newest, id=None)) == (message, unanswered)


async def test_nothing_to_write_is_nothing(database: Database) -> None:
    await database.messages.write([])
    assert await database.messages.query() == []


async def test_pages_follow_each_other_without_gap_or_overlap(
    database: Database, message: LoggedMessage
) -> None:
    await database.messages.write([replace(message, payload_json=f"[{n}]") for n in range(5)])
    first = await database.messages.query(limit=2)
    second = await database.messages.query(limit=2, before_id=first[-1].id)
    third = await database.messages.query(limit=2, before_id=second[-1].id)
    assert [found.payload_json for found in (*first, *second, *third)] == ["[4]", "[3]", "[2]", "[1]", "[0]"]


async def test_messages_are_found_by_charger_time_and_type(
    database: Database, message: LoggedMessage, now: datetime
) -> None:
    north = await database.chargers.add(NewCharger("CP-N", site_id="north"))
    hour = timedelta(hours=1)
    await database.messages.write(
        [
            replace(message, charger_id=north.id, created_at=now - 2 * hour, payload_json="[0]"),
            replace(message, charger_id=north.id + 1, created_at=now - hour, payload_json="[1]"),
            replace(message, charger_id=north.id, message_type="Authorize", payload_json="[2]"),
            replace(message, charger_id=None, payload_json="[3]"),
        ]
    )

    async def found(**criteria: object) -> list[str]:
        return [item.payload_json for item in await database.messages.query(**criteria)]  # type: ignore[arg-type]  # any of query's

    assert await found() == ["[3]", "[2]", "[1]", "[0]"]
    assert await found(charger_id=north.id) == ["[2]", "[0]"]
    assert await found(charger_ids={north.id + 1}) == ["[1]"]
    assert await found(charger_id=north.id, charger_ids={north.id + 1}) == [], "outside the scope"
    assert await found(charger_ids=[]) == []
    assert await found(site_ids={"north"}) == ["[2]", "[0]"]
    assert await found(types=["Authorize", "BootNotification"]) == ["[2]"]
    assert await found(start=now - hour) == ["[3]", "[2]", "[1]"]
    assert await found(end=now - hour) == ["[0]"]
    assert await found(start=now - 2 * hour, end=now, limit=1) == ["[1]"]


async def test_old_messages_are_pruned_however_many(
    database: Database, connections: Connections, message: LoggedMessage
) -> None:
    await database.messages.write([message] * 5_001)
    await age(connections, messages.c.created_at, timedelta(days=31))
    await database.messages.write([message])
    assert await database.messages.prune(timedelta(days=30)) == 5_001
    assert [replace(found, id=None) for found in await database.messages.query()] == [message]


async def test_several_processes_may_prune_at_once(
    database: Database, other: Database, connections: Connections, message: LoggedMessage
) -> None:
    await database.messages.write([message] * 12_000)
    await age(connections, messages.c.created_at, timedelta(days=31))
    pruned = await asyncio.gather(
        *(one.messages.prune(timedelta(days=30)) for one in (database, other, database, other))
    )
    assert sum(pruned) == 12_000
    assert await database.messages.query() == []
