"""A house per test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.house import House


@pytest.fixture
async def house(tmp_path: Path, temporal_cli: Path) -> AsyncIterator[House]:
    async with House(tmp_path, temporal_cli) as house:
        yield house
