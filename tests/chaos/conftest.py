"""What chaos needs of the machine, and how it says what it saw."""

import logging
import os
import resource
import sys
from collections.abc import Callable, Iterator

import pytest
import structlog


@pytest.fixture(autouse=True, scope="session")
def many_sockets() -> None:
    """Thousands of chargers live in the test's process; those it starts inherit the limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@pytest.fixture(autouse=True, scope="package")
def quiet_chargers() -> Iterator[None]:
    """Hundreds of chargers that cannot connect would bury what went wrong."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    yield
    structlog.reset_defaults()


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Write a line to the terminal, whatever pytest captures: the figures of a run are its result."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    terminal = request.config.pluginmanager.getplugin("terminalreporter")

    def write(line: str) -> None:
        if capture is None or terminal is None:  # one of several processes: shown when the test fails
            sys.stdout.write(f"{line}\n")
            return
        with capture.global_and_fixture_disabled():
            terminal.write_line(f"\n{line}")

    return write


@pytest.fixture(scope="session")
def full_size() -> bool:
    """Whether `make chaos` asked for the long run."""
    return os.environ.get("CHAOS") == "full"
