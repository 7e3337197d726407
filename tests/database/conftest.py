"""Every test here runs on SQLite and on PostgreSQL, each on a database of its own."""

import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import make_url

from berth.database import Charger, Database, NewCharger, NewPort, migrate
from berth.database.connections import Connections
from berth.database.database import connect
from tests.database.postgres import PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL server for the session."""
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def migrated_database(postgres: PostgresServer) -> str:
    """The name of a PostgreSQL database with the schema, to copy."""
    name = postgres.create_database()
    migrate(postgres.url(name))
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    """Which database a test runs on."""
    name: str = request.param
    return name


@pytest.fixture
def empty_url(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A database without a schema; a SQLite file does not exist yet."""
    if backend == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'berth.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url(server.create_database())


@pytest.fixture
def url(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A database with the schema."""
    if backend == "sqlite":
        file = shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "berth.db")
        return f"sqlite+aiosqlite:///{file}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url(server.create_database(request.getfixturevalue("migrated_database")))


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """An open database, empty."""
    async with await Database.open(url) as database:
        yield database


@pytest.fixture
async def other(url: str, database: Database) -> AsyncIterator[Database]:
    """The same database as another process sees it."""
    async with await Database.open(url) as other:
        yield other


@pytest.fixture
async def connections(url: str) -> AsyncIterator[Connections]:
    """A way around the database, to let time pass in the database."""
    connections = connect(make_url(url))
    yield connections
    await connections.close()


@pytest.fixture
async def charger(database: Database) -> Charger:
    """A charger with two ports."""
    return await database.chargers.add(NewCharger("CP-1", ports=[NewPort(1), NewPort(2)]))


@pytest.fixture
def now() -> datetime:
    """An instant to reckon from, to the microsecond."""
    return datetime.now(UTC)
