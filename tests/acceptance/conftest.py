"""A stack per test, and one that all tests of a module share."""

import os
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from tests.acceptance.life import SETTLE
from tests.acceptance.stack import Stack
from tests.conftest import KEPT

_NUMBERS = count(1)


@pytest.fixture
async def stack(tmp_path: Path, temporal_cli: Path) -> AsyncIterator[Stack]:
    async with Stack(tmp_path, temporal_cli) as stack:
        yield stack


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_stack(tmp_path_factory: pytest.TempPathFactory, temporal_cli: Path) -> AsyncIterator[Stack]:
    """A stack in a hurry; each test brings chargers of its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("BERTH_", "TEMPORAL_", "OTEL_")) and name not in KEPT:
                patch.delenv(name)
        stack = Stack(
            tmp_path_factory.mktemp("stack"),
            temporal_cli,
            BERTH_SETTLE=str(SETTLE),
            BERTH_CONNECTION_TIMEOUT="3",
            BERTH_OCPP_CALL_TIMEOUT="10",
        )
    async with stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def mended_stack(shared_stack: Stack) -> Stack:
    """The same for stories that kill processes, with what the last one left dead running again."""
    await shared_stack.mend()
    return shared_stack


@pytest.fixture
def identity() -> str:
    """A charger that no other test has."""
    return f"CHARGER-{next(_NUMBERS)}"
