"""The life of one reservation as a Temporal workflow: it carries out what the state machine decides.

Handlers put what they are told into one queue; `run` alone applies it, one step at a time. What a reservation
does, and why, stands in `machine.py`.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

from workflows.background import Background
from workflows.charger_call import (
    DATABASE_AWAY,
    STATEMENT_WITHIN,
    DatabaseAway,
    ask_locally,
    cancel_reservation,
    reserve_now,
)
from workflows.messages import (
    CancelAnswer,
    CancelRequest,
    ChargerBooted,
    ChargerConnected,
    LookInput,
    PortReservedByOther,
    PortStatusChanged,
    PortView,
    ReservationEnded,
    ReservationStart,
    ReserveAnswer,
    ReserveRequest,
    Route,
    Snapshot,
    TransactionEnded,
    TransactionStarted,
)
from workflows.reservation.effects import Answer, Effect, Note, StateReached, TermsShown
from workflows.reservation.inputs import (
    CancelCommand,
    CancelOutcome,
    ChargerBack,
    Command,
    Decision,
    EventsStored,
    Input,
    Looked,
    Outcome,
    ReserveCommand,
    ReserveOutcome,
    Tick,
    Unsubscribed,
)
from workflows.reservation.machine import ReservationMachine
from workflows.reservation.steps import (
    Close,
    Look,
    SendCancelReservation,
    SendReserveNow,
    Step,
    StoreEvents,
    Unsubscribe,
    Wait,
    WaitForCharger,
)
from workflows.shown import Shown
from workflows.webhook_events import AnnounceInput

# Temporal shows the attempts of the pending activity; `charger_connected` ends the wait at once.
_WAIT_FOR_CHARGER = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=30)
)
_WAIT_FOR_CHARGER_ATTEMPT = timedelta(seconds=10)
_ANNOUNCE_ATTEMPT = timedelta(seconds=2)
_TWICE = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=2)

# After these nobody asks again for what an activity in the background was to find out.
_NEEDS_NO_BACKGROUND = (SendReserveNow, SendCancelReservation, Wait, Close)

_NEVER = datetime.max.replace(tzinfo=UTC)
_T = TypeVar("_T")


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
            elif (outcome := await self._perform(step)) is not None:
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

    # --- steps -----------------------------------------------------------------------------------------

    async def _perform(self, step: Step) -> Outcome | None:
        """The step's outcome; None when an input came first and the step is to be chosen anew."""
        match step:
            case SendReserveNow(argument, route, summary):
                asked_at = workflow.now()
                reserving = reserve_now(argument, route, self._start.policy, summary)
                return ReserveOutcome(argument, asked_at, await self._await_charger(reserving))
            case SendCancelReservation(argument, route, summary):
                cancelling = cancel_reservation(argument, route, self._start.policy, summary)
                return CancelOutcome(await self._await_charger(cancelling))
            case Look(purpose, port_number):
                look = LookInput(charger_id=self._start.charger_id, port_number=port_number)
                view = await self._ask_database("LookAtCharger", look, PortView)
                # What came meanwhile is taken first: it is perhaps a use.
                return None if view is None or self._inputs else Looked(purpose, view)
            case WaitForCharger(subscription, until):
                waiting = self._background.start(
                    "WaitForCharger",
                    subscription,
                    Route,
                    within=_WAIT_FOR_CHARGER_ATTEMPT,
                    retry_policy=_WAIT_FOR_CHARGER,
                    summary="charger offline",
                )
                found = await self._unless_interrupted(waiting, until, "until the charger is back")
                return None if found is None else ChargerBack(found)
            case StoreEvents(events, forever):
                return EventsStored(len(events), await self._announce(AnnounceInput(events=events), forever))
            case Unsubscribe(argument):
                done = await self._ask_database("Unsubscribe", argument, bool)
                return None if done is None else Unsubscribed(len(argument.events))
        raise AssertionError(f"{step} is no step to perform")

    async def _await_charger(self, call: Coroutine[Any, Any, _T]) -> _T:
        """The outcome of a frame.

        Most come at once, and each timer is two events more of history: only a caller who will not wait as
        long as the charger may take is worth one.
        """
        outcome = asyncio.create_task(call)
        charger_answers_by = workflow.now() + self._start.policy.call_timeout
        await self._wait(outcome.done, None, "", pending_before=charger_answers_by, may_continue=False)
        return await outcome

    async def _ask_database(self, activity: str, argument: BaseModel, result_type: type[_T]) -> _T | None:
        """One local attempt; while the database is away, an ordinary activity that an input interrupts."""
        if not self._background.has(argument):
            with contextlib.suppress(DatabaseAway):
                return await ask_locally(activity, argument, result_type)
        summary = "the database does not answer"
        asking = self._background.start(
            activity,
            argument,
            result_type,
            within=STATEMENT_WITHIN,
            retry_policy=DATABASE_AWAY,
            summary=summary,
        )
        return await self._unless_interrupted(asking, None, summary)

    async def _unless_interrupted(
        self, activity: workflow.ActivityHandle[_T], until: datetime | None, summary: str
    ) -> _T | None:
        """The result; None when an input or `until` came first, and the activity goes on."""
        await self._wait(lambda: activity.done() or self._has_input(), until, summary)
        if not activity.done():
            return None
        self._background.stop()
        return activity.result()

    async def _announce(self, argument: AnnounceInput, forever: bool) -> bool:
        """Whether the events are stored. Not a local activity: callers' answers would leave only after it."""
        storing = workflow.start_activity(
            "Announce",
            argument,
            start_to_close_timeout=_ANNOUNCE_ATTEMPT,
            retry_policy=DATABASE_AWAY if forever else _TWICE,
        )
        await self._wait(storing.done, None, "", may_continue=False)
        try:
            await storing
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return False
        return True

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
            # Asked nowhere else: after a local activity a replay may still be at an earlier step.
            self._is_long = self._info.is_continue_as_new_suggested()
