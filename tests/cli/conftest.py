"""What the command line's tests speak to."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.odd_server import OddServer, odd_server
from tests.cli.stack import Stack, running


@pytest.fixture
def stack(migrated_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A Berth of this test's own, without a Temporal; the commands know it and have every right."""
    shutil.copy(migrated_file, tmp_path / "berth.db")
    with running(tmp_path) as stack:
        point_at(stack.url, stack.key, monkeypatch)
        yield stack


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> Iterator[OddServer]:
    """Something that answers what the test says; the commands take it for Berth."""
    with odd_server() as server:
        point_at(server.url, "berth_key", monkeypatch)
        yield server


def point_at(url: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the commands speak to this URL with this key."""
    monkeypatch.setenv("BERTH_URL", url)
    monkeypatch.setenv("BERTH_API_KEY", key)
