"""The reservation's state machine: what follows from its inputs, and what it does next.

Pure: no clock, no I/O, no Temporal. What comes next is a table (`precedence.py`); what a command, an answer,
an event or a look means stands in the files named for them, and they write one record (`record.py`).
"""

from datetime import datetime, timedelta

from pydantic import JsonValue

from workflows.messages import (
    Event,
    ReservationStart,
    ReservationState,
    Snapshot,
)
from workflows.reservation import answers, commands, events, port_check, routing
from workflows.reservation.effects import Effect
from workflows.reservation.inputs import (
    CancelCommand,
    CancelOutcome,
    ChargerBack,
    Decision,
    EventsStored,
    Input,
    Looked,
    LookFor,
    ReserveCommand,
    ReserveOutcome,
    Tick,
    Unsubscribed,
)
from workflows.reservation.precedence import PRECEDENCE, Situation
from workflows.reservation.record import Observed, ReservationRecord
from workflows.reservation.requests import OpenRequest, Requests
from workflows.reservation.steps import (
    Step,
)
from workflows.reservation.transition import Transition

FIRST_COMMAND_WITHIN = timedelta(seconds=60)  # update-with-start is not atomic: the update may never come
STORE_EVENTS_AGAIN_AFTER = timedelta(seconds=30)


class ReservationMachine:
    """One reservation. `apply` an input, then perform `next_step` and apply its outcome."""

    def __init__(self, start: ReservationStart, first_run_id: str, now: datetime) -> None:
        self.start = start
        self.record = (
            ReservationRecord() if start.carried is None else ReservationRecord.model_validate(start.carried)
        )
        self.requests = Requests()
        if self.record.behind_end is not None:
            self.requests.queue.append(OpenRequest(ReserveCommand(self.record.behind_end)))
            self.record.behind_end = None
        self._first_run_id = first_run_id
        self._idle_until = now + FIRST_COMMAND_WITHIN

    def apply(self, input: Input, now: datetime) -> list[Effect]:
        """Take one input; what follows from it."""
        t = Transition(self.start, self._first_run_id, self.record, self.requests, now)
        match input:
            case ReserveCommand() | CancelCommand():
                commands.enqueue(t, input)
            case Event():
                events.on_event(t, input)
            case ReserveOutcome():
                answers.on_reserve_outcome(t, input)
            case CancelOutcome():
                answers.on_cancel_outcome(t, input)
            case Looked(purpose=LookFor.ROUTE):
                routing.on_route_look(t, input.view)
            case Looked(purpose=LookFor.CHECK):
                port_check.on_look(t, input.view)
            case Looked(purpose=LookFor.EXPIRY):
                port_check.on_expiry(t, input.view)
            case ChargerBack():
                t.reach(input.route)
            case EventsStored() | Unsubscribed():
                _on_stored(t, input)
            case Decision():
                _decide(t, input)
            case Tick():
                t.answer_pending(everyone=input.in_hurry)
        commands.take_all(t)
        self.record = t.record
        return t.effects

    def next_step(self, now: datetime) -> Step:
        """The first step of `PRECEDENCE` that is due."""
        situation = Situation(self.start, self._first_run_id, self.record, now, self._idle_until)
        return next(step for row in PRECEDENCE if (step := row.step(situation)) is not None)

    def carried(self) -> dict[str, JsonValue]:
        """The record for the run that continues this one, when no caller waits any more.

        Of the commands behind an end that is under way the last one covers those before it.
        """
        queue = self.requests.queue
        last = queue[-1].command if queue else None
        self.record.behind_end = last.request if isinstance(last, ReserveCommand) else None
        return self.record.model_dump(mode="json")

    def snapshot(self) -> Snapshot:
        """The reservation as it stands."""
        r = self.record
        return Snapshot(
            charger_id=self.start.charger_id,
            reservation_id=self.start.reservation_id,
            state=r.state,
            terms=r.latest_terms,
            status=r.status,
            reason=r.reason,
            evidence=r.evidence,
            waiting_since=r.routing.waiting_since,
            ended_at=r.ended_at,
            transaction_id=r.transaction_id,
            violations=r.violations,
            commands_waiting=len(self.requests.queue),
            timeline=tuple(r.timeline),
        )


def _decide(t: Transition, decision: Decision) -> None:
    r = t.record
    match decision:
        case Decision.FINISH if r.ending is not None:
            t.end(r.ending.state, r.ending.reason)
        case Decision.GIVE_UP_UNASKED:
            r.evidence = "timer"
            t.end(ReservationState.FAILED, "NeverRequested")
        case Decision.EXPIRE_UNHELD:
            port_check.expire(t)
        case Decision.STOP_WATCHING:
            r.observed, r.needs_cleanup_cancel, r.watch_until = Observed.NOTHING, False, None
            t.clear_check()
        case Decision.CONCLUDE_REFUSED_CANCEL:
            t.clear_check()
            r.evidence = "CancelReservation Rejected"
            t.end(ReservationState.REMOVED, "UnknownReservation")
        case Decision.BEGIN_SENDING:
            t.enter(ReservationState.SENDING)


def _on_stored(t: Transition, input: EventsStored | Unsubscribed) -> None:
    r = t.record
    if isinstance(input, Unsubscribed):
        r.is_subscribed = False
        if r.stirred_at is not None:
            r.quiet_until = r.stirred_at + t.policy.quiet
    elif not input.succeeded:
        r.webhooks.retry_at = t.now + STORE_EVENTS_AGAIN_AFTER
        return
    del r.webhooks.events[: input.count]
    r.webhooks.retry_at = None
