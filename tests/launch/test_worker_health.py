"""What probes hear from a worker."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from temporalio.client import Client

from berth import ports
from berth.database import Database, UnreachableError, migrate
from berth.settings import Settings
from berth.telemetry.worker_health import health_app
from cli.up.parent_death import mortal
from cli.up.temporal_server import TemporalServer
from tests.launch.commands import berth
from tests.launch.waiting import until, until_async
from worker import WorkerProcess

OK = (200, {"status": "ok"})


@pytest.fixture(scope="module")
def server(temporal_cli: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    file = tmp_path_factory.mktemp("temporal") / "temporal.db"
    with TemporalServer(temporal_cli, ports.free_port(), ports.free_port(), file).running() as server:
        yield server


@pytest.fixture
async def client(server: TemporalServer) -> Client:
    return await Client.connect(server.address)


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    url = f"sqlite+aiosqlite:///{tmp_path / 'berth.db'}"
    migrate(url)
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with await Database.open(database_url) as database:
        yield database


@asynccontextmanager
async def working(process: WorkerProcess, stop: asyncio.Event) -> AsyncIterator[None]:
    """Run it for the length of a block."""
    run = asyncio.create_task(process.run())
    await until_async("it takes work", lambda: process.takes_work)
    yield
    stop.set()
    assert not process.takes_work
    await run


async def asked(client: Client, database: Database, process: WorkerProcess, path: str) -> tuple[int, object]:
    app = health_app(client, database, lambda: process.takes_work)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://worker") as http:
        answer = await http.get(f"/health/{path}")
    return answer.status_code, answer.json()


async def test_it_is_ready_while_it_takes_work(client: Client, database: Database) -> None:
    stop = asyncio.Event()
    process = WorkerProcess(Settings(), client, database, stop)
    resting = (503, {"error": "not ready: the worker takes no work now"})
    assert await asked(client, database, process, "ready") == resting
    async with working(process, stop):
        assert await asked(client, database, process, "ready") == OK
    assert await asked(client, database, process, "ready") == resting
    assert await asked(client, database, process, "live") == OK


async def test_without_the_database_it_is_live_and_not_ready(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone() -> None:
        raise UnreachableError("no database")

    stop = asyncio.Event()
    process = WorkerProcess(Settings(), client, database, stop)
    async with working(process, stop):
        with monkeypatch.context() as patched:
            patched.setattr(database, "ping", gone)
            assert await asked(client, database, process, "ready") == (
                503,
                {"error": "not ready: no answer from the database"},
            )
            assert await asked(client, database, process, "live") == OK
        assert await asked(client, database, process, "ready") == OK


def test_the_process_outlives_an_absence_of_temporal_and_is_ready_again(
    temporal_cli: Path, tmp_path: Path, database_url: str, free_port: int
) -> None:
    temporal = TemporalServer(temporal_cli, ports.free_port(), ports.free_port(), tmp_path / "temporal.db")
    environment = {
        "TEMPORAL_ADDRESS": temporal.address,
        "BERTH_DATABASE_URL": database_url,
        "BERTH_WORKER_HEALTH_PORT": str(free_port),
    }
    log = tmp_path / "worker.log"

    def health(path: str) -> tuple[int, object]:
        try:
            answer = httpx.get(f"http://127.0.0.1:{free_port}/health/{path}", trust_env=False)
        except httpx.TransportError:
            return 0, None
        return answer.status_code, answer.json()

    with log.open("wb") as output:
        command = mortal([sys.executable, "-P", "-m", "cli", "worker"])
        process = subprocess.Popen(command, env=os.environ | environment, stdout=output, stderr=output)
    try:
        with temporal.running():
            until("it is ready", lambda: health("ready") == OK)
        assert health("ready") == (503, {"error": "not ready: no answer from Temporal"})
        assert health("live") == OK
        with temporal.running():
            until("it is ready again", lambda: health("ready") == OK)
            process.terminate()
            assert process.wait(20) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    assert health("live") == (0, None)


def test_a_port_that_is_taken_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        ended = berth("worker", BERTH_WORKER_HEALTH_PORT=str(port))
    assert ended.returncode == 2
    assert ended.stderr == (
        f"berth: BERTH_WORKER_HEALTH_PORT: port {port} of 127.0.0.1 is in use already; "
        "stop what uses it, or choose another\n"
    )
