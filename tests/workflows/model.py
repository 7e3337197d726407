"""A site to live a reservation at: one modelled charger, its gateway, the directory, a Temporal worker.

The charger is the simulator's own table of reservations with the personality of some make; what it tells goes
through a gateway that passes on what the real one would. Every frame's fate can be planned. Nothing here
decides anything about a reservation: `test_model.py` compares what the workflow says with what is so.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NoReturn, cast
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
from workflows.revision import REVISION

from simulator.personality import STATUSES, Personality
from simulator.ports import Phase, Port
from simulator.reservations import Reservation, ReservationTable
from workflows.messages import (
    CHARGER_OFFLINE,
    IN_DOUBT,
    NOT_SENT,
    CancelAnswer,
    CancelRequest,
    CancelReservationInput,
    CancelReservationResult,
    CancelStatus,
    ChargerBooted,
    ChargerConnected,
    Event,
    InDoubtDetail,
    Listener,
    LookInput,
    NotSentDetail,
    Policy,
    PortStatusChanged,
    PortView,
    ReservationEnded,
    ReservationStart,
    ReserveAnswer,
    ReserveNowInput,
    ReserveNowResult,
    ReserveRequest,
    ReserveStatus,
    Route,
    Snapshot,
    Terms,
    TransactionEnded,
    TransactionStarted,
)
from workflows.reservation.workflow import ReservationWorkflow
from workflows.webhook_events import AnnounceInput, Announcement, LastStep, accepted

OUR_ID = 7
POLICY = Policy(
    linger=timedelta(hours=2),
    schedule_to_start=timedelta(seconds=2),
    heartbeat_timeout=timedelta(seconds=2),
)
WAIT = timedelta(seconds=35)
_SIGNALS: dict[type[Event], str] = {
    ChargerConnected: "charger_connected",
    ChargerBooted: "charger_booted",
    PortStatusChanged: "port_status",
    TransactionStarted: "transaction_started",
    TransactionEnded: "transaction_ended",
    ReservationEnded: "reservation_ended",
}
_PARENTS = {"CHILD": "FAMILY"}
_OCCUPIED_ON_201 = frozenset({"Preparing", "Charging", "Finishing"})


class Fate(StrEnum):
    """What becomes of one frame."""

    NOT_SENT = "not sent"
    LOST = "lost on the way, the socket stays"
    UNANSWERED = "done by the charger, the answer lost, the socket stays"
    DIES_BEFORE = "the socket dies before the charger reads it"
    DIES_AFTER = "done by the charger, then the socket dies"
    TROUBLE = "done by the charger, answered InternalError"
    NOT_BOOTED = "answered SecurityError"
    GATEWAY_KILLED = "done by the charger, and the gateway is gone"


@dataclass
class Call:
    """One call of the workflow by a client."""

    terms: Terms | None  # None: a cancel
    at: datetime
    told_from: int  # index into `Site.told`
    was_lost: bool
    answer: asyncio.Task[ReserveAnswer | CancelAnswer]
    is_checked: bool = False


@dataclass
class Telling:
    """Events on their way to the workflow, in order."""

    queue: "asyncio.Queue[Event]" = field(default_factory=asyncio.Queue)
    last: Event | None = None
    count: int = 0


class Site:
    """Everything around one reservation."""

    def __init__(self, env: WorkflowEnvironment, personality: Personality, version: str, cached: int) -> None:
        self.env = env
        self.client: Client = env.client
        self.personality = personality
        self.version = version
        self.workflow_id = f"reservation-1-{uuid4().hex[:8]}"
        self.gate = asyncio.Event()
        self.gate.set()
        self.plan: deque[Fate] = deque()
        self.calls: list[Call] = []
        self.runs: set[str] = set()
        self.overlaps: list[str] = []
        self.started = False
        self._cached = cached
        self._queue = f"reservations-{uuid4().hex[:8]}"
        self._gateway_queue = f"gateway-{uuid4().hex[:8]}"
        self._in_flight: str | None = None
        self._workers: list[Worker] = []
        self._telling = Telling()
        self._late_reports = 0
        self._new_charger()

    def _new_charger(self) -> None:
        self.now = datetime.now(UTC)
        self.ports = [Port(1), Port(2)]
        self.table = ReservationTable(self.personality, self.ports, clock=lambda: self.now)
        self.is_online = True
        self.epoch = 1
        self.ready_since = self.now - timedelta(hours=1)
        self.calm_since = self.now
        self.online_since = self.now
        self.listener: Listener | None = None
        self.shown = {1: "Available", 2: "Available"}  # as the directory knows it
        self.said: set[ReserveStatus] = set()  # to ReserveNow
        self.lost = False  # the charger dropped ours without being told to
        self.announced: list[Announcement] = []
        self.told: list[tuple[Reservation, ...]] = [()]  # everything it ever held of ours, in order
        self._reported = dict(self.shown)  # what the charger believes it has told
        self._sessions: dict[int, str] = {}
        self._kept: list[Event] = []  # transaction messages of an outage
        self._telling.count = 0
        self._telling.last = None

    # --- life ------------------------------------------------------------------------------------------

    async def open(self) -> None:
        self._teller = asyncio.create_task(self._tell())
        await self._start_worker()
        gateway = Worker(
            self.client,
            task_queue=self._gateway_queue,
            activities=[self.reserve_now, self.cancel_reservation],
        )
        await gateway.__aenter__()
        self._workers.append(gateway)

    async def close(self) -> None:
        self.gate.set()
        self._teller.cancel()
        for call in self.calls:
            call.answer.cancel()
        await asyncio.gather(self._teller, *(call.answer for call in self.calls), return_exceptions=True)
        for worker in self._workers:
            await worker.__aexit__(None, None, None)

    async def restart_worker(self) -> None:
        """Kill the workflow worker; the next one has nothing cached and replays."""
        await self._workers.pop(0).__aexit__(None, None, None)
        await self._start_worker()

    async def _start_worker(self) -> None:
        worker = Worker(
            self.client,
            task_queue=self._queue,
            workflows=[ReservationWorkflow],
            activities=[
                self.wait_for_charger,
                self.look_at_charger,
                self.forget_listener,
                self.announce,
            ],
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_cached_workflows=self._cached,
        )
        await worker.__aenter__()
        self._workers.insert(0, worker)

    @property
    def handle(self) -> WorkflowHandle[Any, Snapshot]:
        return self.client.get_workflow_handle_for(ReservationWorkflow.run, self.workflow_id)

    @property
    def route(self) -> Route | None:
        return Route(queue=self._gateway_queue, epoch=self.epoch) if self.is_online else None

    # --- callers ---------------------------------------------------------------------------------------

    async def reserve(self, terms: Terms, *, hold: bool = False, reject: bool = False) -> None:
        """Update-with-start, as the API does it."""
        if await self.is_closed():
            self._new_charger()  # the new run's clock starts in the present again
        request = ReserveRequest(
            terms=terms,
            route=self.route,
            wait=WAIT,
            hold_while_offline=hold,
            offline_policy="reject" if reject else "retry",
        )
        start = WithStartWorkflowOperation(
            ReservationWorkflow.run,
            ReservationStart(
                charger_id=1,
                ocpp_identity="CP-1",
                reservation_id=OUR_ID,
                policy=POLICY,
                revision=REVISION,
            ),
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
        self.started = True
        self._keep_call(terms, update.result())

    async def cancel(self, way: str) -> None:
        """Cancel by update, by signal or natively; a closed reservation has nothing to cancel."""
        try:
            if way == "signal":
                await self.handle.signal("cancel")
            elif way == "native":
                await self.handle.cancel()
            else:
                update: WorkflowUpdateHandle[CancelAnswer] = await self.handle.start_update(
                    "cancel",
                    CancelRequest(wait=WAIT),
                    wait_for_stage=WorkflowUpdateStage.ACCEPTED,
                    result_type=CancelAnswer,
                )
                self._keep_call(None, update.result())
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    def _keep_call(self, terms: Terms | None, answer: Awaitable[ReserveAnswer | CancelAnswer]) -> None:
        async def wait() -> ReserveAnswer | CancelAnswer:
            return await answer

        self.disturb()
        call = Call(terms, self.now, len(self.told) - 1, self.lost, asyncio.create_task(wait()))
        self.calls.append(call)

    # --- time ------------------------------------------------------------------------------------------

    async def describe(self) -> WorkflowExecutionDescription | None:
        """The workflow as Temporal sees it; also brings the charger's clock forward."""
        if not self.started:
            self.now = max(self.now, datetime.now(UTC))
            return None
        description = await self.handle.describe()
        raw = description.raw_description
        self.runs.add(raw.workflow_execution_info.execution.run_id)
        extended = raw.workflow_extended_info
        if extended.HasField("time_skipping_info"):
            moment = extended.time_skipping_info.current_time.ToDatetime().replace(tzinfo=UTC)
        else:
            moment = datetime.now(UTC)
        self.now = max(self.now, moment)
        return description

    async def is_closed(self) -> bool:
        description = await self.describe()
        return description is not None and description.status is not WorkflowExecutionStatus.RUNNING

    async def quiet(self) -> bool:
        """Wait until nothing moves without time or a word from outside; whether the workflow is closed."""
        deadline = asyncio.get_running_loop().time() + 30
        quiet_before = False
        while True:
            await self._telling.queue.join()
            is_quiet, is_closed = self._stillness(await self.describe())
            if is_closed or (is_quiet and quiet_before and not self._late_reports):
                self.expire()
                if self._telling.queue.empty():
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
        is_thinking = not self.gate.is_set()
        backing_off = PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
        moving = [
            pending
            for pending in raw.pending_activities
            if not (
                (pending.activity_type.name == "WaitForCharger")
                and pending.state == backing_off
                and pending.attempt > 1
            )
            and not (is_thinking and self._in_flight == pending.activity_type.name)
        ]
        # A run that goes on as another has for a moment only its first event.
        begins = raw.workflow_execution_info.history_length < 3
        return not moving and not begins and not raw.HasField("pending_workflow_task"), False

    async def skip(self, duration: timedelta) -> None:
        """Let time run on; the charger's own timers go off when they are due."""
        self.gate.set()
        closed = await self.quiet()
        until = self.now + duration
        while not closed and self.now < until:
            step = until - self.now
            timer = self.table.next_expiry()
            if timer is not None and timer > self.now:
                step = min(step, timer - self.now + timedelta(milliseconds=100))
            await self.env.fast_forward(self.handle, max(step, timedelta(seconds=1)))
            closed = await self.quiet()
        self.now = max(self.now, until)
        self.expire()

    def disturb(self) -> None:
        """Something happened from outside: the workflow may need a while to come to terms with it."""
        self.calm_since = self.now

    # --- what the charger holds --------------------------------------------------------------------

    @property
    def ours(self) -> tuple[Reservation, ...]:
        """What the charger holds under our number."""
        return tuple(held for held in self.table.held if held.reservation_id == OUR_ID)

    def is_as_agreed(self, held: tuple[Reservation, ...], terms: Terms) -> bool:
        """Whether `held` is exactly one reservation, with `terms`."""
        port_number = terms.port_number
        if port_number is None and self.personality.whole_charger == "first_port":
            port_number = 1
        return [(one.port_number, one.id_tag, one.expires_at, one.parent_id_tag) for one in held] == [
            (port_number, terms.id_tag, terms.expires_at, terms.parent_id_tag)
        ]

    @contextmanager
    def _by_itself(self) -> Iterator[None]:
        """What happens in here, nobody commanded."""
        had = bool(self.ours)
        yield
        self._note_held()
        if had and not self.ours:
            self.lost = True
            self.disturb()

    def _note_held(self) -> None:
        if self.ours != self.told[-1]:
            self.told.append(self.ours)

    def expire(self) -> None:
        """The charger looks at its clock."""
        with self._by_itself():
            gone = self.table.expire()
        if not gone:
            return
        if self.personality.available_on_expiry:
            self._report()
        else:
            self._reported = {port.number: self._status(port.number) for port in self.ports}
        if any(one.reservation_id == OUR_ID for one in gone) and self.personality.expired_update:
            self._update("Expired")

    # --- what happens at the charger -------------------------------------------------------------------

    def disconnect(self) -> None:
        self.disturb()
        self.is_online = False

    def reconnect(self, *, rebooted: bool = False) -> None:
        self.disturb()
        p = self.personality
        with self._by_itself():
            self.table.restarted() if rebooted else self.table.reconnected()
        self.is_online = True
        self.epoch += 1
        self.ready_since = self.online_since = self.now
        if rebooted:
            self._sessions.clear()
            for port in self.ports:
                port.phase = Phase.IDLE
        if rebooted or p.boots_on_reconnect:
            self._say(ChargerBooted(at=self.now))
        self._say(ChargerConnected(at=self.now, route=cast(Route, self.route)))
        if p.offline_transactions == "before_status":
            self._send_kept()
        if rebooted or p.reports_on_reconnect == "all":
            self._reported.clear()
        if rebooted or p.reports_on_reconnect != "none":
            self._report()
        self._send_kept()

    def charge(self, port_number: int, id_tag: str) -> None:
        """A driver plugs in and shows a card."""
        port = self.ports[port_number - 1]
        if port.phase is not Phase.IDLE or port.is_faulted:
            return
        parent = _PARENTS.get(id_tag)
        entry = self.table.enter(port_number, id_tag, parent_id_tag=parent)
        if not entry.allowed:
            return
        self.disturb()
        used = entry.reservation
        with self._by_itself():
            if used is not None:
                self.table.use(used)
        port.phase = Phase.CHARGING
        p = self.personality
        names = used is not None and p.tells_reservation_id
        if not self.is_online and not p.offline_tells_reservation_id:
            names = False
        transaction_id = f"t{uuid4().hex[:6]}"
        self._sessions[port_number] = transaction_id
        self._say_of_transaction(
            TransactionStarted(
                at=self.now,
                transaction_id=transaction_id,
                port_number=port_number,
                reservation_id=used.reservation_id if names and used is not None else None,
                id_tag=id_tag,
                parent_id_tag=parent,
                started_at=self.now,
                offline=not self.is_online,
            )
        )
        self._report()

    def leave(self, port_number: int) -> None:
        """The driver unplugs."""
        port = self.ports[port_number - 1]
        if port.phase is not Phase.CHARGING:
            return
        self.disturb()
        port.phase = Phase.IDLE
        ended = self._sessions.pop(port_number, "unknown")
        self._say_of_transaction(TransactionEnded(at=self.now, transaction_id=ended, port_number=port_number))
        self._report()

    def fault(self, port_number: int) -> None:
        """The port breaks, or is mended."""
        self.disturb()
        port = self.ports[port_number - 1]
        port.is_faulted = not port.is_faulted
        gone: list[Reservation] = []
        with self._by_itself():
            if port.is_faulted:
                gone = self.table.port_lost(port_number)
        self._report()
        if any(one.reservation_id == OUR_ID for one in gone) and self.personality.removed_update:
            self._update("Removed")

    def reserve_for_other(self, port_number: int) -> None:
        """Another reservation takes the port, if it is free."""
        if self.table.is_reserved(port_number) or any(one.port_number is None for one in self.table.held):
            return
        self.table.reserve(Reservation(8, port_number, "OTHER", self.now + timedelta(minutes=30)))
        self._report()

    def repeat_last_event(self) -> None:
        if self._telling.last is not None:
            self._telling.queue.put_nowait(self._telling.last)

    # --- what the gateway passes on --------------------------------------------------------------------

    def _status(self, port_number: int) -> str:
        status = str(self.table.status(port_number))
        return "Occupied" if self.version != "1.6" and status in _OCCUPIED_ON_201 else status

    def _report(self) -> None:
        for port in self.ports:
            status = self._status(port.number)
            if not self.is_online or self._reported.get(port.number) == status:
                continue
            self._reported[port.number] = status
            if self.shown[port.number] == status:
                continue
            self.shown[port.number] = status
            event = PortStatusChanged(at=self.now, port_number=port.number, status=status)
            if self.listener is not None and self.listener.terms.port_number in (None, port.number):
                self._say(event)

    def _update(self, status: str) -> None:
        if self.version != "1.6" and self.is_online:
            self._say(ReservationEnded(at=self.now, reservation_id=OUR_ID, status=status))

    def _say_of_transaction(self, event: TransactionStarted | TransactionEnded) -> None:
        self._kept.append(event)
        self._send_kept()

    def _send_kept(self) -> None:
        while self.is_online and self._kept:
            self._say(self._kept.pop(0).model_copy(update={"at": self.now}))

    def _say(self, event: Event) -> None:
        if self.listener is None or not self.is_online:
            return
        self._telling.count += 1
        event = event.model_copy(
            update={"first_run_id": self.listener.first_run_id, "event_id": self._telling.count}
        )
        self._telling.last = event
        self._telling.queue.put_nowait(event)

    async def _tell(self) -> None:
        queue = self._telling.queue
        while True:
            event = await queue.get()
            try:
                await self.handle.signal(_SIGNALS[type(event)], event)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
            finally:
                queue.task_done()

    # --- activities ------------------------------------------------------------------------------------

    @activity.defn(name="ReserveNow")
    async def reserve_now(self, request: ReserveNowInput) -> ReserveNowResult:
        async def answer() -> ReserveNowResult:
            terms = request.terms
            said = self.table.reserve(
                Reservation(OUR_ID, terms.port_number, terms.id_tag, terms.expires_at, terms.parent_id_tag)
            )
            self._note_held()
            if said.accepted:
                self.lost = False
                if request.event_id:
                    self.announced.append(accepted(request, self.now))
            await self._report_beside_answer(self.personality.reserved_status)
            if said.reply not in STATUSES:
                return ReserveNowResult(error=said.reply)
            self.said.add(ReserveStatus(said.reply))
            return ReserveNowResult(status=ReserveStatus(said.reply))

        with self._frame("ReserveNow"):
            fate = await self._written(request.epoch)
            self.listener = Listener(
                charger_id=1,
                reservation_id=OUR_ID,
                first_run_id=request.first_run_id,
                terms=request.terms,
            )
            if fate is Fate.NOT_BOOTED:
                return ReserveNowResult(error="SecurityError")
            result = await self._under(fate, answer)
            return ReserveNowResult(error="InternalError") if fate is Fate.TROUBLE else result

    @activity.defn(name="CancelReservation")
    async def cancel_reservation(self, request: CancelReservationInput) -> CancelReservationResult:
        async def answer() -> CancelReservationResult:
            said = self.table.cancel(OUR_ID)
            self._note_held()
            if said is None:
                self.disconnect()
                _in_doubt("socket_closed", timedelta(seconds=1))
            await self._report_beside_answer(self.personality.available_on_cancel)
            return CancelReservationResult(status=CancelStatus(said.reply))

        with self._frame("CancelReservation"):
            fate = await self._written(request.epoch)
            if fate is Fate.NOT_BOOTED:
                return CancelReservationResult(error="SecurityError")
            result = await self._under(fate, answer)
            return CancelReservationResult(error="InternalError") if fate is Fate.TROUBLE else result

    @contextmanager
    def _frame(self, action: str) -> Iterator[None]:
        if self._in_flight is not None:
            self.overlaps.append(f"{action} inside {self._in_flight}")
        self._in_flight = action
        self._beating = asyncio.create_task(_beat())
        try:
            yield
        finally:
            self._beating.cancel()
            self._in_flight = None

    async def _written(self, epoch: int | None) -> Fate | None:
        await self.gate.wait()
        await self.describe()
        self.expire()
        fate = self.plan.popleft() if self.plan else None
        if fate is not None:
            self.disturb()
        if fate is Fate.NOT_SENT:
            _not_sent("not_ready")
        if not self.is_online:
            _not_sent("not_connected")
        if epoch != self.epoch:
            _not_sent("wrong_gateway")
        return fate

    async def _under(self, fate: Fate | None, answer: "Callable[[], Awaitable[Any]]") -> Any:
        if fate is Fate.LOST:
            _in_doubt("timeout", timedelta(seconds=30))
        if fate is Fate.DIES_BEFORE:
            self.disconnect()
            _in_doubt("socket_closed", timedelta(seconds=1))
        result = await answer()
        if fate is Fate.UNANSWERED:
            _in_doubt("timeout", timedelta(seconds=30))
        if fate is Fate.DIES_AFTER:
            self.disconnect()
            _in_doubt("socket_closed", timedelta(seconds=20))
        if fate is Fate.GATEWAY_KILLED:
            self.disconnect()
            self._beating.cancel()
            self._in_flight = None
            await asyncio.Event().wait()  # no heartbeat, no answer
        return result

    async def _report_beside_answer(self, moment: str) -> None:
        if moment == "before_answer":
            self._report()
            await self._telling.queue.join()
        elif moment == "after_answer":
            self._late_reports += 1
            asyncio.get_running_loop().call_later(0.02, self._report_late)

    def _report_late(self) -> None:
        self._late_reports -= 1
        self._report()

    @activity.defn(name="WaitForCharger")
    async def wait_for_charger(self, listener: Listener) -> Route:
        self.listener = listener
        if self.route is None:
            raise ApplicationError("offline", type=CHARGER_OFFLINE, category=ApplicationErrorCategory.BENIGN)
        return self.route

    @activity.defn(name="LookAtCharger")
    async def look_at_charger(self, look: LookInput) -> PortView:
        await self.describe()
        self.expire()
        return PortView(
            route=self.route,
            ready_for=self.now - self.ready_since if self.is_online else timedelta(0),
            protocol=f"ocpp{self.version}" if self.is_online else None,
            status=self.shown.get(look.port_number) if look.port_number is not None else None,
        )

    @activity.defn(name="ForgetListener")
    async def forget_listener(self, forget: LastStep) -> None:
        self.announced += forget.announcements
        if self.listener is not None and self.listener.first_run_id == forget.first_run_id:
            self.listener = None

    @activity.defn(name="Announce")
    async def announce(self, request: AnnounceInput) -> None:
        self.announced += request.announcements


async def _beat() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(0.3)


def _not_sent(cause: Any) -> NoReturn:
    raise ApplicationError(
        "not sent",
        NotSentDetail(cause=cause),
        type=NOT_SENT,
        non_retryable=True,
        category=ApplicationErrorCategory.BENIGN,
    )


def _in_doubt(cause: Any, after: timedelta) -> NoReturn:
    raise ApplicationError(
        "in doubt",
        InDoubtDetail(cause=cause, after=after),
        type=IN_DOUBT,
        non_retryable=True,
        category=ApplicationErrorCategory.BENIGN,
    )
