"""The database's clock and how instants are stored."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import CacheStats

from berth.database import database_now
from berth.database.column_types import Instant
from berth.database.connections import Connections


async def test_the_database_tells_unix_seconds(connections: Connections) -> None:
    before = datetime.now(UTC).timestamp()
    (row,) = await connections.query(sa.select(database_now()))
    after = datetime.now(UTC).timestamp()
    assert isinstance(row[0], float)
    assert before - 0.002 <= row[0] <= after + 0.002, "SQLite counts milliseconds"


def test_statements_with_the_clock_are_compiled_once() -> None:
    engine = sa.create_engine("sqlite://")
    hits: list[CacheStats] = []

    @sa.event.listens_for(engine, "before_cursor_execute")
    def remember(*call: Any) -> None:
        hits.append(call[4].cache_hit)

    with engine.connect() as connection:
        for _ in range(2):
            connection.scalar(sa.select(database_now()))
    engine.dispose()
    assert hits == [CacheStats.CACHE_MISS, CacheStats.CACHE_HIT]


@pytest.mark.parametrize(
    "instant",
    [
        datetime(2026, 11, 23, 14, 0, 0, 123457, UTC),
        datetime(2099, 12, 31, 23, 59, 59, 999999, UTC),
        datetime(2026, 3, 29, 2, 30, tzinfo=timezone(timedelta(hours=2))),
        datetime(1970, 1, 1, tzinfo=UTC),
    ],
)
async def test_an_instant_comes_back_to_the_microsecond_in_utc(
    connections: Connections, instant: datetime
) -> None:
    (row,) = await connections.query(sa.select(sa.literal(instant, Instant())))
    assert row[0] == instant
    assert row[0].tzinfo is UTC


async def test_a_naive_datetime_is_refused(connections: Connections) -> None:
    naive: Any = datetime(2026, 11, 23)  # noqa: DTZ001  # the point of the test
    with pytest.raises(sa.exc.StatementError, match="time zone"):
        await connections.query(sa.select(sa.literal(naive, Instant())))
