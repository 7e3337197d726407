"""A Berth for the command line to speak to: the real API on a real port, with a database of its own."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog
import uvicorn
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from api.app import close, create_app
from berth.database import Database
from berth.settings import Settings
from tests.api.scripted import ScriptedChangePassword, ScriptedForwardCancel, ScriptedReservation

ALL_RIGHTS = ["reservations", "read", "admin"]

T = TypeVar("T")


@dataclass
class Stack:
    """Where it is, a key with every right, and its database, which lives in another thread."""

    url: str
    key: str
    loop: asyncio.AbstractEventLoop
    database: Database

    def do(self, work: Callable[[Database], Awaitable[T]]) -> T:
        """Work with the database. Raises what it raises."""

        async def working() -> T:
            return await work(self.database)

        return asyncio.run_coroutine_threadsafe(working(), self.loop).result(60)


@contextmanager
def running(folder: Path, temporal: str | None = None, queue: str = "reservations") -> Iterator[Stack]:
    """It runs for the length of a block, on the `berth.db` of `folder`, which has the schema.

    `temporal` is the address of a server, None = it is away.

    With one, a worker runs scripted reservations.
    """
    ready: list[Stack] = []
    failed: list[BaseException] = []
    is_ready, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        url = f"sqlite+aiosqlite:///{folder}/berth.db"
        client = await Client.connect(
            temporal or "127.0.0.1:1", data_converter=pydantic_data_converter, lazy=temporal is None
        )
        async with await Database.open(url) as database:
            raw_key, _ = await database.keys.create("tests", ALL_RIGHTS)
            app = create_app(Settings(rate_limit=0), client, database)
            server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
            serving = asyncio.create_task(server.serve())
            async with asyncio.timeout(60):
                while not server.started:
                    await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            loop = asyncio.get_running_loop()
            ready.append(Stack(f"http://127.0.0.1:{port}", raw_key, loop, database))
            is_ready.set()
            if temporal is None:
                await stop.wait()
            else:
                worker = Worker(
                    client,
                    task_queue=queue,
                    workflows=[ScriptedReservation, ScriptedForwardCancel, ScriptedChangePassword],
                    workflow_runner=UnsandboxedWorkflowRunner(),
                )
                async with worker:
                    await stop.wait()
            server.should_exit = True
            await serving
            await close(app)

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            failed.append(error)
            is_ready.set()

    thread = threading.Thread(target=run, daemon=True)
    with structlog.testing.capture_logs():  # else they would be among what the commands write
        thread.start()
        try:
            assert is_ready.wait(60)
            if failed:
                raise failed[0]
            yield ready[0]
        finally:
            if ready and not failed:
                ready[0].loop.call_soon_threadsafe(stop.set)
            thread.join(30)
    if failed:
        raise failed[0]
