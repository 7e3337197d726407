"""The schema's version: bringing a database up to date, and refusing one that is not."""

import asyncio
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from berth.database.connections import address_of
from berth.database.errors import SchemaError, translate_database_errors
from berth.database.sqlite import sqlite_engine

_MIGRATIONS = Path(__file__).parent / "migrations"
_ONE_AT_A_TIME = 0x62657274  # an arbitrary number that all releases of Berth share


async def migrate_async(url: str) -> None:
    """Bring the database at `url` up to date, creating a missing SQLite file.

    Several processes may do so at once: one works, the others wait. Raises SchemaError when the schema is
    of a newer release, UnreachableError when the database does not answer.
    """
    address = address_of(url)
    with translate_database_errors(address):
        if address.get_backend_name() == "sqlite":
            await asyncio.to_thread(_migrate_sqlite, address)
        else:
            await _migrate_postgres(address)


def migrate(url: str) -> None:
    """`migrate_async` for callers without an event loop."""
    asyncio.run(migrate_async(url))


def check_schema(connection: sa.Connection) -> None:
    """Raise SchemaError unless the schema is exactly the one this release works with."""
    scripts = ScriptDirectory(str(_MIGRATIONS))
    found, head = MigrationContext.configure(connection).get_current_revision(), scripts.get_current_head()
    if found == head:
        return
    if found is None:
        raise SchemaError("the database has no schema yet: migrate it first")
    if found in {script.revision for script in scripts.walk_revisions()}:
        raise SchemaError(f"the database's schema is {found}, this release needs {head}: migrate it first")
    raise SchemaError(f"the database's schema is {found}, of a newer release of Berth; this one knows {head}")


def _migrate_sqlite(url: sa.URL) -> None:
    if url.database:
        Path(url.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = sqlite_engine(url, size=1)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            _upgrade(connection)
            connection.commit()
    finally:
        engine.dispose()


async def _migrate_postgres(url: sa.URL) -> None:
    # Imported late: SQLAlchemy's asyncio is a tenth of every process's start, and SQLite needs none of it.
    from berth.database.postgres import postgres_engine

    engine = postgres_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ONE_AT_A_TIME)))
            await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


def _upgrade(connection: sa.Connection) -> None:
    scripts = ScriptDirectory(str(_MIGRATIONS))
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        check_schema(connection)
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
