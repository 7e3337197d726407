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

import structlog
from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeUpdate
from temporalio.exceptions import ActivityError, is_cancelled_exception

from workflows.charger_call import (
    DATABASE_AWAY,
    STATEMENT_WITHIN,
    ask_locally,
    cancel_reservation,
    reserve_now,
)
from workflows.instant import to_the_second
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
    TimelineEntry,
    TransactionEnded,
    TransactionStarted,
)
from workflows.names import EXPIRES_AT, PORT_ID, RESERVATION_STATE
from workflows.reservation import state_count
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
from workflows.webhook_events import AnnounceInput

DETAILS_LENGTH = 20
"""Lines of the timeline that the Temporal UI shows."""

# Temporal shows the attempts of the pending activity; `charger_connected` ends the wait at once.
_WAIT_FOR_CHARGER = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=30)
)
_ANNOUNCE_ATTEMPT = timedelta(seconds=2)
_TWICE = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=2)
# After these nobody asks again for what an activity in the background was to find out.
_NEEDS_NO_BACKGROUND = (SendReserveNow, SendCancelReservation, Wait, Close)

_T = TypeVar("_T")
_NEVER = datetime.max.replace(tzinfo=UTC)

log = structlog.get_logger(__name__)


@workflow.defn(name="Reservation")
class ReservationWorkflow:
    """One reservation of one charger.

    Updates: `reserve` (also changes a live reservation), `cancel`. Signals: `reserve`, `cancel`. Query:
    `snapshot`. Events come as the signals `charger_connected`, `charger_booted`, `port_status`,
    `transaction_started`, `transaction_ended`, `reservation_ended`, `port_reserved_by_other`. Ends in one of
    `ReservationState`'s ends; the result is the last snapshot.
    """

    @workflow.init
    def __init__(self, start: ReservationStart) -> None:
        self._start = start
        self._info = workflow.info()
        self._machine = ReservationMachine(start, self._info.first_execution_run_id, workflow.now())
        self._inputs: deque[Input] = deque()
        self._calls = 0
        self._answers: dict[int, ReserveAnswer | CancelAnswer] = {}
        self._details = deque(map(_line, self._machine.record.timeline), maxlen=DETAILS_LENGTH)
        self._background: tuple[BaseModel, workflow.ActivityHandle[Any]] | None = None
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
        request = _with_id(request)
        answer = await self._answer_to(
            lambda key: ReserveCommand(request, key, answer_by=workflow.now() + request.wait)
        )
        assert isinstance(answer, ReserveAnswer)
        return answer

    @workflow.update(name="cancel", description="Give the port free.")
    async def cancel(self, request: CancelRequest) -> CancelAnswer:
        """Cancel the reservation; answers Pending when `wait` ends first or the charger is offline."""
        request_id = request.request_id or str(workflow.uuid4())
        answer = await self._answer_to(
            lambda key: CancelCommand(request_id, key, answer_by=workflow.now() + request.wait)
        )
        assert isinstance(answer, CancelAnswer)
        return answer

    @workflow.signal(name="reserve", description="Hold the port, without waiting for the answer.")
    def reserve_without_answer(self, request: ReserveRequest) -> None:
        """Ask for the reservation: what no worker takes up in time, so that it outlives the server."""
        self._inputs.append(ReserveCommand(_with_id(request)))

    @workflow.signal(name="cancel", description="Give the port free, without waiting for the answer.")
    def cancel_without_answer(self, request: CancelRequest | None = None) -> None:
        """Cancel the reservation."""
        request_id = request.request_id if request is not None else ""
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
        waiting = sum(isinstance(input, Command) for input in self._inputs)
        snapshot = self._machine.snapshot()
        return snapshot.model_copy(update={"commands_waiting": snapshot.commands_waiting + waiting})

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
                self._stop_background()
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

    def _apply(self, input: Input) -> None:
        for effect in self._machine.apply(input, workflow.now()):
            self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Answer():
                self._answers[effect.key] = effect.answer
            case Note():
                self._details.append(_line(effect.entry))
                workflow.set_current_details("\n".join(self._details))
            case StateReached():
                self._show_state(effect)
            case TermsShown(terms):
                port = PORT_ID.value_unset() if terms.port_id is None else PORT_ID.value_set(terms.port_id)
                shown: list[SearchAttributeUpdate[Any]] = [EXPIRES_AT.value_set(terms.expires_at), port]
                workflow.upsert_search_attributes(shown)

    def _show_state(self, reached: StateReached) -> None:
        state = reached.state.value
        counter = workflow.metric_meter().create_counter(state_count.NAME, state_count.DESCRIPTION)
        reason = state_count.reason_class(reached.state, reached.reason, reached.status)
        counter.add(1, {"state": state, "reason": reason})
        if not workflow.unsafe.is_replaying():
            log.info(
                "reservation_state",
                charger_id=self._start.charger_id,
                reservation_id=self._start.reservation_id,
                state=state,
                reason=reached.reason,
            )
        # Each upsert is a write to the lists' store: a start with a route shows `sending` already.
        if workflow.info().typed_search_attributes.get(RESERVATION_STATE) != state:
            workflow.upsert_search_attributes([RESERVATION_STATE.value_set(state)])

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
                found = await self._in_background(
                    "WaitForCharger", subscription, Route, _WAIT_FOR_CHARGER, until, "charger offline"
                )
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
        if self._background is None or self._background[0] != argument:
            try:
                return await ask_locally(activity, argument, result_type)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
        return await self._in_background(
            activity, argument, result_type, DATABASE_AWAY, None, "the database does not answer"
        )

    async def _in_background(
        self,
        activity: str,
        argument: BaseModel,
        result_type: type[_T],
        retry_policy: RetryPolicy,
        until: datetime | None,
        summary: str,
    ) -> _T | None:
        """The activity's result; None when an input or `until` came first.

        It goes on meanwhile, for as long as the same is asked for again.
        """
        if self._background is None or self._background[0] != argument:
            self._stop_background()
            handle = workflow.start_activity(
                activity,
                argument,
                result_type=result_type,
                start_to_close_timeout=STATEMENT_WITHIN,
                retry_policy=retry_policy,
                summary=summary,
            )
            handle.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._background = (argument, handle)
        handle = self._background[1]
        await self._wait(lambda: handle.done() or self._has_input(), until, summary)
        if not handle.done():
            return None
        self._background = None
        result: _T = handle.result()
        return result

    def _stop_background(self) -> None:
        if self._background is not None:
            self._background[1].cancel()
            self._background = None

    async def _announce(self, argument: AnnounceInput, forever: bool) -> bool:
        """Whether the events are stored. Not a local activity: callers' answers would leave only after it."""
        try:
            await workflow.execute_activity(
                "Announce",
                argument,
                start_to_close_timeout=_ANNOUNCE_ATTEMPT,
                retry_policy=DATABASE_AWAY if forever else _TWICE,
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return False
        return True

    # --- waiting ------------------------------------------------------------------------------------------

    def _has_input(self) -> bool:
        return bool(self._inputs)

    def _may_continue(self) -> bool:
        return self._is_long and self._machine.may_continue_as_new and workflow.all_handlers_finished()

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

        while not condition() and (until is None or workflow.now() < until):
            self._apply(Tick(in_hurry=may_continue and self._is_long))
            planned = pending_at()
            alarm = min(until or _NEVER, planned)
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: (
                        condition()
                        or pending_at() < planned  # noqa: B023 - awaited before it changes
                        or (may_continue and self._may_continue())
                    ),
                    timeout=None if alarm == _NEVER else alarm - workflow.now(),
                    timeout_summary=summary if alarm == until else "a caller waits for an answer",
                )
            if may_continue and not condition() and not self._has_input() and self._may_continue():
                self._continue_as_new()
            # Asked nowhere else: after a local activity a replay may still be at an earlier step.
            self._is_long = self._info.is_continue_as_new_suggested()

    def _continue_as_new(self) -> None:
        self._stop_background()
        carried = self._machine.record.model_dump(mode="json")
        workflow.continue_as_new(self._start.model_copy(update={"carried": carried}))


def _with_id(request: ReserveRequest) -> ReserveRequest:
    if request.request_id:
        return request
    return request.model_copy(update={"request_id": str(workflow.uuid4())})


def _line(entry: TimelineEntry) -> str:
    return f"- {to_the_second(entry.at)} {entry.event} {entry.detail}".rstrip()
