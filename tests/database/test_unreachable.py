"""A database that is away is one kind of error, and no reason to stay broken."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from berth.database import Charger, Database, UnreachableError, migrate_async
from berth.database.database import connect
from tests.database.postgres import PostgresServer

END_OTHERS = sa.text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


async def test_a_server_that_does_not_answer_is_unreachable() -> None:
    url = "postgresql+asyncpg://berth:secret-word@127.0.0.1:1/berth"  # nobody listens on port 1
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1") as opening:
        await Database.open(url)
    with pytest.raises(UnreachableError):
        await migrate_async(url)
    assert "secret-word" not in str(opening.value)


@pytest.mark.parametrize("wrong", [lambda url: url + "x", lambda url: url.replace("berth@", "nobody@")])
async def test_a_server_that_refuses_us_is_unreachable(
    postgres: PostgresServer, wrong: Callable[[str], str]
) -> None:
    with pytest.raises(UnreachableError, match="does not exist"):
        await Database.open(wrong(postgres.url("postgres")))


async def test_a_file_that_is_no_database_is_unreachable(tmp_path: Path) -> None:
    file = tmp_path / "berth.db"
    file.write_bytes(b"not a database" * 100)
    with pytest.raises(UnreachableError):
        await Database.open(f"sqlite+aiosqlite:///{file}")


async def test_a_database_outlives_the_loss_of_its_connections(
    postgres: PostgresServer, migrated_database: str
) -> None:
    url = postgres.url(postgres.create_database(migrated_database))
    async with await Database.open(url) as database:
        await asyncio.gather(*(database.ping() for _ in range(5)))
        server = connect(sa.make_url(url))
        await server.query(END_OTHERS)
        await server.close()
        await database.ping()
        assert await database.chargers.all() == []


async def test_a_caller_that_gives_up_leaves_nothing_behind(database: Database, charger: Charger) -> None:
    """Activities are cancelled, sockets close: the connection they waited for must serve the next."""
    for _ in range(30):
        writing = asyncio.create_task(database.events.store(charger.id, "w", "k", "{}"))
        reading = asyncio.create_task(database.chargers.all())
        await asyncio.sleep(0)
        writing.cancel()
        reading.cancel()
        await asyncio.gather(writing, reading, return_exceptions=True)
    stored = await database.events.store(charger.id, "w", "last", "{}")
    assert (await database.events.next_of(charger.id, 100))[-1].id == stored
