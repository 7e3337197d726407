"""The life of one reservation as a Temporal workflow: it carries out what the state machine decides.

Handlers put their inputs into one queue; `run` alone applies it, one step at a time. What a reservation
does, and why, stands in `machine.py`.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from temporalio import workflow

from workflows.background import Background
from workflows.messages import (
    CancelAnswer,
    CancelRequest,
    ChargerBooted,
    ChargerConnected,
    PortReservedByOther,
    PortStatusChanged,
    ReservationEnded,
    ReservationStart,
    ReserveAnswer,
    ReserveRequest,
    Snapshot,
    TransactionEnded,
    TransactionStarted,
)
from workflows.reservation.effects import Answer, Effect, Note, StateReached, TermsShown
from workflows.reservation.inputs import (
    CancelCommand,
    Command,
    Decision,
    Input,
    ReserveCommand,
    Tick,
)
from workflows.reservation.machine import ReservationMachine
from workflows.reservation.steps import (
    Close,
    SendCancelReservation,
    SendReserveNow,
    Wait,
)
from workflows.shown import Shown
from workflows.step_performer import StepPerformer

# After these nobody asks again for what an activity in the background was to find out.
_NEEDS_NO_BACKGROUND = (SendReserveNow, SendCancelReservation, Wait, Close)

_NEVER = datetime.max.replace(tzinfo=UTC)


@workflow.defn(name="Reservation")
class ReservationWorkflow:
    """One reservation of one charger.

    Updates: `reserve` (also changes a live reservation), `cancel`. Signals: both without an answer, and the
    charger's events. Query: `snapshot`. Ends in one of `ReservationState`'s ends; the result is the last
    snapshot.
    """

    @workflow.init
    def __init__(self, start: ReservationStart) -> None:
        self._start = start
        self._info = workflow.info()
        self._machine = ReservationMachine(start, self._info.first_execution_run_id, workflow.now())
        self._shown = Shown(start, self._machine.record.timeline)
        self._inputs: deque[Input] = deque()
        self._calls = 0
        self._answers: dict[int, ReserveAnswer | CancelAnswer] = {}
        self._background = Background()
        self._steps = StepPerformer(start, self._background, self._wait, self._has_input)
        self._is_long = False  # as of the last wait

    @workflow.run
    async def run(self, start: ReservationStart) -> Snapshot:
        """Live the reservation to its end."""
        main = asyncio.create_task(self._run_loop())
        try:
            await asyncio.shield(main)
        except asyncio.CancelledError:
            # "Request Cancellation" in the Temporal UI is a cancel like any other; frames are not torn.
            self._inputs.append(CancelCommand(str(workflow.uuid4()), note="by Temporal cancellation"))
            await main
        return self._machine.snapshot()

    # --- what comes in: handlers record, `run` decides -----------------------------------------------

    @workflow.update(description="Hold the port on these terms; on a live reservation: change it.")
    async def reserve(self, request: ReserveRequest) -> ReserveAnswer:
        """Ask for the reservation; answers Pending when `wait` ends first or the charger is offline."""
        named = request.model_copy(update={"request_id": request.request_id or str(workflow.uuid4())})
        answer_by = workflow.now() + request.wait
        answer = await self._answer_to(lambda key: ReserveCommand(named, key, answer_by))
        assert isinstance(answer, ReserveAnswer)
        return answer

    @workflow.update(name="cancel", description="Give the port free.")
    async def cancel(self, request: CancelRequest) -> CancelAnswer:
        """Cancel the reservation; answers Pending when `wait` ends first or the charger is offline."""
        request_id = request.request_id or str(workflow.uuid4())
        answer_by = workflow.now() + request.wait
        answer = await self._answer_to(lambda key: CancelCommand(request_id, key, answer_by))
        assert isinstance(answer, CancelAnswer)
        return answer

    @workflow.signal(name="reserve", description="Hold the port, without waiting for the answer.")
    def reserve_without_answer(self, request: ReserveRequest) -> None:
        """Ask for the reservation: what no worker takes up in time, so that it outlives the server."""
        named = request.model_copy(update={"request_id": request.request_id or str(workflow.uuid4())})
        self._inputs.append(ReserveCommand(named))

    @workflow.signal(name="cancel", description="Give the port free, without waiting for the answer.")
    def cancel_without_answer(self, request: CancelRequest | None = None) -> None:
        """Cancel the reservation; from the Temporal UI or its command line without an argument."""
        request_id = "" if request is None else request.request_id
        self._inputs.append(CancelCommand(request_id or str(workflow.uuid4())))

    @workflow.signal(description="The charger is ready on a new socket.")
    def charger_connected(self, event: ChargerConnected) -> None:
        """Record that the charger is back."""
        self._inputs.append(event)

    @workflow.signal(description="The charger restarted.")
    def charger_booted(self, event: ChargerBooted) -> None:
        """Record a boot."""
        self._inputs.append(event)

    @workflow.signal(description="A port shows another status, or its first one after a connection or boot.")
    def port_status(self, event: PortStatusChanged) -> None:
        """Record a status."""
        self._inputs.append(event)

    @workflow.signal(description="A transaction started, or named a reservation.")
    def transaction_started(self, event: TransactionStarted) -> None:
        """Record a transaction."""
        self._inputs.append(event)

    @workflow.signal(description="A transaction ended.")
    def transaction_ended(self, event: TransactionEnded) -> None:
        """Record the end of a transaction."""
        self._inputs.append(event)

    @workflow.signal(description="The charger ended a reservation by itself (OCPP 2.0.1).")
    def reservation_ended(self, event: ReservationEnded) -> None:
        """Record a ReservationStatusUpdate."""
        self._inputs.append(event)

    @workflow.signal(description="The charger accepted another reservation of the same port.")
    def port_reserved_by_other(self, event: PortReservedByOther) -> None:
        """Record that the port was given to somebody else."""
        self._inputs.append(event)

    @workflow.query(description="Everything known about the reservation.")
    def snapshot(self) -> Snapshot:
        """The reservation as it stands."""
        snapshot = self._machine.snapshot()
        waiting = snapshot.commands_waiting + sum(isinstance(input, Command) for input in self._inputs)
        return snapshot.model_copy(update={"commands_waiting": waiting})

    async def _answer_to(self, command: Callable[[int], Command]) -> ReserveAnswer | CancelAnswer:
        self._calls += 1
        key = self._calls
        self._inputs.append(command(key))
        await workflow.wait_condition(lambda: key in self._answers)
        return self._answers.pop(key)

    # --- the loop --------------------------------------------------------------------------------------

    async def _run_loop(self) -> None:
        while True:
            while self._inputs:
                self._apply(self._inputs.popleft())
            step = self._machine.next_step(workflow.now())
            if isinstance(step, _NEEDS_NO_BACKGROUND):
                self._background.stop()
            if isinstance(step, Close):
                await workflow.wait_condition(lambda: self._has_input() or workflow.all_handlers_finished())
                if not self._has_input():
                    return
            elif isinstance(step, Decision):
                self._apply(step)
            elif isinstance(step, Wait):
                await self._wait(self._has_input, step.until, step.summary)
            elif (outcome := await self._steps.perform(step)) is not None:
                self._apply(outcome)

    def _has_input(self) -> bool:
        return bool(self._inputs)

    def _apply(self, input: Input) -> None:
        for effect in self._machine.apply(input, workflow.now()):
            self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Answer(key, answer):
                self._answers[key] = answer
            case Note(entry):
                self._shown.add(entry)
            case StateReached():
                self._shown.enter(effect)
            case TermsShown(terms):
                self._shown.show(terms)

    # --- waiting ------------------------------------------------------------------------------------------

    async def _wait(
        self,
        condition: Callable[[], bool],
        until: datetime | None,
        summary: str,
        *,
        pending_before: datetime = _NEVER,
        may_continue: bool = True,
    ) -> None:
        """Wait for `condition`, at most until `until`; meanwhile callers are answered Pending in time.

        Those whose time ends at `pending_before` or later are answered at the next wait. A long history
        continues as a new run from here alone, once no caller waits; in that case none is kept waiting.
        """

        def pending_at() -> datetime:
            next_pending = self._machine.requests.next_pending_at() or _NEVER
            return next_pending if next_pending < pending_before else _NEVER

        def is_to_continue() -> bool:
            return may_continue and self._is_long and workflow.all_handlers_finished()

        while not condition() and (until is None or workflow.now() < until):
            self._apply(Tick(in_hurry=may_continue and self._is_long))
            planned = pending_at()
            alarm = min(until or _NEVER, planned)
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: condition() or pending_at() < planned or is_to_continue(),  # noqa: B023
                    timeout=None if alarm == _NEVER else alarm - workflow.now(),
                    timeout_summary=summary if alarm == until else "a caller waits for an answer",
                )
            if is_to_continue() and not condition() and not self._has_input():
                self._background.stop()
                carried = {"carried": self._machine.carried()}
                workflow.continue_as_new(self._start.model_copy(update=carried))
            self._is_long = self._info.is_continue_as_new_suggested()
