"""A start that fails is said once, by the call: nothing is left over for asyncio to log."""

import asyncio
import gc
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from api.temporal.reservation_start import start_and_reserve, start_operation
from workflows.messages import ReservationStart, ReserveAnswer, ReserveRequest, Terms

START = ReservationStart(charger_id=1, ocpp_identity="CP-1", reservation_id=1)
REQUEST = ReserveRequest(
    terms=Terms(
        port_id=1,
        port_number=1,
        id_tag="CARD-1",
        expires_at=datetime.now(UTC) + timedelta(hours=1),
    ),
    wait=timedelta(seconds=10),
)


async def reserve(address: str, namespace: str = "default") -> ReserveAnswer:
    """Start a reservation at a Temporal that is reached on the first call only."""
    client = await Client.connect(
        address, namespace=namespace, data_converter=pydantic_data_converter, lazy=True
    )
    return await start_and_reserve(client, start_operation("any", START, REQUEST), REQUEST, "update")


@pytest.fixture
async def silent_address() -> AsyncIterator[str]:
    """Where connections are taken, and nothing follows."""

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1024):
            continue
        writer.close()

    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


def assert_nothing_is_left(caplog: pytest.LogCaptureFixture) -> None:
    gc.collect()  # asyncio logs what nobody retrieved when it goes
    assert caplog.records == []
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_a_start_that_temporal_refuses(temporal_address: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RPCError, match="nowhere"):
        await reserve(temporal_address, namespace="nowhere")
    assert_nothing_is_left(caplog)


async def test_a_start_that_reaches_nobody(free_port: int, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RuntimeError, match="connect"):
        await reserve(f"127.0.0.1:{free_port}")
    assert_nothing_is_left(caplog)


async def test_a_start_that_is_given_up(silent_address: str, caplog: pytest.LogCaptureFixture) -> None:
    asking = asyncio.create_task(reserve(silent_address))
    await asyncio.wait({asking}, timeout=0.2)
    asking.cancel()
    with pytest.raises(WorkflowUpdateRPCTimeoutOrCancelledError):
        await asking
    del asking
    gc.collect()
    assert caplog.records == []
