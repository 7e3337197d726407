"""Fixtures: a database of its own for each test, a gateway on a free port."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from berth.database import Charger, Database, NewCharger, NewPort
from tests.gateway.stack import Stack, Temporal


@pytest.fixture
async def database(migrated_file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """An open database, empty."""
    file = shutil.copy(migrated_file, tmp_path / "berth.db")
    async with await Database.open(f"sqlite+aiosqlite:///{file}") as database:
        yield database


@pytest.fixture
async def charger(database: Database) -> Charger:
    """A known charger with two ports and no password."""
    return await database.chargers.add(NewCharger("CP-1", ports=[NewPort(1), NewPort(2)]))


@pytest.fixture
def temporal() -> Temporal:
    """Temporal, as far as the gateway speaks to it."""
    return Temporal()


@pytest.fixture
async def stack(database: Database, temporal: Temporal, charger: Charger) -> AsyncIterator[Stack]:
    """A gateway that takes everyone in."""
    async with Stack(database, temporal) as stack:
        yield stack
