"""One reservation, one scripted charger, skipped time: what the stories of this folder are told with."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, TypeVar
from uuid import uuid4

from temporalio import activity
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client, WithStartWorkflowOperation, WorkflowExecutionStatus, WorkflowHandle
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import TimeSkipper, WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from cli.up.temporal_server import TIME_SKIPPING
from workflows.change_password import ChangePasswordWorkflow
from workflows.forward_cancel import ForwardCancelWorkflow
from workflows.messages import (
    CHARGER_OFFLINE,
    IN_DOUBT,
    NOT_SENT,
    CancelAnswer,
    CancelRequest,
    CancelReservationInput,
    CancelReservationResult,
    CancelStatus,
    ChangePasswordInput,
    ChangePasswordResult,
    ChargerConnected,
    Event,
    InDoubtDetail,
    LookInput,
    NotSentDetail,
    PasswordStatus,
    Policy,
    PortView,
    ReservationStart,
    ReserveAnswer,
    ReserveNowInput,
    ReserveNowResult,
    ReserveRequest,
    ReserveStatus,
    Route,
    Snapshot,
    Subscription,
    Terms,
)
from workflows.names import CHARGER_ID, RESERVATION_ID, RESERVATION_STATE
from workflows.reservation.workflow import ReservationWorkflow
from workflows.webhook_events import AnnounceInput, UnsubscribeInput, WebhookEvent, active_event

T = TypeVar("T")
WORKFLOWS = [ReservationWorkflow, ForwardCancelWorkflow, ChangePasswordWorkflow]
Answer = ReserveNowResult | CancelReservationResult | ChangePasswordResult | NotSentDetail | InDoubtDetail

ACCEPTED = ReserveNowResult(status=ReserveStatus.ACCEPTED)
OCCUPIED = ReserveNowResult(status=ReserveStatus.OCCUPIED)
CANCELLED = CancelReservationResult(status=CancelStatus.ACCEPTED)
UNKNOWN_ID = CancelReservationResult(status=CancelStatus.REJECTED)
SILENCE = InDoubtDetail(cause="timeout", after=timedelta(seconds=30))
SOCKET_DIED = InDoubtDetail(cause="socket_closed", after=timedelta(seconds=1))
NOT_CONNECTED = NotSentDetail(cause="not_connected")

# Activity time-outs run in real time even while workflow time is skipped.
QUICK = Policy(
    schedule_to_start=timedelta(seconds=1),
    heartbeat_timeout=timedelta(seconds=2),
    quiet=timedelta(milliseconds=100),
)


SERVER_CONFIG = TIME_SKIPPING | {
    "history.transferProcessorMaxPollRPS": "5000",
    "history.timerProcessorMaxPollRPS": "5000",
    "history.visibilityProcessorMaxPollRPS": "5000",
    "history.timerProcessorMaxTimeShift": '"10ms"',  # each skip costs this much
    "matching.wv.VersionDrainageStatusVisibilityGracePeriod": '"100ms"',
    "matching.wv.VersionDrainageStatusRefreshInterval": '"100ms"',
    "limit.historyCount.suggestContinueAsNew": "400",
}

DEV_SERVER = [
    word for key, value in SERVER_CONFIG.items() for word in ("--dynamic-config-value", f"{key}={value}")
]


class ScriptedCharger:
    """Answers ReserveNow and CancelReservation from a script, then as a charger that behaves.

    Also stands for the database: whether the charger is online and what its port shows.
    """

    def __init__(self, queue: str) -> None:
        self.route: Route | None = Route(queue=queue, epoch=1)
        self.next_route: Route | None = None
        self.protocol = "ocpp1.6"
        self.status = "Available"
        self.ready_for = timedelta(hours=1)
        self.reserve_answers: deque[Answer] = deque()
        self.cancel_answers: deque[Answer] = deque()
        self.password_answer: Answer = ChangePasswordResult(status=PasswordStatus.ACCEPTED)
        self.frames: list[
            str
        ] = []  # what reached the charger: "ReserveNow 10:00 port 1", "CancelReservation"
        self.reserved: list[ReserveNowInput] = []
        self.cancels_asked = 0
        self.waits = 0
        self.listened_for: list[Terms] = []
        self.listeners: dict[str, int] = {}  # generations, by the runs they are of
        self.gate = asyncio.Event()  # closed: the charger thinks about the frame it was sent
        self.gate.set()
        self.memory_gate = asyncio.Event()  # closed: the database is slow to forget
        self.memory_gate.set()
        self.look_gate = asyncio.Event()  # closed: the database does not answer looks
        self.look_gate.set()
        self.looks_waiting = 0  # how many looks it did not answer
        self.telling = asyncio.Event()  # the last step has begun
        self.thinking = asyncio.Event()
        self.holds: Terms | None = None
        self.announced: list[WebhookEvent] = []
        self.announcing_fails = False
        self.gone = False  # the gateway has no socket any more, whatever the workflow believes

    @activity.defn(name="ReserveNow")
    async def reserve_now(self, request: ReserveNowInput) -> ReserveNowResult:
        self.reserved.append(request)
        self.thinking.set()
        await self.gate.wait()
        answer = self.reserve_answers.popleft() if self.reserve_answers else ACCEPTED
        if self.gone:
            answer = NOT_CONNECTED
        if not isinstance(answer, NotSentDetail) and getattr(answer, "sent", True):
            self.frames.append("ReserveNow")
            self.listeners[request.first_run_id] = request.generation
        if answer == ACCEPTED:
            self.holds = request.terms
            if self.announcing_fails:
                answer = ACCEPTED.model_copy(update={"is_event_lost": True})
            elif event := active_event(request):
                self.announced.append(event)
        return _said(answer, ReserveNowResult)

    @activity.defn(name="CancelReservation")
    async def cancel_reservation(self, request: CancelReservationInput) -> CancelReservationResult:
        self.cancels_asked += 1
        await self.gate.wait()
        answer = (
            self.cancel_answers.popleft()
            if self.cancel_answers
            else (CANCELLED if self.holds else UNKNOWN_ID)
        )
        if self.gone:
            answer = NOT_CONNECTED
        if not isinstance(answer, NotSentDetail):
            self.frames.append("CancelReservation")
            self.holds = None
        return _said(answer, CancelReservationResult)

    @activity.defn(name="ChangePassword")
    async def change_password(self, request: ChangePasswordInput) -> ChangePasswordResult:
        self.frames.append("ChangePassword")
        return _said(self.password_answer, ChangePasswordResult)

    @activity.defn(name="WaitForCharger")
    async def wait_for_charger(self, subscription: Subscription) -> Route:
        self.waits += 1
        self.listened_for.append(subscription.terms)
        self.listeners.setdefault(subscription.first_run_id, 0)
        if self.route is None:
            raise ApplicationError("offline", type=CHARGER_OFFLINE, category=ApplicationErrorCategory.BENIGN)
        return self.route

    @activity.defn(name="LookAtCharger")
    async def look_at_charger(self, look: LookInput) -> PortView:
        if not self.look_gate.is_set():
            self.looks_waiting += 1
            await self.look_gate.wait()
        return PortView(
            route=self.route, ready_for=self.ready_for, protocol=self.protocol, status=self.status
        )

    @activity.defn(name="Unsubscribe")
    async def unsubscribe(self, request: UnsubscribeInput) -> bool:
        self.telling.set()
        await self.memory_gate.wait()
        self.announced += request.events
        if self.listeners.get(request.first_run_id, 0) <= request.generation:
            self.listeners.pop(request.first_run_id, None)
        return True

    @activity.defn(name="Announce")
    async def announce(self, request: AnnounceInput) -> None:
        if self.announcing_fails:
            raise ApplicationError("the database is away")
        self.announced += request.events

    @property
    def events(self) -> list[str]:
        """The types of what webhooks were told, in order."""
        return [one.type.value for one in self.announced]


def _said(answer: Answer, expected: type[T]) -> T:
    if isinstance(answer, NotSentDetail):
        raise ApplicationError("not sent", answer, type=NOT_SENT, non_retryable=True)
    if isinstance(answer, InDoubtDetail):
        raise ApplicationError("in doubt", answer, type=IN_DOUBT, non_retryable=True)
    assert isinstance(answer, expected)
    return answer


class World:
    """A worker, a gateway's queue and one reservation that stands still until the test moves time.

    With a `queue` the test brings the worker itself.
    """

    def __init__(self, env: WorkflowEnvironment | TimeSkipper, queue: str | None = None) -> None:
        self.env = env
        self.client: Client = env.client
        self.queue = queue or f"reservations-{uuid4().hex[:8]}"
        self._has_worker = queue is None
        self.gateway_queue = f"gateway-{uuid4().hex[:8]}"
        self.charger = ScriptedCharger(self.gateway_queue)
        self.workflow_id = f"reservation-1-{uuid4().hex[:8]}"
        self.opened_at = datetime.now(UTC).replace(microsecond=0)
        self._workers: list[Worker] = []

    async def __aenter__(self) -> "World":
        charger = self.charger
        self._workers = [
            Worker(
                self.client,
                task_queue=self.gateway_queue,
                activities=[charger.reserve_now, charger.cancel_reservation, charger.change_password],
            )
        ]
        if self._has_worker:
            self._workers.insert(0, self._worker())
        for worker in self._workers:
            await worker.__aenter__()
        return self

    def _worker(self) -> Worker:
        charger = self.charger
        return Worker(
            self.client,
            task_queue=self.queue,
            workflows=WORKFLOWS,
            activities=[
                charger.wait_for_charger,
                charger.look_at_charger,
                charger.unsubscribe,
                charger.announce,
            ],
            workflow_runner=UnsandboxedWorkflowRunner(),
            debug_mode=True,  # else a busy machine looks like a deadlock: two seconds of wall clock
        )

    @asynccontextmanager
    async def worker_away(self) -> AsyncIterator[None]:
        """Nobody works on the reservation, until another worker comes that knows nothing of it."""
        await self._workers[0].shutdown()
        yield
        self._workers[0] = self._worker()
        await self._workers[0].__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.charger.gate.set()
        self.charger.memory_gate.set()
        self.charger.look_gate.set()
        for worker in self._workers:
            await worker.__aexit__(kind, error, trace)

    @property
    def handle(self) -> WorkflowHandle[Any, Snapshot]:
        return self.client.get_workflow_handle_for(ReservationWorkflow.run, self.workflow_id)

    def terms(self, *, hours: float = 1, port: int | None = 1, tag: str = "RFID-1") -> Terms:
        return Terms(
            port_id=None if port is None else 10 + port,
            port_number=port,
            expires_at=self.opened_at + timedelta(hours=hours),
            id_tag=tag,
        )

    async def reserve(
        self,
        terms: Terms | None = None,
        *,
        wait: timedelta = timedelta(seconds=35),
        skipping: bool = False,
        policy: Policy = QUICK,
        **request: Any,
    ) -> ReserveAnswer:
        """Update-with-start, as the API does it. Time stands still unless `skipping`."""
        terms = terms or self.terms()
        ask = ReserveRequest(terms=terms, route=self.charger.route, wait=wait, **request)
        start = WithStartWorkflowOperation(
            ReservationWorkflow.run,
            ReservationStart(charger_id=1, ocpp_identity="CP-1", reservation_id=7, policy=policy),
            id=self.workflow_id,
            task_queue=self.queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(CHARGER_ID, 1),
                    SearchAttributePair(RESERVATION_ID, 7),
                    SearchAttributePair(RESERVATION_STATE, "requested"),
                ]
            ),
        )
        if skipping:
            return await self._update(start, ask)
        with self.env.with_time_skipping_disabled():
            return await self._update(start, ask)

    async def _update(
        self, start: WithStartWorkflowOperation[Any, Snapshot], ask: ReserveRequest
    ) -> ReserveAnswer:
        answer: ReserveAnswer = await self.client.execute_update_with_start_workflow(
            "reserve", ask, start_workflow_operation=start, result_type=ReserveAnswer
        )
        return answer

    async def cancel(self, wait: timedelta = timedelta(seconds=35)) -> CancelAnswer:
        answer: CancelAnswer = await self.handle.execute_update(
            "cancel", CancelRequest(wait=wait), result_type=CancelAnswer
        )
        return answer

    async def shown_details(self) -> list[str]:
        """The lines that the Temporal UI shows of the reservation."""
        metadata: WorkflowMetadata = await self.handle.query(
            "__temporal_workflow_metadata", result_type=WorkflowMetadata
        )
        return str(metadata.current_details).splitlines()

    async def snapshot(self) -> Snapshot:
        while True:
            try:
                return await self.handle.query(ReservationWorkflow.snapshot)
            except RPCError as error:
                # A run that continues another is let wait for a second, however much time is skipped.
                if error.status is not RPCStatusCode.FAILED_PRECONDITION:
                    raise
            await asyncio.sleep(0.05)

    async def now(self) -> datetime:
        """The reservation's own clock."""
        return await self.env.get_current_time(self.handle)

    async def skip(self, **duration: float) -> None:
        """Let the reservation's clock run on by `duration`; it must not end meanwhile."""
        assert await self.env.fast_forward(self.handle, timedelta(**duration)), "it ended before"

    async def end(self) -> Snapshot:
        """Let time run on until the reservation is over."""
        if (await self.handle.describe()).status == WorkflowExecutionStatus.RUNNING:
            await self.env.fast_forward(self.handle)
        return await self.handle.result()

    async def tell(self, signal: str, event: Event) -> None:
        """Report an event, as a gateway would."""
        await self.handle.signal(signal, event)

    async def until(self, condition: Callable[[Snapshot], bool], within: float = 60) -> Snapshot:
        """Poll the snapshot until `condition` holds."""
        deadline = asyncio.get_running_loop().time() + within
        while True:
            snapshot = await self.snapshot()
            if condition(snapshot):
                return snapshot
            assert asyncio.get_running_loop().time() < deadline, f"never came; last: {snapshot}"
            await asyncio.sleep(0.05)

    def go_offline(self) -> None:
        """Take the charger off line; the workflow's own route fails first, as after a lost socket."""
        self.charger.route, self.charger.gone = None, True

    async def come_online(self) -> None:
        """Let the charger connect on a new socket, and the gateway say so."""
        route = Route(queue=self.gateway_queue, epoch=len(self.charger.reserved) + 2)
        self.charger.route, self.charger.gone = route, False
        await self.tell("charger_connected", ChargerConnected(at=await self.now(), route=route))

    async def until_started(self) -> None:
        """Wait until the workflow exists."""
        await self._poll(self._exists)

    async def until_asked(self, count: int, within: float = 10) -> None:
        """Wait until ReserveNow was asked of the charger `count` times."""
        await self._poll(lambda: _ready(len(self.charger.reserved) >= count), within)

    async def until_cancel_asked(self, count: int = 1) -> None:
        """Wait until CancelReservation was asked of the charger `count` times."""
        await self._poll(lambda: _ready(self.charger.cancels_asked >= count))

    async def until_commands(self, count: int) -> None:
        """Wait until `count` commands wait in the workflow's queue."""
        await self._poll(lambda: self._has_commands(count))

    async def _exists(self) -> bool:
        try:
            await self.handle.describe()
        except RPCError:
            return False
        return True

    async def _has_commands(self, count: int) -> bool:
        return (await self.snapshot()).commands_waiting >= count

    async def _poll(self, condition: Callable[[], Awaitable[bool]], within: float = 60) -> None:
        deadline = asyncio.get_running_loop().time() + within
        while not await condition():
            assert asyncio.get_running_loop().time() < deadline, "never came"
            await asyncio.sleep(0.02)


async def _ready(value: bool) -> bool:
    return value
