"""A real Temporal server that skips time, and a charger that answers as a test tells it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import TimeSkipper, WorkflowEnvironment

from berth.ports import free_port
from cli.up.temporal_cli import find_temporal_cli
from cli.up.temporal_server import TemporalServer
from tests.workflows.world import DEV_SERVER, SERVER_CONFIG, World
from workflows.names import SEARCH_ATTRIBUTES


@pytest.fixture(scope="session")
def server(temporal_cli: Path) -> Iterator[TemporalServer]:
    """One for all: every reservation has a clock of its own there."""
    server = TemporalServer(temporal_cli, free_port(), free_port(), dynamic_config=SERVER_CONFIG)
    with server.running():
        yield server


@pytest.fixture
async def world(server: TemporalServer) -> AsyncIterator[World]:
    client = await Client.connect(server.address, data_converter=pydantic_data_converter)
    async with World(TimeSkipper(client)) as world:
        yield world


@pytest.fixture
async def env() -> AsyncIterator[WorkflowEnvironment]:
    """A server of this test's own, for what a server has but one of."""
    async with await WorkflowEnvironment.start_time_skipping_v2(
        dev_server_existing_path=str(find_temporal_cli()),
        dev_server_extra_args=DEV_SERVER,
        data_converter=pydantic_data_converter,
        search_attributes=SEARCH_ATTRIBUTES,
    ) as environment:
        yield environment
