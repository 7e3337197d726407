"""Fixtures: a directory of its own for each test, a gateway on a free port."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from berth.database import Charger, Directory, NewCharger, NewPort
from tests.gateway.house import House, Temporal


@pytest.fixture
async def directory(migrated_file: Path, tmp_path: Path) -> AsyncIterator[Directory]:
    """An open directory, empty."""
    file = shutil.copy(migrated_file, tmp_path / "berth.db")
    async with await Directory.open(f"sqlite+aiosqlite:///{file}") as directory:
        yield directory


@pytest.fixture
async def charger(directory: Directory) -> Charger:
    """A known charger with two ports and no password."""
    return await directory.chargers.add(NewCharger("CP-1", ports=[NewPort(1), NewPort(2)]))


@pytest.fixture
def temporal() -> Temporal:
    """Temporal, as far as the gateway speaks to it."""
    return Temporal()


@pytest.fixture
async def house(directory: Directory, temporal: Temporal, charger: Charger) -> AsyncIterator[House]:
    """A gateway that takes everyone in."""
    async with House(directory, temporal) as house:
        yield house
