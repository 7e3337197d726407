"""/health of the worker, from its own event loop: one that hangs does not answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from http import HTTPStatus

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from temporalio.client import Client
from temporalio.service import RPCError

from berth.database import Database
from berth.http_server import HttpServer
from berth.settings import Settings

log = structlog.get_logger(__name__)

LIVE, READY = "/health/live", "/health/ready"
"""The same paths as the API's and the gateway's."""

TEMPORAL_WITHIN = timedelta(seconds=2)
DATABASE_WITHIN = timedelta(seconds=2)


def health_app(client: Client, database: Database, takes_work: Callable[[], bool]) -> Starlette:
    """Live asks nothing: a restart mends no server. Ready asks the workers, Temporal and the database."""

    async def live(_: Request) -> Response:
        return _OK

    async def ready(_: Request) -> Response:
        if not takes_work():
            return _not_ready("the worker takes no work now")
        temporal, reachable = await asyncio.gather(
            _temporal_answers(client), database.is_reachable(DATABASE_WITHIN)
        )
        silent = [
            name for name, answers in (("Temporal", temporal), ("the database", reachable)) if not answers
        ]
        return _not_ready(f"no answer from {' and '.join(silent)}") if silent else _OK

    return Starlette(routes=[Route(LIVE, live), Route(READY, ready)])


@asynccontextmanager
async def serving_health(settings: Settings, app: Starlette) -> AsyncIterator[None]:
    """Serve it for the length of a block; nothing when the port is 0."""
    host, port = settings.worker_health_host, settings.worker_health_port
    if not port:
        yield
        return
    server = HttpServer(app, host, port)
    serving = asyncio.create_task(server.serve())
    log.info("health_served", host=host, port=port)
    try:
        yield
    finally:
        server.should_exit = True
        await serving


async def _temporal_answers(client: Client) -> bool:
    try:
        async with asyncio.timeout(TEMPORAL_WITHIN.total_seconds()):
            return await client.service_client.check_health()
    except RPCError as error:
        log.warning("temporal_unavailable", status=error.status.name, message=error.message)
        return False
    except TimeoutError:
        return False


_OK = JSONResponse({"status": "ok"})


def _not_ready(why: str) -> Response:
    return JSONResponse({"error": f"not ready: {why}"}, HTTPStatus.SERVICE_UNAVAILABLE)
