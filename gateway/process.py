"""The gateway process: sockets, the activities that use them, and everything in the background.

Temporal and the sockets are independent: chargers are served while Temporal is away, and the worker joins
when it is there.
"""

import asyncio
import secrets
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import structlog
from temporalio.client import Client
from temporalio.worker import Interceptor, Worker

from activities.charger_commands import ChargerCommands
from berth.database import Database
from berth.process import Background, unless_stopped
from berth.settings import Settings
from berth.temporal.client import connect
from berth.tls import renewed
from gateway import gateway_metrics as metrics
from gateway.call_log import MessageLog
from gateway.event_dispatcher import EventDispatcher
from gateway.gateway_tls import GatewayTls
from gateway.housekeeping import run_housekeeping
from gateway.load import Load, report_backlog, report_load
from gateway.registry import Registry
from gateway.server import DIALECTS, GatewayServer
from webhooks.charger_presence import ChargerPresence
from webhooks.outbox import WebhookOutbox
from workflows.names import gateway_queue

log = structlog.get_logger(__name__)

DRAIN = timedelta(seconds=45)
"""How long running activities may take after a stop: longer than a charger has for its answer."""

_COMMANDS_AT_ONCE = 2000
_HEARTBEAT_EVERY = 5.0  # seconds; the database takes us for dead after 15
_RETRY_AFTER = 2.0
_WITHDRAW_WITHIN = 3.0
_COMMANDS_UNDER_WAY = 1.0  # seconds from a look at the route to the activity that was sent there


async def run(
    settings: Settings,
    gateway_id: str,
    client: Client,
    database: Database,
    stop: asyncio.Event,
    *,
    tls: GatewayTls | None = None,
    interceptors: Sequence[Interceptor] = (),
) -> None:
    """Serve chargers until `stop`, then drain. Raises PortInUse, and PartDied.

    Draining: no new command is routed here and new sockets are refused, running activities end (`DRAIN`),
    sockets close with 1012, links are cleared. The client may be lazy: a worker needs one that has connected,
    which is then made here; `interceptors` are for that worker. With TLS, SIGHUP has its files read anew.
    """
    incarnation = secrets.token_hex(6)
    queue = gateway_queue(gateway_id, incarnation)
    registry = Registry()
    messages = MessageLog(database.messages.write)
    event_dispatcher = EventDispatcher(database, client)
    presence = ChargerPresence(database, WebhookOutbox(database))
    server = GatewayServer(
        settings,
        database,
        incarnation=incarnation,
        queue=queue,
        registry=registry,
        messages=messages,
        wake=event_dispatcher.wake,
        presence=presence,
        tls=tls,
    )

    def look() -> Load:
        return Load(
            charger_count=len(registry),
            calls_waiting=registry.calls_waiting,
            deliveries_waiting=event_dispatcher.waiting_count,
            messages_waiting=messages.waiting_count,
            messages_dropped=messages.dropped_count,
        )

    _show(registry, event_dispatcher, messages)
    await unless_stopped(stop, database.links.start(incarnation, gateway_id, queue))
    if stop.is_set():
        return
    background = Background(stop)
    with renewed(tls):
        try:
            await server.start()
            background.start("heartbeat", _beat(database, presence, incarnation, gateway_id, queue))
            background.start("event dispatcher", event_dispatcher.sweep())
            background.start("message log", messages.run())
            background.start("housekeeping", run_housekeeping(database))
            if settings.load_log_interval:
                background.start("load report", report_load(look, settings.load_log_interval))
            if settings.metrics_port:
                background.start("backlog", report_backlog(database))
            last_call = asyncio.Event()
            worker = asyncio.create_task(
                _work(
                    client,
                    settings,
                    queue,
                    ChargerCommands(registry, database, event_dispatcher.wake),
                    interceptors,
                    last_call,
                )
            )
            try:
                await stop.wait()
            finally:
                log.info("gateway_draining", charger_count=len(registry))
                server.refuse_new()
                await _withdraw(database, incarnation)
                if len(registry):
                    await asyncio.sleep(_COMMANDS_UNDER_WAY)
                last_call.set()
                await asyncio.gather(worker, return_exceptions=True)
                await server.close()
                await background.close()
        finally:
            await event_dispatcher.stop()
            await _sign_off(database, incarnation, messages, presence)
    background.check()


def _show(registry: Registry, event_dispatcher: EventDispatcher, messages: MessageLog) -> None:
    """Have each scrape look at what there is and what waits; from a thread of its own, so it only reads."""
    for protocol in DIALECTS:
        metrics.CONNECTED.labels(protocol).set_function(partial(registry.count_of, protocol))
    metrics.CALLS_WAITING.set_function(lambda: registry.calls_waiting)
    metrics.DELIVERIES_WAITING.set_function(lambda: event_dispatcher.waiting_count)
    metrics.MESSAGES_WAITING.set_function(lambda: messages.waiting_count)


async def _beat(
    database: Database, presence: ChargerPresence, incarnation: str, gateway_id: str, queue: str
) -> None:
    """Tell the database every few seconds that our sockets are live."""
    while True:
        try:
            heartbeat = await database.links.heartbeat(incarnation)
            if heartbeat is None:
                # Forgotten while the database was restored or we were asleep for a day.
                await database.links.start(incarnation, gateway_id, queue)
            elif heartbeat.loss_was_told:
                log.warning("gateway_was_taken_for_dead")
                await presence.back_with(incarnation)
        except Exception:
            log.exception("heartbeat_failed")
        await asyncio.sleep(_HEARTBEAT_EVERY)


async def _work(
    client: Client,
    settings: Settings,
    queue: str,
    commands: ChargerCommands,
    interceptors: Sequence[Interceptor],
    stop: asyncio.Event,
) -> None:
    """Run the activities until the stop; start again whenever Temporal ends it."""
    while not stop.is_set():
        try:
            connected = await unless_stopped(stop, _connected(client, settings))
            if connected is None:
                return
            worker = Worker(
                connected,
                task_queue=queue,
                activities=[commands.reserve_now, commands.cancel_reservation, commands.change_password],
                interceptors=interceptors,
                max_concurrent_activities=_COMMANDS_AT_ONCE,
                graceful_shutdown_timeout=DRAIN,
            )
            async with worker:
                log.info("worker_started", queue=queue)
                await stop.wait()
        except Exception as error:
            log.warning("temporal_not_available", error=str(error))
            await unless_stopped(stop, asyncio.sleep(_RETRY_AFTER))


async def _connected(client: Client, settings: Settings) -> Client:
    if client.service_client.config.lazy:  # the SDK takes no such client for a worker
        return await connect(settings.payload_key)
    return client


async def _withdraw(database: Database, incarnation: str) -> None:
    """Have new commands wait for the chargers' next gateway: here they would wait for nobody."""
    try:
        async with asyncio.timeout(_WITHDRAW_WITHIN):
            await database.links.drain(incarnation)
    except Exception:
        # Those commands lose the few seconds until Temporal finds nobody on our queue.
        log.exception("gateway_not_withdrawn")


async def _sign_off(
    database: Database, incarnation: str, messages: MessageLog, presence: ChargerPresence
) -> None:
    try:
        await presence.leave_with(incarnation)
    except Exception:
        log.exception("gateway_end_not_announced")
    try:
        await database.links.stop(incarnation)
        await messages.flush()
    except Exception:
        # Others find out by our missing heartbeat.
        log.exception("gateway_not_signed_off")
