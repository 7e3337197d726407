"""The life of one reservation.

Callers say what they want (`reserve`, `cancel`), the gateway says what the charger did (signals). Both only
put words into a queue; `run` alone decides. It keeps two facts, what is wanted and what the charger holds,
and sends one frame at a time until they agree. Then it sleeps until expiry, a command or an event.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeUpdate

from workflows.charger_call import cancel_reservation, reserve_now
from workflows.evidence import Verdict, began_between, is_ours, judge
from workflows.memory import Concern, Doubt, Held, Memory
from workflows.messages import (
    PENDING,
    CancelAnswer,
    CancelRequest,
    CancelReservationInput,
    CancelReservationResult,
    CancelStatus,
    ChargerBooted,
    ChargerConnected,
    Event,
    ForgetInput,
    InDoubtDetail,
    Listener,
    LookInput,
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
    TimelineEntry,
    TransactionEnded,
    TransactionStarted,
)
from workflows.names import EXPIRES_AT, PORT_ID, RESERVATION_STATE

# Attempts to learn a lost answer: soon at first, then rarely, so that a mute charger is not hammered.
DOUBT_SPACING = [timedelta(seconds=s) for s in (5, 30, 120, 600, 1800)]
QUICK_DEATH = timedelta(seconds=5)  # a socket that dies this soon after our frame died of it
MAX_QUICK_DEATHS = 3
ROUTE_BACKOFF_CAP = timedelta(seconds=30)
FIRST_COMMAND_WITHIN = timedelta(seconds=60)  # update-with-start is not atomic: the update may never come
TIMELINE_LENGTH = 400

# Temporal shows the attempts of the pending activity; `charger_connected` ends the wait at once.
_WAIT_FOR_CHARGER = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=30)
)
_LOCAL_ATTEMPT = timedelta(seconds=5)

_CANNOT_RESERVE = frozenset({"NotImplemented", "NotSupported"})
_REQUEST_REFUSED = frozenset(
    {
        "FormationViolation",
        "FormatViolation",
        "ProtocolError",
        "PropertyConstraintViolation",
        "OccurenceConstraintViolation",
        "OccurrenceConstraintViolation",
        "TypeConstraintViolation",
    }
)
_NOT_BOOTED = "SecurityError"
_OUT_OF_ORDER = frozenset({"Faulted", "Unavailable"})


@dataclass
class _Reserve:
    """A caller's `reserve`, until it is answered."""

    request: ReserveRequest
    answer: ReserveAnswer | None = None
    seen: bool = False


@dataclass
class _Cancel:
    """A caller's `cancel`, until it is answered."""

    answer: CancelAnswer | None = None
    seen: bool = False


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
        self._m = Memory() if start.carried is None else Memory.model_validate(start.carried)
        self._queue: deque[_Reserve | _Cancel] = deque()
        self._events: deque[Event] = deque()
        self._asks: list[_Reserve] = []  # wait for the outcome of what is wanted
        self._cancels: list[_Cancel] = []  # wait for the charger to hold nothing
        self._info = workflow.info()
        self._idle_until = workflow.now() + FIRST_COMMAND_WITHIN

    @workflow.run
    async def run(self, start: ReservationStart) -> Snapshot:
        """Live the reservation to its end."""
        story = asyncio.create_task(self._live())
        try:
            await asyncio.shield(story)
        except asyncio.CancelledError:
            # "Request Cancellation" in the Temporal UI is a cancel like any other; frames are not torn.
            self._note("cancel requested", "by Temporal cancellation")
            self._queue.append(_Cancel())
            await story
        return self.snapshot()

    # --- what comes in: handlers record, `run` decides -----------------------------------------------

    @workflow.update(description="Hold the port on these terms; on a live reservation: change it.")
    async def reserve(self, request: ReserveRequest) -> ReserveAnswer:
        """Ask for the reservation; answers Pending when `wait` ends first or the charger is offline."""
        ask = _Reserve(request)
        self._queue.append(ask)
        await self._patiently(
            lambda: (
                ask.answer is not None or (ask.seen and self._is_waiting and not request.hold_while_offline)
            ),
            request.wait,
        )
        return ask.answer or ReserveAnswer(
            status=PENDING, state=self._m.state, reason=self._pending_reason(), holds=self._in_force()
        )

    @workflow.update(name="cancel", description="Give the port free.")
    async def cancel(self, request: CancelRequest) -> CancelAnswer:
        """Cancel the reservation; answers Pending when `wait` ends first or the charger is offline."""
        ask = _Cancel()
        self._queue.append(ask)
        await self._patiently(lambda: ask.answer is not None or (ask.seen and self._is_waiting), request.wait)
        return ask.answer or CancelAnswer(status=PENDING, state=self._m.state, reason=self._pending_reason())

    @workflow.signal(name="cancel", description="Give the port free, without waiting for the answer.")
    def cancel_without_answer(self) -> None:
        """Cancel the reservation."""
        self._queue.append(_Cancel())

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
        m = self._m
        return Snapshot(
            charger_id=self._start.charger_id,
            reservation_id=self._start.reservation_id,
            state=m.state,
            terms=m.wanted or m.held_terms,
            status=m.status,
            reason=m.reason,
            evidence=m.evidence,
            waiting_since=m.waiting_since,
            ended_at=m.ended_at,
            transaction_id=m.transaction_id,
            violations=m.violations,
            commands_waiting=len(self._queue),
            timeline=tuple(m.timeline),
        )

    # --- the story -----------------------------------------------------------------------------------

    async def _live(self) -> None:
        while True:
            self._take_events()
            self._take_commands()
            m = self._m
            if self._is_due(self._deadline()):
                await self._expire()
            elif self._is_due(m.look_at):
                await self._look_again()
            elif self._needs_frame() and (m.retry_at is None or self._is_due(m.retry_at)):
                await self._send_frame()
            elif m.ending is not None and m.held is Held.NOTHING and m.concern is None:
                self._end(m.ending, m.ending_reason)
            elif m.state.is_end and (m.held is Held.NOTHING or m.linger_until is None):
                await self._forget()
                await workflow.wait_condition(workflow.all_handlers_finished)
                if not self._queue:
                    return
            else:
                await self._rest()

    async def _rest(self) -> None:
        """Sleep until a command, an event or the next instant that matters."""
        m = self._m
        retry_at = m.retry_at if self._needs_frame() else None
        alarms = [at for at in (self._deadline(), retry_at, m.look_at) if at is not None]
        quiet = workflow.all_handlers_finished() and not self._queue
        if quiet and workflow.info().is_continue_as_new_suggested():
            workflow.continue_as_new(self._start.model_copy(update={"carried": m.model_dump(mode="json")}))
        await self._until(
            self._has_word,
            min(alarms, default=None),
            f"{m.state} until {min(alarms):%Y-%m-%d %H:%M:%S}Z" if alarms else m.state,
        )

    def _take_commands(self) -> None:
        for command in self._queue:
            command.seen = True
        while self._queue and not self._is_behind_cancel(self._queue[0]):
            head = self._queue.popleft()
            if isinstance(head, _Cancel):
                self._take_cancel(head)
            else:
                self._take_reserve(head)

    def _is_behind_cancel(self, command: _Reserve | _Cancel) -> bool:
        """Whether `command` starts anew once the cancel before it is done."""
        return isinstance(command, _Reserve) and bool(self._cancels)

    def _has_word(self) -> bool:
        """Whether there is an event, or a command whose turn it is."""
        return bool(self._events) or (bool(self._queue) and not self._is_behind_cancel(self._queue[0]))

    def _take_reserve(self, ask: _Reserve) -> None:
        if self._m.state.is_end or self._m.concern is Concern.CANCEL_REFUSED:
            self._begin_anew()
        m, request = self._m, ask.request
        if request.terms == m.wanted and m.refused_change is None:
            self._asks.append(ask)
            if not self._needs_frame():
                self._answer_asks(ReserveStatus.ACCEPTED)
            return
        self._answer_asks(ReserveStatus.REJECTED, "Superseded")
        if m.wanted is not None:
            self._note("change requested", f"until {request.terms.expires_at:%Y-%m-%d %H:%M:%S}Z")
        else:
            self._note("requested", f"until {request.terms.expires_at:%Y-%m-%d %H:%M:%S}Z")
        if m.held is Held.YES and m.wanted is not None:
            m.fallback = m.held_terms
        m.wanted = request.terms
        if m.fallback == m.wanted:
            m.fallback = None
        m.doubt, m.refused_change, m.retry_at = None, None, None
        m.force, m.reject_offline = request.force, request.offline_policy == "reject"
        if request.route is not None and m.route is None:
            m.route = request.route
        self._asks = [ask]
        self._show_terms(request.terms)

    def _take_cancel(self, ask: _Cancel) -> None:
        m = self._m
        self._answer_asks(ReserveStatus.REJECTED, "Superseded")
        self._cancels.append(ask)
        if m.state.is_end or m.concern is Concern.CANCEL_REFUSED:
            done = m.state is ReservationState.CANCELLED
            self._answer_cancels(
                CancelStatus.ACCEPTED if done else CancelStatus.REJECTED,
                None if done else "UnknownReservation",
            )
            return
        self._note("cancel requested")
        self._release(ReservationState.CANCELLED)

    def _release(self, ending: ReservationState, reason: str | None = None) -> None:
        """Want nothing any more; the run ends as `ending` once the charger holds nothing."""
        m = self._m
        m.wanted, m.fallback, m.doubt, m.refused_change, m.retry_at = None, None, None, None, None
        m.ending, m.ending_reason = ending, reason
        self._forget_concern()

    def _begin_anew(self) -> None:
        m = self._m
        self._m = Memory(
            held=Held.NOTHING if m.held is Held.NOTHING else Held.MAYBE,
            held_terms=m.held_terms,
            route=m.route,
            listening=m.listening,
            last_event_id=m.last_event_id,
            timeline=m.timeline,
        )
        self._enter(ReservationState.REQUESTED)

    # --- one frame -------------------------------------------------------------------------------------

    def _needs_frame(self) -> bool:
        m = self._m
        if m.state.is_end:
            return m.tidy
        if m.concern is Concern.CANCEL_REFUSED:
            return False
        if m.wanted is None:
            return m.held is not Held.NOTHING and m.ending is not None
        return m.held is not Held.YES or m.held_terms != m.wanted

    def _must_cancel_first(self) -> bool:
        m = self._m
        if m.wanted is None or m.doubt is not None:
            return True
        # Some chargers would hold both ports under one id (protocol notes §9.2).
        moves = m.held_terms is not None and m.held_terms.port_number != m.wanted.port_number
        return m.held is not Held.NOTHING and moves

    async def _send_frame(self) -> None:
        route = await self._find_route()
        if route is None or self._has_word():
            return  # whatever came meanwhile is heard first
        self._m.retry_at = None
        if self._must_cancel_first():
            await self._send_cancel(route)
        else:
            await self._send_reserve(route)

    async def _send_reserve(self, route: Route) -> None:
        m = self._m
        if m.wanted is None:
            return
        terms = m.wanted
        m.first_sent_at = m.first_sent_at or workflow.now()
        m.listening = True
        if m.state is ReservationState.REQUESTED:
            self._enter(ReservationState.SENDING)
        asked_before = m.held is not Held.NOTHING
        answer = await reserve_now(
            ReserveNowInput(
                charger_id=self._start.charger_id,
                reservation_id=self._start.reservation_id,
                terms=terms,
                epoch=route.epoch,
                force=m.force,
                call_timeout=self._policy.call_timeout,
                write_within=self._policy.write_within,
                first_run_id=self._info.first_execution_run_id,
            ),
            route,
            self._policy,
            f"{self._place(terms)} until {terms.expires_at:%H:%M:%S}Z"
            + (", asking again" if asked_before else ""),
        )
        match answer:
            case NotSentDetail():
                self._lose_route(answer)
            case InDoubtDetail():
                m.held, m.held_terms = Held.MAYBE, terms
                self._lose_answer("ReserveNow", answer)
            case ReserveNowResult():
                self._hear_reserve(terms, answer)

    def _hear_reserve(self, terms: Terms, answer: ReserveNowResult) -> None:
        m = self._m
        if answer.error == _NOT_BOOTED:
            self._note("charger not ready", "sent again after its next boot")
            m.reason, m.waiting_since = "ChargerNotReady", workflow.now()
            m.doubts += 1
            self._retry_later()
            return
        self._hear()
        said = answer.status or f"CALLERROR {answer.error}"
        self._note(
            "charger answered" if answer.sent else "not sent",
            f"ReserveNow {said} {answer.reason or ''}".rstrip(),
        )
        if answer.status is ReserveStatus.ACCEPTED:
            m.held, m.held_terms = Held.YES, terms
            m.fallback, m.was_active = None, True
            m.status, m.evidence = ReserveStatus.ACCEPTED, "ReserveNow Accepted"
            self._forget_concern()
            if m.state is not ReservationState.ACTIVE:
                self._enter(ReservationState.ACTIVE)
            change, m.refused_change = m.refused_change, None
            if change is None:
                self._answer_asks(ReserveStatus.ACCEPTED)
            else:
                self._show_terms(terms)
                self._answer_asks(change.status or ReserveStatus.REJECTED, _reason(change))
        elif _may_hold(answer.error):
            m.held, m.held_terms = Held.MAYBE, terms
            m.doubt = Doubt(answer=answer, again=False)
        elif m.held is Held.NOTHING:
            self._accept_refusal(answer)
        else:
            m.doubt = Doubt(answer=answer, again=answer.sent)

    def _accept_refusal(self, answer: ReserveNowResult) -> None:
        """The charger refused and holds nothing of ours."""
        m = self._m
        status, reason = answer.status or ReserveStatus.REJECTED, _reason(answer)
        if m.fallback is not None:
            self._note("change refused", "restoring the former reservation")
            m.wanted, m.fallback, m.refused_change = m.fallback, None, answer
            return
        m.status, m.evidence = status, f"ReserveNow {answer.status or answer.error}"
        if m.refused_change is not None:
            change, m.refused_change = m.refused_change, None
            self._end(ReservationState.REMOVED, "ChangeRefused", change.status, _reason(change))
        elif m.was_active:
            self._end(ReservationState.REMOVED, "LostByCharger", status, reason)
        else:
            self._end(ReservationState.REJECTED, reason, status, reason)

    async def _send_cancel(self, route: Route) -> None:
        m = self._m
        answer = await cancel_reservation(
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
        match answer:
            case NotSentDetail():
                self._lose_route(answer)
            case InDoubtDetail():
                m.cancel_in_doubt = True
                m.held = Held.MAYBE
                self._lose_answer("CancelReservation", answer)
            case CancelReservationResult():
                self._hear_cancel(answer)

    def _hear_cancel(self, answer: CancelReservationResult) -> None:
        m = self._m
        self._note("charger answered", f"CancelReservation {answer.status or f'CALLERROR {answer.error}'}")
        any_answer_will_do = m.ending is ReservationState.REMOVED or (
            m.doubt is not None and not m.doubt.again
        )
        if _may_hold(answer.error) and not any_answer_will_do:
            m.held, m.cancel_in_doubt = Held.MAYBE, True
            m.doubts += 1
            self._enter(ReservationState.UNKNOWN, f"OcppError:{answer.error}")
            self._retry_later()
            return
        self._hear()
        accepted = answer.status is CancelStatus.ACCEPTED
        certain = m.held is Held.YES and not m.cancel_in_doubt
        m.held, m.cancel_in_doubt, m.tidy = Held.NOTHING, False, False
        if m.doubt is not None:
            doubt, m.doubt = m.doubt, None
            if not (accepted and doubt.again):
                self._accept_refusal(doubt.answer)
        elif m.ending is ReservationState.CANCELLED and not accepted and certain:
            # It holds nothing under this number; perhaps a driver was quicker and the word is on its way.
            m.ending = None
            self._worry(Concern.CANCEL_REFUSED)
            self._enter(ReservationState.UNKNOWN, "UnknownReservation")
            self._answer_cancels(CancelStatus.REJECTED, "UnknownReservation")
        elif m.ending is not None:
            m.evidence = f"CancelReservation {answer.status or answer.error}"

    def _hear(self) -> None:
        """The charger spoke: nothing is in the way any more."""
        m = self._m
        m.doubts, m.quick_deaths, m.route_failures = 0, 0, 0
        m.failed_route, m.waiting_since = None, None

    # --- silence ---------------------------------------------------------------------------------------

    def _lose_route(self, why: NotSentDetail) -> None:
        """Nothing was written: safe, route again."""
        m = self._m
        self._note("not sent", why.cause.replace("_", " "))
        m.failed_route, m.route = m.route, None
        m.route_failures += 1

    def _lose_answer(self, action: str, why: InDoubtDetail) -> None:
        """Written, and no answer came: in doubt is not refused."""
        m = self._m
        self._note("answer lost", f"{action}: {why.cause.replace('_', ' ')}")
        m.doubts += 1
        quick = why.cause == "socket_closed" and why.after < QUICK_DEATH
        m.quick_deaths = m.quick_deaths + 1 if quick else 0
        if why.cause != "timeout":
            m.route = None
        if m.quick_deaths >= MAX_QUICK_DEATHS:
            self._give_up(action)
            return
        if not m.state.is_end:
            self._enter(ReservationState.UNKNOWN, "NoResponse")
        self._retry_later()

    def _retry_later(self) -> None:
        m = self._m
        m.retry_at = workflow.now() + DOUBT_SPACING[min(max(m.doubts - 1, 0), len(DOUBT_SPACING) - 1)]

    def _give_up(self, action: str) -> None:
        m = self._m
        m.held, m.tidy = Held.NOTHING, False
        m.evidence = f"{MAX_QUICK_DEATHS} sockets died on {action}"
        if not m.state.is_end:
            self._end(ReservationState.FAILED, "ChargerFailsOnCommand")

    async def _find_route(self) -> Route | None:
        """The gateway that holds the charger's socket; None when something else comes first."""
        m = self._m
        if m.route is not None:
            return m.route
        view = await self._look()
        if view.route is None:
            await self._wait_for_charger()
        elif view.route == m.failed_route:
            m.failed_route = None
            m.retry_at = workflow.now() + min(
                timedelta(seconds=2 ** (m.route_failures - 1)), ROUTE_BACKOFF_CAP
            )
        else:
            m.route, m.waiting_since = view.route, None
        return m.route

    async def _wait_for_charger(self) -> None:
        m = self._m
        if m.reject_offline and m.held is Held.NOTHING and m.wanted is not None:
            self._accept_refusal(
                ReserveNowResult(status=ReserveStatus.REJECTED, reason="ChargerOffline", sent=False)
            )
            return
        if m.waiting_since is None:
            self._note("charger offline", "waiting for it to connect")
            m.waiting_since = workflow.now()
            if m.state is ReservationState.REQUESTED:
                self._enter(ReservationState.SENDING, "ChargerOffline")
        m.listening = True
        terms = m.wanted or m.held_terms
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
            self._deadline(),
            "until the charger is back",
        )
        if not wait.done():
            wait.cancel()
        elif wait.exception() is None:
            self._return_of_charger(wait.result())

    def _return_of_charger(self, route: Route) -> None:
        m = self._m
        if m.waiting_since is not None:
            self._note("charger connected")
        m.route, m.waiting_since, m.retry_at = route, None, None
        if m.reason in {"ChargerOffline", "ChargerNotReady"}:
            m.reason = None

    # --- what the charger reports ------------------------------------------------------------------------

    def _take_events(self) -> None:
        m = self._m
        while self._events:
            event = self._events.popleft()
            if event.first_run_id not in ("", self._info.first_execution_run_id):
                continue
            if 0 < event.event_id <= m.last_event_id:
                continue  # delivered twice
            m.last_event_id = max(m.last_event_id, event.event_id)
            if isinstance(event, ChargerConnected):
                self._on_connected(event)
            elif m.first_sent_at is not None and event.at >= m.first_sent_at:
                self._on_event(event)

    def _on_connected(self, event: ChargerConnected) -> None:
        m = self._m
        if m.route is None or event.route.epoch > m.route.epoch:
            self._return_of_charger(event.route)
        if m.concern is not None or m.linger_until is not None:
            m.look_at = workflow.now() + self._policy.settle

    def _on_event(self, event: Event) -> None:
        m = self._m
        match event:
            case TransactionStarted():
                self._on_transaction(event)
            case TransactionEnded(transaction_id=ended) if ended == m.foreign_transaction:
                m.foreign_transaction = None
                self._worry(Concern.FOREIGN_USE)
            case ChargerBooted():
                self._note("charger restarted")
                if m.reason == "ChargerNotReady":
                    m.retry_at = None
                if m.state is ReservationState.ACTIVE and m.concern is None:
                    self._worry(Concern.RESTARTED)
            case PortStatusChanged() if m.state is ReservationState.ACTIVE:
                self._on_port_status(event)
            case ReservationEnded() if event.reservation_id == self._start.reservation_id:
                self._on_reservation_ended(event)

    def _on_transaction(self, event: TransactionStarted) -> None:
        m = self._m
        terms = m.held_terms or m.wanted
        if terms is None or m.first_sent_at is None or (m.state.is_end and m.linger_until is None):
            return
        if not began_between(event, m.first_sent_at, terms.expires_at, self._policy.expiry_grace):
            return
        verdict = judge(event, self._start.reservation_id, terms)
        if verdict is Verdict.USED:
            m.transaction_id = event.transaction_id
            foreign = event.id_tag is not None and not is_ours(event, terms)
            m.evidence = f"transaction {event.transaction_id}" + (", by a foreign token" if foreign else "")
            self._note("used", m.evidence)
            m.held = Held.NOTHING
            self._end(ReservationState.USED)
        elif verdict is Verdict.VIOLATED and event.transaction_id != m.foreign_transaction:
            m.violations += 1
            m.foreign_transaction = event.transaction_id
            self._note(
                "violated", f"transaction {event.transaction_id} by a foreign token on the reserved port"
            )

    def _on_port_status(self, event: PortStatusChanged) -> None:
        m = self._m
        if m.held_terms is None or event.port_number != m.held_terms.port_number:
            return
        self._note("port status", event.status)
        out_of_order = m.concern is Concern.OUT_OF_ORDER
        if event.status in _OUT_OF_ORDER:
            self._worry(Concern.OUT_OF_ORDER)
        elif out_of_order:
            self._worry(Concern.RECOVERED)
        elif event.status == "Reserved":
            m.reserved_shown = True
            if m.concern is Concern.AVAILABLE:
                self._forget_concern()
        elif event.status == "Available" and m.concern is None:
            self._worry(Concern.AVAILABLE)

    def _on_reservation_ended(self, event: ReservationEnded) -> None:
        m = self._m
        if m.state.is_end or m.held is Held.NOTHING or m.held_terms is None:
            return
        self._note("charger reports", f"reservation {event.status}")
        if event.status == "Expired":
            # A word about earlier terms may come late from an offline queue; then the charger is asked.
            if workflow.now() < m.held_terms.expires_at - self._policy.expiry_grace:
                self._worry(Concern.EARLY_EXPIRY)
                return
            m.held, m.evidence = Held.NOTHING, "ReservationStatusUpdate Expired"
            self._end(ReservationState.EXPIRED)
        else:
            m.held, m.evidence = Held.NOTHING, f"ReservationStatusUpdate {event.status}"
            reason = "RemovedByCharger" if event.status == "Removed" else "ConsumedWithoutTransaction"
            self._end(ReservationState.REMOVED, reason)

    # --- second looks --------------------------------------------------------------------------------------

    def _worry(self, concern: Concern) -> None:
        m = self._m
        m.concern, m.concern_since = concern, workflow.now()
        m.look_at = workflow.now() + self._policy.settle

    def _forget_concern(self) -> None:
        m = self._m
        m.concern, m.concern_since, m.look_at = None, None, None

    async def _look_again(self) -> None:
        """The settle time is over: what does the port show now?"""
        m = self._m
        m.look_at = None
        if m.concern is Concern.CANCEL_REFUSED:
            self._forget_concern()
            m.evidence = "CancelReservation Rejected"
            self._end(ReservationState.REMOVED, "UnknownReservation")
            return
        view = await self._look()
        if view.route is None:
            return  # its next connection brings a new look
        if view.ready_for < self._policy.settle:
            m.look_at = workflow.now() + self._policy.settle - view.ready_for
        elif m.linger_until is not None:
            if m.held is Held.MAYBE or view.status == "Reserved":
                self._note("tidying up", "the port still shows Reserved after expiry")
                m.tidy = True
            else:
                m.held = Held.NOTHING
        elif m.concern is not None and m.held is Held.YES:
            self._conclude(m.concern, view)

    def _conclude(self, concern: Concern, view: PortView) -> None:
        m = self._m
        if view.status in _OUT_OF_ORDER and self._has_port():
            if concern is Concern.OUT_OF_ORDER:
                m.evidence = f"port {view.status}"
                self._release(ReservationState.REMOVED, f"Port{view.status}")
            else:
                self._worry(Concern.OUT_OF_ORDER)
            return
        consumed = concern is Concern.AVAILABLE and view.protocol != "ocpp1.6" and m.reserved_shown
        if view.status == "Available" and consumed:
            # H03.FR.09/10: presenting the token consumes the reservation; the cable may still come.
            plug_in_by = (m.concern_since or workflow.now()) + self._policy.connection_timeout
            if workflow.now() < plug_in_by:
                m.look_at = plug_in_by
                return
            m.held, m.evidence = Held.NOTHING, "port Available"
            self._end(ReservationState.REMOVED, "ConsumedWithoutTransaction")
        elif (
            view.status == "Available"
            or not self._has_port()
            or concern in (Concern.RECOVERED, Concern.EARLY_EXPIRY)
        ):
            self._note("asking again", f"after {concern.replace('_', ' ')}")
            self._forget_concern()
            m.held = Held.MAYBE
        elif view.status == "Reserved":
            self._forget_concern()

    async def _expire(self) -> None:
        """Our own clock: the charger's word makes the end only earlier or more precise."""
        m = self._m
        if m.state.is_end:
            m.held, m.tidy, m.linger_until = Held.NOTHING, False, None
            return
        never_asked = m.wanted is None and m.ending is None and m.concern is None
        m.wanted, m.fallback, m.doubt, m.refused_change = None, None, None, None
        m.evidence = "timer"
        if never_asked:
            self._end(ReservationState.FAILED, "NeverRequested")
            return
        if m.held is not Held.NOTHING:
            view = await self._look()
            if m.held is Held.MAYBE or view.route is None or view.status == "Reserved":
                m.linger_until = workflow.now() + self._policy.linger
                m.look_at = workflow.now() + self._policy.settle if view.route is not None else None
            else:
                m.held = Held.NOTHING
        lingering = m.linger_until
        look_at = m.look_at
        self._end(ReservationState.EXPIRED, m.reason if m.first_sent_at is None else None)
        m.linger_until, m.look_at = lingering, look_at

    # --- small print -------------------------------------------------------------------------------------

    def _end(
        self,
        state: ReservationState,
        reason: str | None = None,
        answer: ReserveStatus | None = None,
        answer_reason: str | None = None,
    ) -> None:
        """The one way into an end state; who still waits is answered."""
        m = self._m
        m.ended_at = workflow.now()
        m.wanted, m.ending, m.ending_reason, m.retry_at, m.waiting_since = None, None, None, None, None
        m.doubt, m.fallback, m.linger_until, m.tidy = None, None, None, False
        self._forget_concern()
        self._enter(state, reason)
        if answer is None:
            answer = ReserveStatus.ACCEPTED if state is ReservationState.USED else ReserveStatus.REJECTED
            answer_reason = reason or state.capitalize()
        self._answer_asks(answer, answer_reason)
        if state in (ReservationState.CANCELLED, ReservationState.EXPIRED):
            self._answer_cancels(CancelStatus.ACCEPTED, reason)
        else:
            self._answer_cancels(CancelStatus.REJECTED, reason or state.capitalize())

    def _enter(self, state: ReservationState, reason: str | None = None) -> None:
        """The one writer of the state."""
        m = self._m
        m.state, m.reason = state, reason
        self._note(state, reason or "")
        workflow.upsert_search_attributes([RESERVATION_STATE.value_set(state)])

    def _show_terms(self, terms: Terms) -> None:
        shown: list[SearchAttributeUpdate[Any]] = [EXPIRES_AT.value_set(terms.expires_at)]
        if terms.port_id is not None:
            shown.append(PORT_ID.value_set(terms.port_id))
        workflow.upsert_search_attributes(shown)

    def _note(self, event: str, detail: str = "") -> None:
        m = self._m
        m.timeline.append(TimelineEntry(at=workflow.now(), event=event, detail=detail))
        if len(m.timeline) > TIMELINE_LENGTH:
            del m.timeline[1]  # the beginning and the recent past tell most
        workflow.set_current_details(
            "\n".join(f"- {e.at:%Y-%m-%d %H:%M:%S}Z {e.event} {e.detail}" for e in m.timeline[-20:])
        )

    def _answer_asks(self, status: ReserveStatus, reason: str | None = None) -> None:
        for ask in self._asks:
            ask.answer = ReserveAnswer(
                status=status, state=self._m.state, reason=reason, holds=self._in_force()
            )
        self._asks = []

    def _answer_cancels(self, status: CancelStatus, reason: str | None = None) -> None:
        for ask in self._cancels:
            ask.answer = CancelAnswer(status=status, state=self._m.state, reason=reason)
        self._cancels = []

    def _in_force(self) -> Terms | None:
        m = self._m
        return m.held_terms if m.held is Held.YES else None

    @property
    def _is_waiting(self) -> bool:
        return self._m.waiting_since is not None

    def _pending_reason(self) -> str | None:
        if self._m.reason is not None:
            return self._m.reason
        return "ChargerOffline" if self._is_waiting else None

    def _has_port(self) -> bool:
        terms = self._m.held_terms
        return terms is not None and terms.port_number is not None

    def _place(self, terms: Terms) -> str:
        port = "any port" if terms.port_number is None else f"port {terms.port_number}"
        return f"{self._start.ocpp_identity} {port}, reservation {self._start.reservation_id}"

    def _deadline(self) -> datetime | None:
        """When our own clock ends this: expiry, with a grace once the charger was asked."""
        m = self._m
        if m.state.is_end:
            return m.linger_until
        terms = m.wanted or m.held_terms
        if terms is None:
            return self._idle_until
        return terms.expires_at + (timedelta(0) if m.held is Held.NOTHING else self._policy.expiry_grace)

    def _is_due(self, at: datetime | None) -> bool:
        return at is not None and workflow.now() >= at

    async def _look(self) -> PortView:
        terms = self._m.wanted or self._m.held_terms
        view: PortView = await workflow.execute_local_activity(
            "LookAtCharger",
            LookInput(charger_id=self._start.charger_id, port_number=terms.port_number if terms else None),
            result_type=PortView,
            start_to_close_timeout=_LOCAL_ATTEMPT,
        )
        return view

    async def _forget(self) -> None:
        if not self._m.listening:
            return
        self._m.listening = False
        await workflow.execute_local_activity(
            "ForgetListener",
            ForgetInput(
                charger_id=self._start.charger_id,
                reservation_id=self._start.reservation_id,
                first_run_id=self._info.first_execution_run_id,
            ),
            start_to_close_timeout=_LOCAL_ATTEMPT,
        )

    async def _patiently(self, condition: Callable[[], bool], wait: timedelta) -> None:
        await self._until(condition, workflow.now() + wait, "the caller waits for an answer")

    async def _until(self, condition: Callable[[], bool], at: datetime | None, summary: str) -> None:
        """Wait for `condition`, at most until `at`."""
        timeout = None if at is None else max(at - workflow.now(), timedelta(0))
        try:
            await workflow.wait_condition(condition, timeout=timeout, timeout_summary=summary)
        except TimeoutError:
            return


def _may_hold(error: str | None) -> bool:
    """Trouble inside the charger, or rubbish: it may have done what was asked all the same."""
    return error is not None and error not in _CANNOT_RESERVE | _REQUEST_REFUSED


def _reason(answer: ReserveNowResult) -> str | None:
    if answer.error in _CANNOT_RESERVE:
        return "ReservationUnsupported"
    if answer.error is not None:
        return answer.error if answer.error == "InvalidResponse" else f"OcppError:{answer.error}"
    return answer.reason
