"""A gateway with a real database and real sockets, and a Temporal that only listens."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, TypeVar

from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from berth.database import Database, EventSubscription
from berth.settings import Settings
from gateway.call_log import MessageLog
from gateway.event_dispatcher import EventDispatcher
from gateway.gateway_tls import gateway_tls
from gateway.registry import Registry
from gateway.server import GatewayServer
from gateway.session import ChargerSession
from tests.gateway.station import Station
from webhooks.charger_presence import ChargerPresence
from webhooks.outbox import WebhookOutbox
from workflows.messages import Event

T = TypeVar("T")

QUEUE = "gateway-G-test"


@dataclass
class Temporal:
    """What workflows heard: the workflow's id, the signal, its argument."""

    heard: list[tuple[str, str, Event]] = field(default_factory=list)
    closed: set[str] = field(default_factory=set)
    failure: Exception | None = None  # what every signal meets

    def get_workflow_handle(self, workflow_id: str) -> "_Workflow":
        return _Workflow(self, workflow_id)

    def signals(self, workflow_id: str) -> list[str]:
        return [signal for heard_by, signal, _ in self.heard if heard_by == workflow_id]

    def said(self, signal: str) -> list[Any]:
        return [event for _, heard, event in self.heard if heard == signal]


@dataclass
class _Workflow:
    temporal: Temporal
    workflow_id: str

    async def describe(self, rpc_timeout: timedelta) -> SimpleNamespace:
        if self.temporal.failure is not None:
            raise self.temporal.failure
        is_closed = self.workflow_id in self.temporal.closed
        status = WorkflowExecutionStatus.TERMINATED if is_closed else WorkflowExecutionStatus.RUNNING
        return SimpleNamespace(status=status)

    async def signal(self, name: str, argument: Event) -> None:
        await asyncio.sleep(0)
        if self.temporal.failure is not None:
            raise self.temporal.failure
        if self.workflow_id in self.temporal.closed:
            raise RPCError("workflow execution already completed", RPCStatusCode.NOT_FOUND, b"")
        self.temporal.heard.append((self.workflow_id, name, argument))


class Stack:
    """One gateway."""

    def __init__(
        self,
        database: Database,
        temporal: Temporal,
        boot_wait: float = 30.0,
        incarnation: str = "test",
        max_connections: int = 100,
        inquire_after: float = 3600.0,
        **settings: Any,
    ) -> None:
        values: dict[str, Any] = {
            "gateway_port": 0,
            "unknown_chargers": "register",
            "open_chargers": True,
            "ocpp_ping_interval": 0,
        }
        self.settings = Settings(**(values | settings))
        self.database = database
        self.temporal = temporal
        self.registry = Registry()
        self.messages = MessageLog(database.messages.write)
        self.event_dispatcher = EventDispatcher(database, temporal)  # type: ignore[arg-type]  # the part of a Client it uses
        self.incarnation = incarnation
        self.tls = gateway_tls(self.settings)
        self.server = GatewayServer(
            self.settings,
            database,
            incarnation=incarnation,
            queue=QUEUE,
            registry=self.registry,
            messages=self.messages,
            wake=self.event_dispatcher.wake,
            presence=ChargerPresence(database, WebhookOutbox(database)),
            tls=self.tls,
            boot_wait=timedelta(seconds=boot_wait),
            inquire_after=timedelta(seconds=inquire_after),
            max_connections=max_connections,
        )

    async def __aenter__(self) -> "Stack":
        await self.database.links.start(self.incarnation, "G", QUEUE)
        await self.server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.close()
        await self.event_dispatcher.stop()

    def url(self, identity: str = "CP-1") -> str:
        scheme = "ws" if self.tls is None else "wss"
        return f"{scheme}://127.0.0.1:{self.server.port}/ocpp/{identity}"

    def station(self, version: str = "1.6", identity: str = "CP-1") -> Station:
        """A charger that is about to connect."""
        return Station(self.url(identity), f"ocpp{version}")

    async def session(self, identity: str = "CP-1") -> ChargerSession:
        """The session of a charger, once it is ready."""

        async def ready() -> ChargerSession | None:
            charger = await self.database.chargers.by_identity(identity)
            session = self.registry.of(charger.id) if charger else None
            is_routed = charger is not None and await self.database.links.route(charger.id) is not None
            return session if session and session.is_ready and is_routed else None

        return await eventually(ready)

    async def subscribe(self, charger_id: int, **changes: Any) -> EventSubscription:
        """Subscribe a run: reservation 7 of token ABC on port 1, accepted, unless said otherwise."""
        values: dict[str, Any] = {
            "workflow_id": f"reservation-{charger_id}-{changes.get('reservation_id', 7)}",
            "first_run_id": "run-1",
            "charger_id": charger_id,
            "reservation_id": 7,
            "port_number": 1,
            "id_tag": "ABC",
            "parent_id_tag": None,
            "accepted": True,
            "expires_at": datetime.now(UTC) + timedelta(hours=1),
            "generation": 1,
        }
        row = EventSubscription(**(values | changes))
        await self.database.subscriptions.put(row)
        return row


async def eventually(check: Callable[[], Awaitable[T | None]], within: float = 60) -> T:
    """Poll until the check gives something; what it gives."""
    async with asyncio.timeout(within):
        while not (found := await check()):
            await asyncio.sleep(0.01)
    return found


async def until(condition: Callable[[], object], within: float = 60) -> None:
    """Poll until the condition holds."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)
