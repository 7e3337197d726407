"""What every tier of tests shares: a clean environment, the Temporal tool, a database to copy."""

import os
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, Phase, settings

from berth import ports
from berth.database import migrate
from cli.up.temporal_cli import find_temporal_cli
from tests import servers

# `make chaos`; here, because pytest wants it known before it reads the tests.
settings.register_profile(
    "chaos",
    max_examples=100,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)

KEPT = frozenset({"BERTH_TEMPORAL_CLI"})
"""Says where a tool is, not how Berth behaves."""

TESTS = Path(__file__).parent

UNIT = frozenset({"core", "simulator", "unit"})
"""The folders of `make test-unit`."""

LONG = ("test_storms.py", "test_model.py", "acceptance", "chaos")
"""What takes long, in the order it begins; the two of chaos apart, since each loads the machine."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long: whichever process got it last would keep the others waiting."""

    def place(item: pytest.Item) -> int:
        return next((i for i, name in enumerate(LONG) if name in item.path.parts), len(LONG))

    items.sort(key=place)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which tests were left out for want of a server."""
    if line := servers.summary(terminalreporter.getreports("skipped")):
        terminalreporter.write_line(line, yellow=True)


@pytest.fixture(autouse=True)
def without_processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `make test-unit` runs starts no process: it is quick, and runs where no server is."""
    if any(request.path.is_relative_to(TESTS / folder) for folder in UNIT):
        assert "temporal_cli" not in request.fixturenames
        monkeypatch.setattr(subprocess, "Popen", _no_process)


def _no_process(*arguments: Any, **options: Any) -> NoReturn:
    pytest.fail(f"this folder is of `make test-unit`, where nothing starts a process: {arguments}")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the settings of the person who runs it."""
    for name in os.environ:
        if name.startswith(("BERTH_", "TEMPORAL_", "OTEL_")) and name not in KEPT:
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def temporal_cli() -> Path:
    """The Temporal command line tool; getting it may take minutes the first time. Fails without one."""
    return find_temporal_cli()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the schema, to copy."""
    file = tmp_path_factory.mktemp("database") / "template.db"
    migrate(f"sqlite+aiosqlite:///{file}")
    return file


@pytest.fixture
def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on."""
    return ports.free_port()
