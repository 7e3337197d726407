"""The API's process: the application behind uvicorn."""

import asyncio
import os
import socket

import structlog
import uvicorn
from temporalio.client import Client

from api.app import close, create_app
from berth.database import Database
from berth.http_server import QuietServer, serve_until
from berth.process import unless_stopped
from berth.settings import Settings
from berth.tls import ServerTls, renewed

log = structlog.get_logger(__name__)

BACKLOG = 2048
DRAIN = 10
"""Seconds that requests under way have after a signal; their reservations live on without them."""


class CannotListen(Exception):
    """The API's address is not to be had; the text names the setting to change."""


def api_tls(settings: Settings) -> ServerTls | None:
    """TLS as the settings ask for it; None: plain HTTP. Raises CertificateError."""
    if settings.api_tls_cert is None or settings.api_tls_key is None:
        return None
    return ServerTls(settings.api_tls_cert, settings.api_tls_key)


async def run(
    settings: Settings,
    client: Client,
    database: Database,
    stop: asyncio.Event,
    *,
    tls: ServerTls | None = None,
) -> None:
    """Serve the API until `stop`. Run it on uvloop. Raises CannotListen.

    With TLS, SIGHUP has its files read anew.
    """
    listener = _listen(settings.api_host, settings.api_port)
    if settings.bootstrap_api_key is not None:
        key = settings.bootstrap_api_key.get_secret_value()
        await unless_stopped(stop, database.keys.ensure_bootstrap(key))
    app = create_app(settings, client, database)
    config = uvicorn.Config(
        app,
        access_log=False,  # RequestMiddleware writes a line for each request
        log_config=None,
        log_level="warning",
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=DRAIN,
        ssl_context_factory=None if tls is None else lambda config, default: tls.context,
    )
    host, port = listener.getsockname()[:2]
    log.info("api_listening", host=host, port=port)
    try:
        with renewed(tls):
            await serve_until(stop, QuietServer(config), listener)
    finally:
        await close(app)
    log.info("api_stopped")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise CannotListen(
            f"the API cannot listen on {host}:{port} ({reason}): set BERTH_API_PORT or BERTH_API_HOST"
        ) from error
