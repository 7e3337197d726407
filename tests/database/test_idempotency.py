"""Answers under idempotency keys: the first one counts, per caller, for a day or so."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from berth.database import Database, Recorded
from berth.database.connections import Connections
from berth.database.tables import idempotency
from tests.database.time_passes import age

BODY, OTHER_BODY = "a" * 64, "b" * 64
ANSWER = '{"data":{"status":"Accepted"}}'


async def test_an_answer_is_found_under_its_key_and_caller(database: Database) -> None:
    assert await database.idempotency.find(1, "key") is None
    recorded = await database.idempotency.record(1, "key", BODY, 200, ANSWER)
    assert recorded == Recorded(body_hash=BODY, status_code=200, answer_json=ANSWER)
    assert await database.idempotency.find(1, "key") == recorded
    assert await database.idempotency.find(2, "key") is None
    assert await database.idempotency.find(1, "KEY") is None


@pytest.mark.parametrize("key", ["", "k" * 255, "schlüssel", "\ud800", "a\0b"])
async def test_a_key_may_be_any_text(database: Database, key: str) -> None:
    recorded = await database.idempotency.record(1, key, BODY, 200, ANSWER)
    assert await database.idempotency.find(1, key) == recorded


async def test_the_first_writer_wins(database: Database, other: Database) -> None:
    answers = await asyncio.gather(
        *(
            one.idempotency.record(1, "key", BODY if one is database else OTHER_BODY, 200, f"[{n}]")
            for n, one in enumerate([database, other] * 10)
        )
    )
    assert len(set(answers)) == 1
    assert await other.idempotency.find(1, "key") == answers[0]


async def test_old_answers_are_pruned(database: Database, connections: Connections) -> None:
    await database.idempotency.record(1, "old", BODY, 200, ANSWER)
    await age(connections, idempotency.c.created_at, timedelta(hours=25))
    await database.idempotency.record(1, "new", BODY, 200, ANSWER)
    assert await database.idempotency.prune(timedelta(days=1)) == 1
    assert await database.idempotency.find(1, "old") is None
    assert await database.idempotency.find(1, "new") is not None


async def test_the_key_itself_is_not_kept(database: Database, connections: Connections) -> None:
    await database.idempotency.record(1, "a-secret-of-the-caller", BODY, 200, ANSWER)
    (row,) = await connections.query(sa.select(idempotency))
    assert "a-secret-of-the-caller" not in str(row)
