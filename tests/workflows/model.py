"""The modelled site (`tests/core/site.py`) around a workflow on a real server that skips time.

The gateway and the database are those of the site, behind the activities' names. Where the core's driver has
a clock of its own, this one follows the workflow's, and an activity answers at once, however long the model
says that it takes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from uuid import uuid4

from temporalio import activity
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowUpdateHandle,
    WorkflowUpdateStage,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.core.checks import POLICY, WAIT, Call
from tests.core.script import Script
from tests.core.site import Fate, Reply, Request
from workflows.messages import (
    CHARGER_OFFLINE,
    IN_DOUBT,
    NOT_SENT,
    CancelAnswer,
    CancelRequest,
    CancelReservationInput,
    CancelReservationResult,
    ChargerBooted,
    ChargerConnected,
    Event,
    InDoubtDetail,
    LookInput,
    NotSentDetail,
    PortReservedByOther,
    PortStatusChanged,
    PortView,
    ReservationEnded,
    ReservationStart,
    ReserveAnswer,
    ReserveNowInput,
    ReserveNowResult,
    ReserveRequest,
    Route,
    Snapshot,
    Subscription,
    Terms,
    TransactionEnded,
    TransactionStarted,
)
from workflows.reservation.workflow import ReservationWorkflow
from workflows.webhook_events import AnnounceInput, UnsubscribeInput

_SIGNALS: dict[type[Event], str] = {
    ChargerConnected: "charger_connected",
    ChargerBooted: "charger_booted",
    PortStatusChanged: "port_status",
    PortReservedByOther: "port_reserved_by_other",
    TransactionStarted: "transaction_started",
    TransactionEnded: "transaction_ended",
    ReservationEnded: "reservation_ended",
}


class ServerDriver:
    """One workflow id on a server, with a worker and a gateway."""

    def __init__(self, env: WorkflowEnvironment, script: Script) -> None:
        self.env = env
        self.client: Client = env.client
        self.workflow_id = f"reservation-1-{uuid4().hex[:8]}"
        self.calls: list[Call] = []
        self.runs: set[str] = set()
        self._queue = f"reservations-{uuid4().hex[:8]}"
        self._gateway_queue = f"gateway-{uuid4().hex[:8]}"
        self.site = script.site(datetime.now(UTC), queue=self._gateway_queue, later=self._later)
        self._cached = 100 if len(script.steps) % 2 else 0  # 0: every workflow task replays the whole history
        self._is_started = False
        self._in_flight: str | None = None
        self._workers: list[Worker] = []
        self._answers: list[asyncio.Task[None]] = []
        self._late_reports = 0

    # --- life ------------------------------------------------------------------------------------------

    async def open(self) -> None:
        self._delivery = asyncio.create_task(self._deliver())
        await self._start_worker()
        gateway = Worker(
            self.client,
            task_queue=self._gateway_queue,
            activities=[self.reserve_now, self.cancel_reservation],
        )
        await gateway.__aenter__()
        self._workers.append(gateway)

    async def close(self) -> None:
        self.site.is_thinking = False
        for task in (self._delivery, *self._answers):
            task.cancel()
        await asyncio.gather(self._delivery, *self._answers, return_exceptions=True)
        for worker in self._workers:
            await worker.__aexit__(None, None, None)

    async def renew(self) -> None:
        """Kill the workflow worker; the next one has nothing cached and replays."""
        if not self.site.is_thinking:
            await self._workers.pop(0).__aexit__(None, None, None)
            await self._start_worker()

    async def lose_the_database(self, _: int) -> None:
        """The core's driver alone tries that: here it would be retried in real time."""

    async def slow_the_database(self, _: int) -> None:
        """As `lose_the_database`."""

    async def _start_worker(self) -> None:
        worker = Worker(
            self.client,
            task_queue=self._queue,
            workflows=[ReservationWorkflow],
            activities=[self.wait_for_charger, self.look_at_charger, self.unsubscribe, self.announce],
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_cached_workflows=self._cached,
        )
        await worker.__aenter__()
        self._workers.insert(0, worker)

    @property
    def handle(self) -> WorkflowHandle[Any, Snapshot]:
        return self.client.get_workflow_handle_for(ReservationWorkflow.run, self.workflow_id)

    # --- callers ---------------------------------------------------------------------------------------

    async def now(self) -> datetime:
        """The time that a request made now is to reckon with."""
        if await self.is_closed():  # the next run's clock starts in the present again
            self.site.reset(datetime.now(UTC))
        return self.site.now

    async def reserve(self, request: ReserveRequest, *, by_signal: bool = False) -> None:
        """Update-with-start, as the API does it, or a signal."""
        if by_signal:
            with _closed_allowed():
                await self.handle.signal("reserve", request)
            return
        start = WithStartWorkflowOperation(
            ReservationWorkflow.run,
            ReservationStart(charger_id=1, ocpp_identity="CP-1", reservation_id=7, policy=POLICY),
            id=self.workflow_id,
            task_queue=self._queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        with self.env.with_time_skipping_disabled():
            update: WorkflowUpdateHandle[ReserveAnswer] = await self.client.start_update_with_start_workflow(
                "reserve",
                request,
                start_workflow_operation=start,
                wait_for_stage=WorkflowUpdateStage.ACCEPTED,
                result_type=ReserveAnswer,
            )
        self._is_started = True
        self._keep_call(request.terms, request.request_id, update.result())

    async def cancel(self, request_id: str, way: str) -> None:
        """Cancel by update, by signal or natively; a closed reservation has nothing to cancel."""
        request = CancelRequest(request_id=request_id, wait=WAIT)
        with _closed_allowed():
            if way == "signal":
                await self.handle.signal("cancel", request)
            elif way == "native":
                await self.handle.cancel()
            else:
                update: WorkflowUpdateHandle[CancelAnswer] = await self.handle.start_update(
                    "cancel",
                    request,
                    wait_for_stage=WorkflowUpdateStage.ACCEPTED,
                    result_type=CancelAnswer,
                )
                self._keep_call(None, request_id, update.result())

    def _keep_call(
        self, terms: Terms | None, request_id: str, answer: Awaitable[ReserveAnswer | CancelAnswer]
    ) -> None:
        site = self.site
        site.disturb()
        call = Call.begin(site, self.calls, terms, request_id)
        self.calls.append(call)

        async def wait() -> None:
            call.answer = await answer

        self._answers.append(asyncio.create_task(wait()))

    async def answers(self) -> None:
        """Wait until clients got what is answered by now."""
        if self._answers:
            await asyncio.wait(self._answers, timeout=20)

    # --- time ------------------------------------------------------------------------------------------

    async def describe(self) -> WorkflowExecutionDescription | None:
        """The workflow as Temporal sees it; also brings the site's clock forward."""
        site = self.site
        if not self._is_started:
            site.now = max(site.now, datetime.now(UTC))
            return None
        description = await self.handle.describe()
        raw = description.raw_description
        self.runs.add(raw.workflow_execution_info.execution.run_id)
        extended = raw.workflow_extended_info
        if extended.HasField("time_skipping_info"):
            moment = extended.time_skipping_info.current_time.ToDatetime().replace(tzinfo=UTC)
        else:
            moment = datetime.now(UTC)
        site.now = max(site.now, moment)
        return description

    async def is_closed(self) -> bool:
        description = await self.describe()
        return description is not None and description.status is not WorkflowExecutionStatus.RUNNING

    async def quiet(self) -> bool:
        """Wait until nothing moves without time or a word from outside; whether the workflow is closed."""
        deadline = asyncio.get_running_loop().time() + 30
        quiet_before = False
        while True:
            await self._until_delivered()
            is_quiet, is_closed = self._stillness(await self.describe())
            if is_closed or (is_quiet and quiet_before and not self._late_reports):
                self.site.run_due()
                if not self.site.has_deliverable:
                    return is_closed
            quiet_before = is_quiet
            assert asyncio.get_running_loop().time() < deadline, "it never came to rest"
            await asyncio.sleep(0.01)

    def _stillness(self, description: WorkflowExecutionDescription | None) -> tuple[bool, bool]:
        if description is None:
            return True, False
        if description.status is not WorkflowExecutionStatus.RUNNING:
            return True, True
        raw = description.raw_description
        backing_off = PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
        moving = [
            pending
            for pending in raw.pending_activities
            if not (
                (pending.activity_type.name == "WaitForCharger")
                and pending.state == backing_off
                and pending.attempt > 1
            )
            and not (self.site.is_thinking and self._in_flight == pending.activity_type.name)
        ]
        # A run that goes on as another has for a moment only its first event.
        begins = raw.workflow_execution_info.history_length < 3
        return not moving and not begins and not raw.HasField("pending_workflow_task"), False

    async def skip(self, duration: timedelta) -> None:
        """Let time run on; what happens at the site by itself happens when it is due."""
        site = self.site
        if site.is_thinking:
            site.let_the_charger_think()
        closed = await self.quiet()
        until = site.now + duration
        while not closed and site.now < until:
            step = until - site.now
            if (due := site.next_due) is not None:
                step = min(step, due - site.now + timedelta(milliseconds=100))
            await self.env.fast_forward(self.handle, max(step, timedelta(seconds=1)))
            closed = await self.quiet()
        site.now = max(site.now, until)
        site.run_due()

    def _later(self, delay: timedelta, call: Callable[[], None]) -> None:
        """Right after an answer, in real time; else by the site's clock."""
        if delay > timedelta(seconds=1):
            self.site.put_off(delay, call)
            return

        def report() -> None:
            self._late_reports -= 1
            call()

        self._late_reports += 1
        asyncio.get_running_loop().call_later(delay.total_seconds(), report)

    # --- events -----------------------------------------------------------------------------------------

    async def _deliver(self) -> None:
        while True:
            for event in self.site.take_events():
                with _closed_allowed():
                    await self.handle.signal(_SIGNALS[type(event)], event)
            await asyncio.sleep(0.005)

    async def _until_delivered(self) -> None:
        while self.site.has_deliverable:
            await asyncio.sleep(0.005)

    # --- activities ------------------------------------------------------------------------------------

    @activity.defn(name="ReserveNow")
    async def reserve_now(self, request: ReserveNowInput) -> ReserveNowResult:
        result = await self._frame("ReserveNow", request)
        assert isinstance(result, ReserveNowResult)
        return result

    @activity.defn(name="CancelReservation")
    async def cancel_reservation(self, request: CancelReservationInput) -> CancelReservationResult:
        result = await self._frame("CancelReservation", request)
        assert isinstance(result, CancelReservationResult)
        return result

    async def _frame(self, action: str, request: Request) -> Any:
        site = self.site
        if self._in_flight is not None:
            site.faults.append(f"{action} inside {self._in_flight}")
        self._in_flight = action
        beating = asyncio.create_task(_beat())
        try:
            await self.describe()
            fate = site.write(request)
            reply = fate if isinstance(fate, Reply) else await self._answer(request, fate)
        finally:
            beating.cancel()
            self._in_flight = None
        outcome = reply.outcome
        if isinstance(outcome, NotSentDetail):
            _fail(NOT_SENT, outcome)
        if isinstance(outcome, InDoubtDetail):
            if outcome.cause == "gateway_lost":
                await asyncio.Event().wait()  # no heartbeat, no answer
            _fail(IN_DOUBT, outcome)
        return outcome

    async def _answer(self, request: Request, fate: Fate | None) -> Reply:
        site, epoch = self.site, self.site.epoch
        reply = site.answer(request, fate)
        await self._until_delivered()
        if isinstance(reply.outcome, InDoubtDetail):
            return reply
        while site.is_thinking:
            await asyncio.sleep(0.01)
        if not site.is_online or site.epoch != epoch:
            return Reply(InDoubtDetail(cause="socket_closed", after=timedelta(seconds=20)))
        return Reply(site.receive(request, reply.outcome))

    @activity.defn(name="WaitForCharger")
    async def wait_for_charger(self, subscription: Subscription) -> Route:
        route = self.site.wait_for_charger(subscription)
        if route is None:
            raise ApplicationError("offline", type=CHARGER_OFFLINE, category=ApplicationErrorCategory.BENIGN)
        return route

    @activity.defn(name="LookAtCharger")
    async def look_at_charger(self, look: LookInput) -> PortView:
        await self.describe()
        return self.site.look_at_charger(look.port_number)

    @activity.defn(name="Unsubscribe")
    async def unsubscribe(self, request: UnsubscribeInput) -> bool:
        return self.site.unsubscribe(request)

    @activity.defn(name="Announce")
    async def announce(self, request: AnnounceInput) -> None:
        self.site.store_webhook_events(request.events)


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(0.3)


@contextmanager
def _closed_allowed() -> Iterator[None]:
    """A workflow that has closed meanwhile, or never began, is no error."""
    try:
        yield
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


def _fail(kind: str, detail: NotSentDetail | InDoubtDetail) -> NoReturn:
    raise ApplicationError(
        kind, detail, type=kind, non_retryable=True, category=ApplicationErrorCategory.BENIGN
    )
