"""The API's process: a real socket, real signals."""

import asyncio
import os
import signal
import socket
from typing import Any

import httpx
import pytest
import structlog
from temporalio.client import Client

from api.process import CannotListen, run
from berth.database import Database
from berth.process import until_stopped
from berth.settings import Settings
from tests.api.scripted import Script


async def until_it_lives(url: str) -> None:
    """Poll until the API answers; fails after 60 s."""
    async with asyncio.timeout(60), httpx.AsyncClient() as http:
        while True:
            try:
                response = await http.get(f"{url}/health/live")
            except httpx.ConnectError:
                await asyncio.sleep(0.02)
            else:
                assert response.status_code == 200
                return


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_until_a_signal_and_returns(
    temporal: Client, database: Database, free_port: int, number: signal.Signals
) -> None:
    with structlog.testing.capture_logs() as logs:
        serving = asyncio.create_task(
            until_stopped(lambda stop: run(Settings(api_port=free_port), temporal, database, stop))
        )
        await until_it_lives(f"http://127.0.0.1:{free_port}")

        os.kill(os.getpid(), number)

        async with asyncio.timeout(60):
            await serving
    said = [entry["event"] for entry in logs if entry["log_level"] == "info"]
    assert said == ["api_listening", "api_stopped"]


@pytest.mark.usefixtures("worker")
async def test_a_request_under_way_at_the_signal_gets_its_answer(
    temporal: Client, database: Database, free_port: int, script: Script, body: dict[str, Any]
) -> None:
    script.reserve = None
    raw_key, _ = await database.keys.create("tests", ["reservations"])
    url = f"http://127.0.0.1:{free_port}"
    headers = {"Authorization": f"Bearer {raw_key}", "Prefer": "wait=1"}
    serving = asyncio.create_task(
        until_stopped(lambda stop: run(Settings(api_port=free_port), temporal, database, stop))
    )
    await until_it_lives(url)
    async with httpx.AsyncClient(headers=headers) as http:
        asking = asyncio.create_task(http.post(f"{url}/api/ocpp/reservations", json=body))
        async with asyncio.timeout(60):
            while not script.asked:
                await asyncio.sleep(0.02)

        os.kill(os.getpid(), signal.SIGTERM)

        assert (await asking).status_code == 202
    async with asyncio.timeout(60):
        await serving


async def test_it_does_not_tell_what_it_is_made_of(
    temporal: Client, database: Database, free_port: int
) -> None:
    serving = asyncio.create_task(
        until_stopped(lambda stop: run(Settings(api_port=free_port), temporal, database, stop))
    )
    await until_it_lives(f"http://127.0.0.1:{free_port}")
    async with httpx.AsyncClient() as http:
        response = await http.get(f"http://127.0.0.1:{free_port}/health/live")
    assert "server" not in response.headers
    os.kill(os.getpid(), signal.SIGTERM)
    await serving


async def test_a_port_in_use_is_a_sentence_that_names_the_setting(
    temporal: Client, database: Database
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen) as raised:
            await run(Settings(api_port=port), temporal, database, asyncio.Event())
    assert str(raised.value) == (
        f"the API cannot listen on 127.0.0.1:{port} (Address already in use): "
        "set BERTH_API_PORT or BERTH_API_HOST"
    )


async def test_an_address_of_another_machine_is_a_sentence_too(temporal: Client, database: Database) -> None:
    with pytest.raises(CannotListen, match=r"BERTH_API_PORT or BERTH_API_HOST$"):
        await run(Settings(api_host="192.0.2.1", api_port=0), temporal, database, asyncio.Event())
