"""The embedded server, for real: its files, its namespace, its search attributes."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.api.operatorservice.v1 import RemoveSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from berth.errors import StartError
from berth.ports import free_port
from berth.temporal.namespace import ensure_search_attributes, missing_search_attributes
from berth.temporal.task_queues import has_pollers
from cli.up.temporal_server import TemporalServer


def server_in(folder: Path, cli: Path) -> TemporalServer:
    return TemporalServer(
        cli, free_port(), free_port(), folder / "temporal.db", folder / "temporal.log", namespace="berth"
    )


@pytest.fixture(scope="module")
def server(temporal_cli: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    with server_in(tmp_path_factory.mktemp("temporal"), temporal_cli).running() as server:
        yield server


@pytest.fixture
async def client(server: TemporalServer) -> Client:
    return await Client.connect(server.address, namespace=server.namespace)


async def test_it_comes_up_with_every_search_attribute(client: Client) -> None:
    assert await missing_search_attributes(client) == []


async def test_it_keeps_histories_for_thirty_days(client: Client) -> None:
    answer = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="berth"))
    assert answer.config.workflow_execution_retention_ttl.ToTimedelta() == timedelta(days=30)


async def test_a_missing_search_attribute_is_added(client: Client) -> None:
    await client.operator_service.remove_search_attributes(
        RemoveSearchAttributesRequest(namespace="berth", search_attributes=["SiteId"])
    )
    assert await ensure_search_attributes(client) == ["SiteId"]
    assert await ensure_search_attributes(client) == []


async def test_a_namespace_that_is_not_there_is_one_sentence(server: TemporalServer) -> None:
    nowhere = await Client.connect(server.address, namespace="nowhere")
    with pytest.raises(StartError, match=r"^TEMPORAL_NAMESPACE: .*nowhere"):
        await ensure_search_attributes(nowhere)


async def test_a_queue_that_nobody_asks_has_no_pollers(client: Client) -> None:
    assert not await has_pollers(client, "nobody")


def test_its_file_keeps_workflows_over_a_restart(temporal_cli: Path, tmp_path: Path) -> None:
    async def start(server: TemporalServer) -> None:
        client = await Client.connect(server.address, namespace="berth")
        await client.start_workflow("Reservation", id="reservation-1-1", task_queue="reservations")

    async def find(server: TemporalServer) -> str:
        client = await Client.connect(server.address, namespace="berth")
        return (await client.get_workflow_handle("reservation-1-1").describe()).id

    with server_in(tmp_path, temporal_cli).running() as server:
        asyncio.run(start(server))
    with server_in(tmp_path, temporal_cli).running() as server:
        assert asyncio.run(find(server)) == "reservation-1-1"


def test_one_that_does_not_come_up_is_one_sentence(temporal_cli: Path, tmp_path: Path) -> None:
    (tmp_path / "temporal.db").write_text("not a database")
    server = replace(server_in(tmp_path, temporal_cli), ready_within=0.5)
    with pytest.raises(StartError, match="does not answer at 127"), server.running():
        pass
