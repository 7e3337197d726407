"""A PostgreSQL server, through asyncpg."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from berth.database.connections import Connections, Rows, T
from berth.database.errors import translate_database_errors


class PostgresConnections(Connections):
    """The connections to a PostgreSQL database; a single statement goes without BEGIN and COMMIT."""

    def __init__(self, url: sa.URL) -> None:
        self._url = url
        self._engine = postgres_engine(url)
        self._single = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    async def query(self, statement: sa.Executable, **parameters: object) -> Rows:
        with translate_database_errors(self._url):
            async with self._single.connect() as connection:
                return (await connection.execute(statement, parameters)).all()

    async def change(self, statement: sa.Executable, **parameters: object) -> Rows:
        with translate_database_errors(self._url):
            async with self._single.connect() as connection:
                result = await connection.execute(statement, parameters)
                return result.all() if result.returns_rows else ()

    async def transaction(self, work: Callable[[sa.Connection], T]) -> T:
        with translate_database_errors(self._url):
            async with self._engine.begin() as connection:
                return await connection.run_sync(work)

    def insert(self, table: sa.Table) -> postgresql.Insert:
        return postgresql.insert(table)

    async def close(self) -> None:
        await self._engine.dispose()


def postgres_engine(url: sa.URL) -> AsyncEngine:
    """An engine for many short statements that outlives a restart of the server."""
    settings: dict[str, Any] = {"application_name": "berth", "jit": "off"}
    return create_async_engine(
        url.set(drivername="postgresql+asyncpg"),
        pool_size=10,
        max_overflow=10,
        pool_pre_ping=True,
        connect_args={"server_settings": settings, "timeout": 10, "command_timeout": 30},
    )
