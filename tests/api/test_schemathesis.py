"""Schemathesis reads the OpenAPI document and calls everything in it, well and badly.

The real application behind a real socket, with a real Temporal; the same calls every time.
"""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from api.app import close, create_app
from berth.database import Database, NewCharger, NewPort, migrate_async
from berth.settings import Settings
from tests.api.scripted import ScriptedChangePassword, ScriptedForwardCancel, ScriptedReservation

EXAMPLES = 20
"""Generated calls per operation, beside those that cover the edges of every field."""

KEY = "berth_" + "k" * 40

QUEUE = f"reservations-{uuid4().hex}"

CONFIG = {
    "cache": {"enabled": False},
    "generation": {
        "deterministic": True,
        "max-examples": EXAMPLES,
        "allow-extra-parameters": False,  # unknown ones are ignored: Flipturn's clients may send more
        "with-security-parameters": False,
    },
    # What no schema can say: an expiry lies ahead, a cursor is ours, a text is printable.
    "checks": {"positive_data_acceptance": {"enabled": False}},
}


class Server:
    """The API in a thread of its own, since Schemathesis's calls block."""

    def __init__(self, temporal_address: str, folder: Path) -> None:
        self._temporal_address = temporal_address
        self._database_url = f"sqlite+aiosqlite:///{folder}/berth.db"
        self._ready = threading.Event()
        self._uvicorn: uvicorn.Server | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.port = 0

    def __enter__(self) -> "Server":
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._uvicorn is not None
        self._uvicorn.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()

    async def _serve(self) -> None:
        await migrate_async(self._database_url)
        client = await Client.connect(self._temporal_address, data_converter=pydantic_data_converter)
        async with await Database.open(self._database_url) as database:
            await database.keys.ensure_bootstrap(KEY)
            for n in range(3):
                await database.chargers.add(NewCharger(f"CP-{n}", ports=[NewPort(1), NewPort(2)]))
            app = create_app(Settings(rate_limit=0), client, database)
            async with Worker(
                client,
                task_queue=QUEUE,
                workflows=[ScriptedReservation, ScriptedForwardCancel, ScriptedChangePassword],
                workflow_runner=UnsandboxedWorkflowRunner(),
            ):
                await self._listen(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
            await close(app)

    async def _listen(self, config: uvicorn.Config) -> None:
        self._uvicorn = uvicorn.Server(config)
        serving = asyncio.create_task(self._uvicorn.serve())
        async with asyncio.timeout(60):
            while not self._uvicorn.started:
                await asyncio.sleep(0.02)
        self.port = self._uvicorn.servers[0].sockets[0].getsockname()[1]
        self._ready.set()
        await serving


@pytest.fixture(scope="module")
def url(temporal_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the API listens."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("api.temporal.reservation_start.RESERVATIONS_QUEUE", QUEUE)
        patch.setattr("api.temporal.forwarded_cancels.RESERVATIONS_QUEUE", QUEUE)
        patch.setattr("api.temporal.charger_password_changes.RESERVATIONS_QUEUE", QUEUE)
        with Server(temporal_address, tmp_path_factory.mktemp("schemathesis")) as server:
            yield f"http://127.0.0.1:{server.port}"


# The document needs neither.
DOCUMENT = create_app(Settings(), cast(Client, None), cast(Database, None)).openapi()

calls = schemathesis.openapi.from_dict(DOCUMENT, config=SchemathesisConfig.from_dict(CONFIG))


@calls.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_call_keeps_to_the_document(case: schemathesis.Case[Any], url: str) -> None:
    case.call_and_validate(
        base_url=url, headers={"Authorization": f"Bearer {KEY}", "Prefer": "respond-async"}
    )
