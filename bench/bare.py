"""The bare Temporal path, the yardstick: what a reservation costs when nothing but Temporal keeps it.

HTTP → update-with-start → workflow on its own worker → activity on the gateway's queue → websocket → answer.
Three processes as Berth has them, the same libraries, event loop and converter. It knows no database, no
keys, no lost answers, no events and no states.

    python -c 'from bench.bare import main; main()' api|worker|gateway [PORT]
"""

import asyncio
import sys
from datetime import datetime, timedelta
from uuid import uuid4

import orjson
import uvicorn
import uvloop
from fastapi import FastAPI
from pydantic import BaseModel
from temporalio import activity, workflow
from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import (
    RetryPolicy,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
)
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from berth.temporal.client import connect
from workflows.names import EXPIRES_AT, RESERVATION_ID, RESERVATION_STATE

QUEUE = "bare"
GATEWAY_QUEUE = "bare-gateway"


class Order(BaseModel):
    """Body of the request, input of workflow and activity."""

    charger: str
    port_number: int
    id_tag: str
    reservation_id: int
    expires_at: datetime


@workflow.defn
class BareReservation:
    """Reserve, answer, sleep until expiry."""

    @workflow.init
    def __init__(self, order: Order) -> None:
        self._status: str | None = None

    @workflow.run
    async def run(self, order: Order) -> str:
        """The charger's status, at expiry."""
        self._status = await workflow.execute_activity_method(
            Gateway.reserve_now,
            order,
            task_queue=GATEWAY_QUEUE,
            schedule_to_start_timeout=timedelta(seconds=5),
            start_to_close_timeout=timedelta(seconds=50),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self._status == "Accepted":
            await workflow.sleep(order.expires_at - workflow.now())
        return self._status

    @workflow.update
    async def reserve(self) -> str:
        """The charger's status, as soon as it is known."""
        await workflow.wait_condition(lambda: self._status is not None)
        return self._status or ""


class Gateway:
    """The chargers' sockets, and the activity that uses them."""

    def __init__(self) -> None:
        self._sockets: dict[str, ServerConnection] = {}
        self._answers: dict[str, asyncio.Future[str]] = {}

    async def hold(self, socket: ServerConnection) -> None:
        """Answer a charger's calls, and hand over its answers."""
        self._sockets[socket.request.path.rpartition("/")[2] if socket.request else ""] = socket
        async for text in socket:
            kind, message_id, *rest = orjson.loads(text)
            if kind == 2:
                answer = orjson.dumps([3, message_id, _answer(rest[0])])
                await socket.send(answer, text=True)
            elif waiting := self._answers.pop(message_id, None):
                waiting.set_result(rest[0]["status"])

    @activity.defn
    async def reserve_now(self, order: Order) -> str:
        """Send ReserveNow; the charger's status."""
        message_id = str(uuid4())
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._answers[message_id] = answer
        payload = {
            "connectorId": order.port_number,
            "expiryDate": f"{order.expires_at:%Y-%m-%dT%H:%M:%SZ}",
            "idTag": order.id_tag,
            "reservationId": order.reservation_id,
        }
        call = orjson.dumps([2, message_id, "ReserveNow", payload])
        await self._sockets[order.charger].send(call, text=True)
        return await answer


def _answer(action: str) -> dict[str, str | int]:
    if action == "BootNotification":
        return {"status": "Accepted", "currentTime": "2026-01-01T00:00:00Z", "interval": 300}
    return {"currentTime": "2026-01-01T00:00:00Z"} if action == "Heartbeat" else {}


def create_app(client: Client) -> FastAPI:
    """POST /reservations."""
    app = FastAPI()

    @app.post("/reservations")
    async def reserve(order: Order) -> dict[str, str]:
        start = WithStartWorkflowOperation(
            BareReservation.run,
            order,
            id=f"bare-{order.reservation_id}",
            task_queue=QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(RESERVATION_ID, order.reservation_id),
                    SearchAttributePair(RESERVATION_STATE, "requested"),
                    SearchAttributePair(EXPIRES_AT, order.expires_at),
                ]
            ),
        )
        status = await client.execute_update_with_start_workflow(
            BareReservation.reserve, start_workflow_operation=start
        )
        return {"status": status}

    return app


async def run_api(port: int) -> None:
    """The API's process."""
    config = uvicorn.Config(create_app(await connect(None)), port=port, access_log=False, log_level="warning")
    await uvicorn.Server(config).serve()


async def run_worker() -> None:
    """The workflow worker's process."""
    await Worker(
        await connect(None),
        task_queue=QUEUE,
        workflows=[BareReservation],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_cached_workflows=2000,
    ).run()


async def run_gateway(port: int) -> None:
    """The gateway's process."""
    gateway = Gateway()
    worker = Worker(
        await connect(None),
        task_queue=GATEWAY_QUEUE,
        activities=[gateway.reserve_now],
        max_concurrent_activities=2000,
    )
    async with serve(gateway.hold, "127.0.0.1", port, subprotocols=[Subprotocol("ocpp1.6")]):
        await worker.run()


def main() -> None:
    """Runs the process that the command line names."""
    _, process, *port = sys.argv
    match process:
        case "api":
            uvloop.run(run_api(int(port[0])))
        case "worker":
            uvloop.run(run_worker())
        case "gateway":
            uvloop.run(run_gateway(int(port[0])))
