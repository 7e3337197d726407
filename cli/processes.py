"""The processes of Berth, each with the database and the Temporal client it needs."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import structlog
import uvloop
from temporalio.client import Client, Interceptor

from berth.database import Database
from berth.errors import StartError
from berth.ports import require_free
from berth.process import unless_stopped, until_stopped
from berth.settings import Settings
from berth.telemetry.logs import set_up_logs
from berth.telemetry.metrics_server import serve_metrics
from berth.telemetry.tracing import of_commands, of_reservations, tracing
from berth.temporal.client import TemporalUnreachable, connect
from berth.temporal.payload_key_check import check_payload_keys
from berth.temporal.runtime import set_up_sdk
from berth.tls import CertificateError

log = structlog.get_logger(__name__)

WAIT_FOR_TEMPORAL = 30.0
"""Seconds a worker waits for Temporal to answer, as when both start together."""

DEFAULT_PERSONALITY = "specification"

Work = Callable[[Client, Database, asyncio.Event], Awaitable[None]]


def run_api(settings: Settings) -> None:
    """`berth api`: answers HTTP until SIGTERM or SIGINT. Temporal may come and go meanwhile.

    Raises StartError for a certificate that cannot be used.
    """
    from api.process import api_tls, run

    set_up_logs(settings, "api")
    require_free("API_PORT", settings.api_host, settings.api_port)
    with _certificates("API_TLS_CERT", "API_TLS_KEY"):
        tls = api_tls(settings)
    set_up_sdk(settings, serve_metrics(settings))
    with tracing("api"):
        connecting = partial(_lazily, interceptors=of_reservations())
        _run(
            _with(
                settings,
                connecting,
                lambda client, database, stop: run(settings, client, database, stop, tls=tls),
            )
        )


def run_gateway(settings: Settings, gateway_id: str) -> None:
    """`berth gateway`: holds the chargers' sockets until SIGTERM or SIGINT, then drains.

    Raises StartError for certificates that cannot be used.
    """
    from gateway.gateway_tls import gateway_tls
    from gateway.process import run

    set_up_logs(settings, "gateway")
    require_free("GATEWAY_PORT", settings.gateway_host, settings.gateway_port)
    with _certificates("GATEWAY_TLS_CERT", "GATEWAY_TLS_KEY", "GATEWAY_CLIENT_CA"):
        tls = gateway_tls(settings)
    set_up_sdk(settings, serve_metrics(settings))
    with tracing("gateway", gateway_id):
        commands = of_commands()
        _run(
            _with(
                settings,
                _lazily,
                lambda client, database, stop: run(
                    settings, gateway_id, client, database, stop, tls=tls, interceptors=commands
                ),
            )
        )


def run_worker(settings: Settings) -> None:
    """`berth worker`: runs the workflows until SIGTERM or SIGINT.

    Raises TemporalUnreachable when Temporal does not answer within 30 s.
    """
    from berth.telemetry.worker_health import health_app, serving_health
    from berth.temporal.task_queues import warn_unless_current
    from worker import WorkerProcess

    async def work(client: Client, database: Database, stop: asyncio.Event) -> None:
        if settings.worker_build is not None:
            await unless_stopped(stop, warn_unless_current(client, settings.worker_build))
        process = WorkerProcess(settings, client, database, stop)
        async with serving_health(settings, health_app(client, database, lambda: process.takes_work)):
            await process.run()

    set_up_logs(settings, "worker")
    require_free("WORKER_HEALTH_PORT", settings.worker_health_host, settings.worker_health_port)
    set_up_sdk(settings, serve_metrics(settings))
    with tracing("worker"):
        _run(_with(settings, partial(connect_patiently, interceptors=of_reservations()), work))


def run_codec_server(settings: Settings) -> None:
    """`berth codec-server`: decrypts for Temporal's UI until SIGTERM or SIGINT.

    Raises StartError without a key, and without a token on an address others reach.
    """
    from cli.codec_server import run

    set_up_logs(settings, "codec")
    require_free("CODEC_PORT", settings.codec_host, settings.codec_port)
    _run(partial(run, settings))


def run_simulator(
    settings: Settings,
    url: str,
    count: int,
    version: str | None,
    personality: str,
    prefix: str,
    ports: int,
    password: str | None,
) -> None:
    """`berth simulate`: chargers that connect to `url` and do what the control asks, until stopped.

    Without a version and with the default personality: the demo chargers, both versions in turn.
    Raises StartError for a personality that does not exist or does not speak the version.
    """
    from simulator.fleet import run_demo, run_fleet

    set_up_logs(settings, "chargers")
    require_free("SIMULATOR_PORT", "127.0.0.1", settings.simulator_port)
    memory = settings.var / "simulator"
    if version is None and personality == DEFAULT_PERSONALITY:
        chargers = run_demo(url, count, settings.simulator_port, memory, password)
    else:
        chargers = run_fleet(
            url,
            count,
            version="2.0.1" if version == "2.0.1" else "1.6",
            identity_prefix=prefix,
            personality=personality,
            ports=ports,
            control_port=settings.simulator_port,
            state_dir=memory,
            password=password,
        )
    try:
        _run(lambda stop: unless_stopped(stop, chargers))
    except ValueError as error:
        raise StartError(f"--personality: {error}") from error


async def connect_patiently(
    settings: Settings, within: float = WAIT_FOR_TEMPORAL, *, interceptors: Sequence[Interceptor] = ()
) -> Client:
    """A connected client, as soon as Temporal answers. Raises TemporalUnreachable after `within` seconds."""
    deadline = time.monotonic() + within
    has_said_so = False
    while True:
        try:
            return await connect(settings.payload_key, interceptors=interceptors)
        except TemporalUnreachable as error:
            if time.monotonic() > deadline:
                raise
            if not has_said_so:
                log.warning("waiting_for_temporal", address=error.address, at_most_seconds=within)
                has_said_so = True
            await asyncio.sleep(0.5)


@contextmanager
def _certificates(*settings: str) -> Iterator[None]:
    try:
        yield
    except CertificateError as error:
        raise StartError(f"{', '.join(f'BERTH_{name}' for name in settings)}: {error}") from error


def _with(
    settings: Settings, connecting: Callable[[Settings], Coroutine[Any, Any, Client]], work: Work
) -> Callable[[asyncio.Event], Awaitable[None]]:
    """The work with the database and the client that it needs."""

    async def main(stop: asyncio.Event) -> None:
        opened = await unless_stopped(stop, Database.open(settings.database_url))
        if opened is None:
            return
        async with opened as database:
            await unless_stopped(stop, check_payload_keys(settings, database))
            client = await unless_stopped(stop, connecting(settings))
            if client is not None and not stop.is_set():
                await work(client, database, stop)

    return main


async def _lazily(settings: Settings, *, interceptors: Sequence[Interceptor] = ()) -> Client:
    return await connect(settings.payload_key, lazy=True, interceptors=interceptors)


def _run(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    uvloop.run(until_stopped(main))
