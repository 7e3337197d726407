"""The schema's version: created, found equal to the models, refused when it is not ours."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from berth.database import Capabilities, Database, SchemaError, migrate, migrate_async, schema
from berth.database.connections import Connections
from berth.database.database import connect
from berth.database.tables import metadata

VERSION = sa.table("alembic_version", sa.column("version_num"))


async def test_the_migrations_make_exactly_the_tables_of_the_models(connections: Connections) -> None:
    def differences(connection: sa.Connection) -> Any:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        return compare_metadata(context, metadata)

    assert await connections.transaction(differences) == []


async def test_a_comparison_sees_a_missing_table(connections: Connections) -> None:
    """The test above would pass too if the comparison looked at nothing."""

    def differences(connection: sa.Connection) -> Any:
        connection.exec_driver_sql("DROP TABLE tokens")
        return compare_metadata(MigrationContext.configure(connection), metadata)

    assert [(verb, table.name) for verb, table in await connections.transaction(differences)] == [
        ("add_table", "tokens")
    ]


async def test_a_database_without_a_schema_is_refused(empty_url: str) -> None:
    with pytest.raises(SchemaError, match="migrate"):
        await Database.open(empty_url)


async def test_a_missing_file_is_refused_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="migrate"):
        await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'none.db'}")
    assert list(tmp_path.iterdir()) == []


async def test_a_file_is_created_with_its_folder(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'var' / 'berth.db'}"
    await migrate_async(url)
    async with await Database.open(url) as database:
        await database.ping()


async def test_a_newer_schema_is_refused(url: str, connections: Connections) -> None:
    await connections.change(sa.update(VERSION).values(version_num="9999"))
    with pytest.raises(SchemaError, match="newer"):
        await Database.open(url)
    with pytest.raises(SchemaError, match="newer"):
        await migrate_async(url)


async def test_an_older_schema_is_refused_until_it_is_migrated(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrations = Path(shutil.copytree(Path(schema.__file__).parent / "migrations", tmp_path / "migrations"))
    (migrations / "versions" / "next.py").write_text(
        'from alembic import op\nrevision, down_revision = "next", "0008"\n'
        'def upgrade():\n    op.execute("CREATE TABLE extra (id INTEGER)")\n'
    )
    monkeypatch.setattr(schema, "_MIGRATIONS", migrations)
    with pytest.raises(SchemaError, match=r"0008.*needs next"):
        await Database.open(url)
    await migrate_async(url)
    async with await Database.open(url) as database:
        await database.ping()


async def test_chargers_and_keys_of_the_first_release_are_kept(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = Path(schema.__file__).parent / "migrations"
    migrations = Path(shutil.copytree(ours, tmp_path / "migrations"))
    for newer in sorted((migrations / "versions").glob("v*.py"))[1:]:
        newer.unlink()
    monkeypatch.setattr(schema, "_MIGRATIONS", migrations)
    await migrate_async(empty_url)
    connections = connect(sa.make_url(empty_url))
    at = {"created_at": 0.0}
    charger = {"ocpp_identity": "CP-1", "identity_key": "cp-1", "firmware_version": "1.0"}
    await connections.change(insert("chargers", charger | at))
    key = {"name": "app", "key_hash": "0" * 64, "rights": '["read"]', "flipturn": False}
    await connections.change(insert("api_keys", key | at))
    await connections.close()

    monkeypatch.setattr(schema, "_MIGRATIONS", ours)
    with pytest.raises(SchemaError, match=r"0001.*needs 0008"):
        await Database.open(empty_url)
    await migrate_async(empty_url)
    async with await Database.open(empty_url) as database:
        kept = await database.chargers.by_identity("CP-1")
        assert kept is not None
        assert (kept.firmware_version, kept.capabilities) == ("1.0", Capabilities())
        assert kept.security_profile is None
        assert not kept.has_newer_password
        (app,) = await database.keys.all()
        assert (app.name, app.last_used_at) == ("app", None)


def insert(table: str, values: dict[str, Any]) -> sa.TextClause:
    """An INSERT by the words of an earlier release."""
    literals = ", ".join(f"'{value}'" if isinstance(value, str) else str(value) for value in values.values())
    return sa.text(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({literals})")


async def test_processes_that_migrate_at_once_wait_for_each_other(empty_url: str) -> None:
    await asyncio.gather(*(asyncio.to_thread(migrate, empty_url) for _ in range(4)))
    async with await Database.open(empty_url) as database:
        await database.ping()
