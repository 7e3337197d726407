"""The life of one reservation.

Callers say what they want (`reserve`, `cancel`), the gateway says what the charger did (signals). Both only
put words into a queue; `run` alone decides. It keeps two facts, what is wanted and what the charger holds,
and sends one frame at a time until they agree. Then it sleeps until expiry, a command or an event.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

from workflows.charger_call import LOCAL_ATTEMPT, cancel_reservation, look_at_charger, reserve_now
from workflows.instant import to_the_second
from workflows.messages import (
    CancelAnswer,
    CancelRequest,
    CancelReservationInput,
    CancelReservationResult,
    ChargerBooted,
    ChargerConnected,
    Event,
    InDoubtDetail,
    Listener,
    NotSentDetail,
    PortStatusChanged,
    PortView,
    ReservationEnded,
    ReservationStart,
    ReservationState,
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
from workflows.reservation.answers import Answers
from workflows.reservation.events import Witness
from workflows.reservation.machine import CancelCommand, Ledger, ReserveCommand
from workflows.reservation.port_check import Inspection
from workflows.reservation.record import Concern, Held
from workflows.revision import check_revision, takes
from workflows.webhook_events import AnnounceInput, Announcement, EventType, LastStep

ROUTE_SPACING = [timedelta(seconds=s) for s in (1, 2, 4, 8, 16, 30)]

# Temporal shows the attempts of the pending activity; `charger_connected` ends the wait at once.
_WAIT_FOR_CHARGER = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=30)
)
# While the directory fails a living reservation waits no longer than so before it goes on.
_ANNOUNCE_ATTEMPT = timedelta(seconds=2)
_TWICE = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=2)
_ANNOUNCE_AGAIN_AFTER = timedelta(seconds=30)
# The charger has a word right after our last frame: its port is free again, or a driver was quicker.
_ENDS_THAT_STIR_CHARGERS = frozenset({ReservationState.CANCELLED, ReservationState.REMOVED})
_NEVER = datetime.max.replace(tzinfo=UTC)

T = TypeVar("T")


@workflow.defn(name="Reservation")
class ReservationWorkflow:
    """One reservation of one charger.

    Updates: `reserve` (also changes a live reservation), `cancel`. Signal: `cancel`. Query: `snapshot`.
    Events come as the signals `charger_connected`, `charger_booted`, `port_status`, `transaction_started`,
    `transaction_ended`, `reservation_ended`. Ends in one of `ReservationState`'s ends; the result is the
    last snapshot.
    """

    @workflow.init
    def __init__(self, start: ReservationStart) -> None:
        self._start = start
        self._policy = start.policy
        self._ledger = Ledger(start)
        self._events: deque[Event] = deque()
        self._info = workflow.info()
        self._is_long = False  # as of the last wait
        self._answers = Answers(self._ledger)
        self._inspection = Inspection(self._ledger)
        self._witness = Witness(self._ledger, self._info.first_execution_run_id)

    @workflow.run
    async def run(self, start: ReservationStart) -> Snapshot:
        """Live the reservation to its end."""
        check_revision(start)
        story = asyncio.create_task(self._live())
        try:
            await asyncio.shield(story)
        except asyncio.CancelledError:
            # "Request Cancellation" in the Temporal UI is a cancel like any other; frames are not torn.
            self._ledger.note("cancel requested", "by Temporal cancellation")
            self._ledger.queue.append(CancelCommand())
            await story
        return self._ledger.snapshot()

    # --- what comes in: handlers record, `run` decides -----------------------------------------------

    @workflow.update(description="Hold the port on these terms; on a live reservation: change it.")
    async def reserve(self, request: ReserveRequest) -> ReserveAnswer:
        """Ask for the reservation; answers Pending when `wait` ends first or the charger is offline."""
        ask = ReserveCommand(request, answer_by=workflow.now() + request.wait)
        self._ledger.queue.append(ask)
        await workflow.wait_condition(lambda: ask.answer is not None)
        assert ask.answer is not None
        return ask.answer

    @workflow.update(name="cancel", description="Give the port free.")
    async def cancel(self, request: CancelRequest) -> CancelAnswer:
        """Cancel the reservation; answers Pending when `wait` ends first or the charger is offline."""
        ask = CancelCommand(answer_by=workflow.now() + request.wait)
        self._ledger.queue.append(ask)
        await workflow.wait_condition(lambda: ask.answer is not None)
        assert ask.answer is not None
        return ask.answer

    @workflow.signal(name="reserve", description="Hold the port, without waiting for the answer.")
    def reserve_without_answer(self, request: ReserveRequest) -> None:
        """Ask for the reservation: what no worker takes up in time, so that it outlives the server."""
        self._ledger.queue.append(ReserveCommand(request))

    @workflow.signal(name="cancel", description="Give the port free, without waiting for the answer.")
    def cancel_without_answer(self) -> None:
        """Cancel the reservation."""
        self._ledger.queue.append(CancelCommand())

    @workflow.signal(description="The charger is ready on a new socket.")
    def charger_connected(self, event: ChargerConnected) -> None:
        """Record that the charger is back."""
        self._events.append(event)

    @workflow.signal(description="The charger restarted.")
    def charger_booted(self, event: ChargerBooted) -> None:
        """Record a boot."""
        self._events.append(event)

    @workflow.signal(description="A port shows another status.")
    def port_status(self, event: PortStatusChanged) -> None:
        """Record a status."""
        self._events.append(event)

    @workflow.signal(description="A transaction started, or named a reservation.")
    def transaction_started(self, event: TransactionStarted) -> None:
        """Record a transaction."""
        self._events.append(event)

    @workflow.signal(description="A transaction ended.")
    def transaction_ended(self, event: TransactionEnded) -> None:
        """Record the end of a transaction."""
        self._events.append(event)

    @workflow.signal(description="The charger ended a reservation by itself (OCPP 2.0.1).")
    def reservation_ended(self, event: ReservationEnded) -> None:
        """Record a ReservationStatusUpdate."""
        self._events.append(event)

    @workflow.query(description="Everything known about the reservation.")
    def snapshot(self) -> Snapshot:
        """The reservation as it stands."""
        return self._ledger.snapshot()

    # --- the story -----------------------------------------------------------------------------------

    async def _live(self) -> None:
        while True:
            while self._events:
                self._witness.hear(self._events.popleft())
            self._ledger.take_commands()
            m = self._ledger.memory
            if self._must_announce():
                await self._announce()
            elif self._is_due(self._ledger.deadline()):
                await self._expire()
            elif self._is_due(m.look_at):
                await self._look_again()
            elif self._ledger.needs_frame() and (m.retry_at is None or self._is_due(m.retry_at)):
                self._continue_as_new_when_long()
                await self._send_frame()
            elif m.ending is not None and m.held is Held.NOTHING:
                self._ledger.end(m.ending, m.ending_reason)
            elif self._is_over() and m.listening:
                await self._forget()
            elif self._is_over():
                await workflow.wait_condition(
                    lambda: bool(self._ledger.queue) or workflow.all_handlers_finished()
                )
                if not self._ledger.queue:
                    return
            else:
                self._continue_as_new_when_long()
                await self._rest()

    def _is_over(self) -> bool:
        m = self._ledger.memory
        return m.state.is_end and (m.held is Held.NOTHING or m.linger_until is None)

    def _continue_as_new_when_long(self) -> None:
        quiet = workflow.all_handlers_finished() and not self._ledger.queue
        if quiet and self._is_long:
            carried = self._ledger.memory.model_dump(mode="json")
            workflow.continue_as_new(self._start.model_copy(update={"carried": carried}))

    async def _rest(self) -> None:
        """Sleep until a command, an event or the next instant that matters."""
        m = self._ledger.memory
        retry_at = m.retry_at if self._ledger.needs_frame() else None
        moments = (self._ledger.deadline(), retry_at, m.look_at, m.announce_at)
        alarms = [at for at in moments if at is not None]
        await self._until(
            self._has_word,
            min(alarms, default=None),
            f"{m.state} until {to_the_second(min(alarms))}" if alarms else m.state,
        )

    def _has_word(self) -> bool:
        return bool(self._events) or self._ledger.has_command()

    async def _send_frame(self) -> None:
        route = await self._find_route()
        if route is None or self._has_word():
            return  # whatever came meanwhile is heard first
        m = self._ledger.memory
        m.retry_at = None
        if m.state is ReservationState.REQUESTED:
            self._ledger.enter(ReservationState.SENDING)
        if self._ledger.must_cancel_first():
            await self._send_cancel(route)
        else:
            await self._send_reserve(route)

    async def _send_reserve(self, route: Route) -> None:
        m = self._ledger.memory
        if m.wanted is None:
            return
        terms = m.wanted
        asked_at = workflow.now()
        m.listening = True
        asked_before = m.held is not Held.NOTHING
        call = reserve_now(
            ReserveNowInput(
                charger_id=self._start.charger_id,
                reservation_id=self._start.reservation_id,
                terms=terms,
                epoch=route.epoch,
                force=m.force,
                call_timeout=self._policy.call_timeout,
                write_within=self._policy.write_within,
                first_run_id=self._info.first_execution_run_id,
                event_id=""
                if m.state is ReservationState.ACTIVE
                else self._ledger.next_event_id(EventType.RESERVATION_ACTIVE),
                site_id=self._start.site_id,
            ),
            route,
            self._policy,
            f"{self._place(terms)} until {to_the_second(terms.expires_at)}"
            + (", asking again" if asked_before else ""),
        )
        answer = await self._answer_to(call)
        if isinstance(answer, InDoubtDetail) or (isinstance(answer, ReserveNowResult) and answer.sent):
            m.first_sent_at = m.first_sent_at or asked_at
            m.reject_offline = False
        match answer:
            case NotSentDetail():
                self._answers.lose_route(answer)
            case InDoubtDetail():
                self._ledger.hold(Held.MAYBE, terms)
                self._answers.lose_answer("ReserveNow", answer)
            case ReserveNowResult():
                self._answers.hear_reserve(terms, answer)

    async def _send_cancel(self, route: Route) -> None:
        m = self._ledger.memory
        call = cancel_reservation(
            CancelReservationInput(
                charger_id=self._start.charger_id,
                reservation_id=self._start.reservation_id,
                epoch=route.epoch,
                call_timeout=self._policy.call_timeout,
                write_within=self._policy.write_within,
            ),
            route,
            self._policy,
            "to be sure that the charger holds nothing" if m.ending is None else f"to be {m.ending}",
        )
        answer = await self._answer_to(call)
        match answer:
            case NotSentDetail():
                self._answers.lose_route(answer)
            case InDoubtDetail():
                m.cancel_in_doubt = True
                m.held = Held.MAYBE
                self._answers.lose_answer("CancelReservation", answer)
            case CancelReservationResult():
                self._answers.hear_cancel(answer)

    async def _find_route(self) -> Route | None:
        """The gateway that holds the charger's socket; None when something else comes first."""
        m = self._ledger.memory
        if m.route is not None:
            return m.route
        view = await self._look()
        if view.route is None:
            await self._wait_for_charger()
        elif view.route == m.failed_route:
            m.failed_route = None
            m.retry_at = workflow.now() + ROUTE_SPACING[min(m.route_failures, len(ROUTE_SPACING)) - 1]
        else:
            m.route, m.waiting_since = view.route, None
        return m.route

    async def _wait_for_charger(self) -> None:
        m = self._ledger.memory
        if m.reject_offline:
            m.reject_offline = False
            self._answers.refuse_unsent(
                ReserveNowResult(status=ReserveStatus.REJECTED, reason="ChargerOffline", sent=False)
            )
            return
        if m.waiting_since is None:
            self._ledger.note("charger offline", "waiting for it to connect")
            m.waiting_since = workflow.now()
            if m.held is Held.NOTHING or m.state is ReservationState.REQUESTED:
                self._ledger.enter(ReservationState.SENDING, "ChargerOffline")
            elif m.doubt is not None:
                self._ledger.enter(ReservationState.UNKNOWN, "ChargerOffline")
        m.listening = True
        terms = self._ledger.concerned_terms()
        if terms is None:
            return
        wait = workflow.start_activity(
            "WaitForCharger",
            Listener(
                charger_id=self._start.charger_id,
                reservation_id=self._start.reservation_id,
                first_run_id=self._info.first_execution_run_id,
                terms=terms,
            ),
            result_type=Route,
            start_to_close_timeout=timedelta(seconds=10),
            retry_policy=_WAIT_FOR_CHARGER,
            summary="charger offline",
        )
        wait.add_done_callback(lambda done: done.cancelled() or done.exception())
        await self._until(
            lambda: wait.done() or self._has_word(),
            self._ledger.deadline(),
            "until the charger is back",
        )
        if not wait.done():
            wait.cancel()
        elif wait.exception() is None:
            self._ledger.charger_is_back(wait.result())

    async def _look_again(self) -> None:
        """The settle time is over: what does the port show now?"""
        m = self._ledger.memory
        m.look_at = None
        if m.concern is Concern.CANCEL_REFUSED:
            self._ledger.forget_concern()
            m.evidence = "CancelReservation Rejected"
            self._ledger.end(ReservationState.REMOVED, "UnknownReservation")
            return
        self._inspection.conclude(await self._look())

    async def _expire(self) -> None:
        """Our own clock: the charger's word makes the end only earlier or more precise."""
        m = self._ledger.memory
        if m.state.is_end:
            m.held, m.tidy, m.linger_until = Held.NOTHING, False, None
            return
        if self._ledger.concerned_terms() is None:
            m.evidence = "timer"
            self._ledger.end(ReservationState.FAILED, "NeverRequested")
            return
        linger_until, look_at = None, None
        if m.held is not Held.NOTHING:
            view = await self._look()
            if self._has_word():
                return  # perhaps a use
            if view.route is None or self._inspection.may_still_hold(view):
                linger_until = workflow.now() + self._policy.linger
                look_at = workflow.now() + self._policy.settle if view.route is not None else None
            else:
                m.held = Held.NOTHING
        m.evidence = "timer"
        self._ledger.end(ReservationState.EXPIRED, m.reason if m.first_sent_at is None else None)
        m.linger_until, m.look_at = linger_until, look_at

    # --- small print -------------------------------------------------------------------------------------

    def _place(self, terms: Terms) -> str:
        port = "any port" if terms.port_number is None else f"port {terms.port_number}"
        return f"{self._start.ocpp_identity} {port}, reservation {self._start.reservation_id}"

    def _is_due(self, at: datetime | None) -> bool:
        return at is not None and workflow.now() >= at

    async def _look(self) -> PortView:
        terms = self._ledger.concerned_terms()
        return await look_at_charger(self._start.charger_id, terms.port_number if terms else None)

    def _must_announce(self) -> bool:
        m = self._ledger.memory
        if not m.announcements or (self._is_over() and m.listening):
            return False  # the last step tells the last words
        return m.announce_at is None or self._is_due(m.announce_at)

    async def _announce(self) -> None:
        """Have webhooks told of what happened; while the directory fails a living reservation goes on."""
        m = self._ledger.memory
        announced, m.announcements, m.announce_at = m.announcements, [], None
        if not takes(self._start, 1, "announce"):
            return
        try:
            # Not a local one: the answer to who asked would leave only after it.
            await workflow.execute_activity(
                "Announce",
                AnnounceInput(announcements=tuple(announced)),
                start_to_close_timeout=_ANNOUNCE_ATTEMPT,
                retry_policy=None if m.state.is_end else _TWICE,
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            m.announcements, m.announce_at = announced, workflow.now() + _ANNOUNCE_AGAIN_AFTER

    async def _forget(self) -> None:
        """The last step; most ends are told in it.

        The step that closes a workflow is taken again when an event meets it, and might decide otherwise.
        Where that is likely, `_announce` tells of the end: by then Temporal has it.
        """
        m = self._ledger.memory
        announced: list[Announcement] = []
        if not (m.state in _ENDS_THAT_STIR_CHARGERS and takes(self._start, 1, "announce")):
            announced, m.announcements, m.announce_at = m.announcements, [], None
        m.listening = False
        await workflow.execute_local_activity(
            "ForgetListener",
            LastStep(
                charger_id=self._start.charger_id,
                reservation_id=self._start.reservation_id,
                first_run_id=self._info.first_execution_run_id,
                announcements=tuple(announced),
            ),
            start_to_close_timeout=LOCAL_ATTEMPT,
        )

    async def _answer_to(self, call: Coroutine[Any, Any, T]) -> T:
        """The outcome of a call to the charger.

        Most come at once, and each timer is two events more of history: only who will not wait as long as
        the charger may take is worth one.
        """
        outcome = asyncio.create_task(call)
        charger_speaks_by = workflow.now() + self._policy.call_timeout
        await self._until(outcome.done, None, "", pending_before=charger_speaks_by)
        return await outcome

    async def _until(
        self,
        condition: Callable[[], bool],
        at: datetime | None,
        summary: str,
        pending_before: datetime = _NEVER,
    ) -> None:
        """Wait for `condition`, at most until `at`; meanwhile callers are answered Pending in time.

        Those whose time ends at `pending_before` or later hear at the next wait.
        """

        def pending_at() -> datetime:
            next_pending = self._ledger.next_pending() or _NEVER
            return next_pending if next_pending < pending_before else _NEVER

        while not condition() and (at is None or workflow.now() < at):
            self._ledger.answer_pending()
            planned = pending_at()
            alarm = min(at or _NEVER, planned)
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: condition() or pending_at() < planned,  # noqa: B023 - awaited before it changes
                    timeout=None if alarm == _NEVER else alarm - workflow.now(),
                    timeout_summary=summary if alarm == at else "a caller waits for an answer",
                )
            # Not asked where it matters: after a local activity a replay may still be at an earlier step.
            self._is_long = self._info.is_continue_as_new_suggested()
