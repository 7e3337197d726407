"""uvicorn for what a process serves besides its work, or as a part of it."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette


class QuietServer(uvicorn.Server):
    """Leaves signals to the process: uvicorn's own handlers would raise them once more afterwards."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class HttpServer(QuietServer):
    """Serves an application until `should_exit`; says nothing by itself."""

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                access_log=False,
                log_config=None,
                log_level="warning",
                server_header=False,
                lifespan="off",
            )
        )


async def serve_until(
    stop: asyncio.Event, server: uvicorn.Server, listener: socket.socket | None = None
) -> None:
    """Serve until `stop`, on the listener if there is one; requests under way are finished first."""

    async def exit_at_stop() -> None:
        await stop.wait()
        server.should_exit = True

    stopping = asyncio.create_task(exit_at_stop())
    try:
        await server.serve(sockets=None if listener is None else [listener])
    finally:
        stopping.cancel()
