"""A real Temporal server that skips time, and a charger that answers as a test tells it."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from launch.temporal_cli import find_temporal_cli
from tests.workflows.world import DEV_SERVER, World
from workflows.names import SEARCH_ATTRIBUTES

# `make chaos`; here, because pytest wants it known before it reads the tests.
settings.register_profile(
    "chaos",
    max_examples=100,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
async def env() -> AsyncIterator[WorkflowEnvironment]:
    async with await WorkflowEnvironment.start_time_skipping_v2(
        dev_server_existing_path=str(find_temporal_cli()),
        dev_server_extra_args=DEV_SERVER,
        data_converter=pydantic_data_converter,
        search_attributes=SEARCH_ATTRIBUTES,
    ) as environment:
        yield environment


@pytest.fixture
async def world(env: WorkflowEnvironment) -> AsyncIterator[World]:
    async with World(env) as world:
        yield world
