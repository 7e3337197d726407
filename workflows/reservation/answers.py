"""What a charger's answer to a frame means for its reservation, and what a missing answer means."""

from datetime import timedelta

from workflows.messages import (
    CancelReservationResult,
    CancelStatus,
    InDoubtDetail,
    NotSentDetail,
    ReservationState,
    ReserveNowInput,
    ReserveNowResult,
    ReserveStatus,
)
from workflows.reservation.inputs import CancelOutcome, ReserveOutcome
from workflows.reservation.record import CheckReason, Observed, UncertainRefusal, WaitsFor
from workflows.reservation.transition import CANNOT_RESERVE, Transition, after, reason_of, status_of
from workflows.webhook_events import RESERVE_ACCEPTED, EventType

# Attempts to learn a lost answer: soon at first, then rarely, so that a mute charger is not hammered.
UNANSWERED_SPACING = [timedelta(seconds=s) for s in (5, 30, 120, 600, 1800)]
EARLY_DISCONNECT = timedelta(seconds=5)  # a socket that ends this soon after our frame ended by it
MAX_EARLY_DISCONNECTS = 3
EVENTS_COME_WITHIN = timedelta(seconds=2)

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
_NOT_BOOTED = "SecurityError"  # of a charger that was not accepted yet (OCPP-J 1.6 §4.2.3)


def on_reserve_outcome(t: Transition, outcome: ReserveOutcome) -> None:
    """ReserveNow was answered, or not, or not sent."""
    result = outcome.result
    terms = outcome.argument.terms
    t.record.attempts.generation = outcome.argument.generation
    t.record.is_subscribed = True
    was_sent = isinstance(result, InDoubtDetail) or (isinstance(result, ReserveNowResult) and result.sent)
    if was_sent:
        attempts = t.record.attempts
        if attempts.first_sent_at is None:
            attempts.first_sent_at, attempts.first_generation = outcome.asked_at, attempts.generation
        t.record.reject_offline = False
        if t.record.routing.route is not None:
            routing = t.record.routing
            routing.socket_epoch = max(routing.socket_epoch, t.record.routing.route.epoch)
    match result:
        case NotSentDetail():
            _on_not_sent(t, result)
        case InDoubtDetail():
            t.hold(Observed.UNCERTAIN, terms)
            _on_no_answer(t, "ReserveNow", result)
        case ReserveNowResult():
            _on_reserve_result(t, outcome.argument, result)


def on_cancel_outcome(t: Transition, outcome: CancelOutcome) -> None:
    """CancelReservation was answered, or not, or not sent."""
    result = outcome.result
    match result:
        case NotSentDetail():
            _on_not_sent(t, result)
        case InDoubtDetail():
            t.record.attempts.is_cancel_unanswered = True
            t.record.observed = Observed.UNCERTAIN
            _on_no_answer(t, "CancelReservation", result)
        case CancelReservationResult(is_port_held=True):
            t.note("not sent", "another reservation holds the port to move to")
            refuse_unsent(
                t,
                ReserveNowResult(status=ReserveStatus.OCCUPIED, reason="ReservedByOther", sent=False),
            )
        case CancelReservationResult():
            _on_cancel_result(t, result)


def refuse_unsent(t: Transition, answer: ReserveNowResult) -> None:
    """Berth itself refused: whatever the charger holds, it goes on holding."""
    r = t.record
    held, former = r.observed_terms, r.fallback
    is_move = held is not None and r.desired is not None and held.port_number != r.desired.port_number
    if is_move and r.observed is Observed.UNCERTAIN:
        former = held  # what may be held elsewhere stays as uncertain as it was
    if r.observed is Observed.NOTHING:
        _accept_refusal(t, answer)
    elif former is not None:
        r.desired, r.fallback = former, None
        t.note("change refused", "the former reservation stays")
        t.show_terms(r.desired)
        t.answer_reserves(status_of(answer), reason_of(answer))
    else:
        r.uncertain_refusal = UncertainRefusal(answer=answer, again=False)


def _on_reserve_result(t: Transition, asked: ReserveNowInput, answer: ReserveNowResult) -> None:
    r = t.record
    if answer.error == _NOT_BOOTED:
        _wait_for_boot(t)
        return
    said = answer.status or f"CALLERROR {answer.error}"
    t.note(
        "charger answered" if answer.sent else "not sent",
        f"ReserveNow {said} {answer.reason or ''}".rstrip(),
    )
    if not answer.sent:
        refuse_unsent(t, answer)
        return
    _note_answered(t)
    if answer.status is ReserveStatus.ACCEPTED:
        _on_accepted(t, asked, answer)
    elif _may_hold(answer.error):
        t.hold(Observed.UNCERTAIN, asked.terms)
        r.uncertain_refusal = UncertainRefusal(answer=answer, again=False)
    elif r.observed is Observed.NOTHING:
        _accept_refusal(t, answer)
    else:
        # Some chargers drop the former reservation before they refuse the new content.
        r.observed = Observed.UNCERTAIN
        r.uncertain_refusal = UncertainRefusal(answer=answer, again=True)


def _on_accepted(t: Transition, asked: ReserveNowInput, answer: ReserveNowResult) -> None:
    r, terms = t.record, asked.terms
    t.hold(Observed.HELD, terms)
    r.fallback, r.was_active = None, True
    r.status, r.evidence = ReserveStatus.ACCEPTED, RESERVE_ACCEPTED
    r.possible_use = None
    r.attempts.accepted_generation = r.attempts.generation
    if asked.event_id and asked.event_at is not None:  # the gateway stored an event of that instant
        r.latest_at = max(r.latest_at or asked.event_at, asked.event_at)
    t.clear_check()
    if r.state is not ReservationState.ACTIVE:
        t.enter(ReservationState.ACTIVE)
        if answer.is_event_lost:
            t.add_webhook_event(EventType.RESERVATION_ACTIVE, terms, event_id=asked.event_id)
        else:  # the gateway stored it with the answer
            t.count_webhook_event(EventType.RESERVATION_ACTIVE)
    change, r.refused_change = r.refused_change, None
    if change is None:
        t.answer_reserves(ReserveStatus.ACCEPTED)
    else:
        t.show_terms(terms)
        t.answer_reserves(status_of(change), reason_of(change))


def _accept_refusal(t: Transition, answer: ReserveNowResult) -> None:
    """The charger refused and holds nothing of ours."""
    r = t.record
    status, reason = status_of(answer), reason_of(answer)
    if r.fallback is not None and t.now >= r.fallback.expires_at:
        r.evidence = "timer"
        t.end(ReservationState.EXPIRED, None, status, reason)
        return
    if r.fallback is not None:
        t.note("change refused", "restoring the former reservation")
        r.desired, r.fallback, r.refused_change = r.fallback, None, answer
        return
    r.status, r.evidence = status, f"ReserveNow {answer.status or answer.error}"
    if r.refused_change is not None:
        t.end(ReservationState.REMOVED, "ChangeRefused")
    elif r.was_active:
        t.end(ReservationState.REMOVED, "LostByCharger", status, reason)
    else:
        t.end(ReservationState.REJECTED, reason, status, reason)


def _on_cancel_result(t: Transition, answer: CancelReservationResult) -> None:
    """Rejected means that the charger holds nothing under our number (OCPP 2.0.1 H02.FR.01)."""
    r, attempts = t.record, t.record.attempts
    if answer.error == _NOT_BOOTED:
        _wait_for_boot(t)
        return
    t.note("charger answered", f"CancelReservation {answer.status or f'CALLERROR {answer.error}'}")
    is_removal = r.ending is not None and r.ending.state is ReservationState.REMOVED
    is_cancel = r.ending is not None and r.ending.state is ReservationState.CANCELLED
    refusal = r.uncertain_refusal
    any_answer_will_do = is_removal or (refusal is not None and not refusal.again)
    if _may_hold(answer.error) and not any_answer_will_do:
        r.observed, attempts.is_cancel_unanswered = Observed.UNCERTAIN, True
        attempts.unanswered_count += 1
        if not r.state.is_end:
            t.enter(ReservationState.UNKNOWN, f"OcppError:{answer.error}")
        _retry_later(t)
        return
    _note_answered(t)
    # Rejected after a lost answer: the first attempt may have done it.
    accepted = answer.status is CancelStatus.ACCEPTED or attempts.is_cancel_unanswered
    was_certain = r.observed is Observed.HELD
    r.stirred_at = t.now
    r.observed, attempts.is_cancel_unanswered = Observed.NOTHING, False
    if r.state.is_end:
        r.needs_cleanup_cancel = False
        if r.state is ReservationState.USED:
            r.watch_until = None
    elif refusal is not None:
        r.uncertain_refusal = None
        if not (accepted and refusal.again):
            _accept_refusal(t, refusal.answer)
    elif is_cancel and was_certain and not accepted:
        # It holds nothing under this number; perhaps a driver was quicker and the report is on its way.
        r.ending = None
        t.schedule_check(CheckReason.CANCEL_REFUSED)
        t.enter(ReservationState.UNKNOWN, "UnknownReservation")
        t.answer_cancels(CancelStatus.REJECTED, "UnknownReservation")
    elif r.ending is not None:
        r.evidence = f"CancelReservation {answer.status or answer.error}"


def _wait_for_boot(t: Transition) -> None:
    """It takes no commands yet, and did nothing."""
    r = t.record
    t.note("charger not ready", "sent again after its next boot")
    if not r.state.is_end:
        r.reason = "ChargerNotReady"
    r.routing.waits_for, r.routing.waiting_since = WaitsFor.BOOT, t.now
    r.attempts.unanswered_count += 1
    _retry_later(t)


def _note_answered(t: Transition) -> None:
    """The charger answered: nothing is in the way any more."""
    attempts, routing = t.record.attempts, t.record.routing
    attempts.unanswered_count, attempts.early_disconnects = 0, 0
    routing.failure_count, routing.failed_route = 0, None
    routing.waits_for = routing.waiting_since = None


def _on_not_sent(t: Transition, why: NotSentDetail) -> None:
    """Nothing was written: safe, route again."""
    t.note("not sent", why.cause.replace("_", " "))
    routing = t.record.routing
    if why.cause == "events_waiting":
        # A use may be among them. They are on their way, and come before the next attempt.
        t.record.attempts.retry_at = t.now + EVENTS_COME_WITHIN
        return
    routing.failed_route, routing.route = routing.route, None
    routing.failure_count += 1


def _on_no_answer(t: Transition, action: str, why: InDoubtDetail) -> None:
    """Written, and no answer came: in doubt is not refused."""
    r, attempts = t.record, t.record.attempts
    t.note("answer lost", f"{action}: {why.cause.replace('_', ' ')}")
    attempts.unanswered_count += 1
    is_early = why.cause == "socket_closed" and why.after < EARLY_DISCONNECT
    attempts.early_disconnects = attempts.early_disconnects + 1 if is_early else 0
    if why.cause != "timeout":
        r.routing.route = None
    if attempts.early_disconnects >= MAX_EARLY_DISCONNECTS:
        _give_up(t, action)
        return
    if not r.state.is_end:
        t.enter(ReservationState.UNKNOWN, "NoResponse")
    _retry_later(t)


def _retry_later(t: Transition) -> None:
    attempts = t.record.attempts
    attempts.retry_at = after(t.now, UNANSWERED_SPACING, attempts.unanswered_count)


def _give_up(t: Transition, action: str) -> None:
    """A charger that dies of our frame is let alone. What it holds is not known: who reserves anew asks."""
    r = t.record
    r.observed, r.needs_cleanup_cancel = Observed.UNCERTAIN, False
    evidence = f"{MAX_EARLY_DISCONNECTS} sockets died on {action}"
    if r.state.is_end:
        r.watch_until = None
    else:
        r.evidence = evidence
        t.end(ReservationState.FAILED, "ChargerFailsOnCommand")


def _may_hold(error: str | None) -> bool:
    """Trouble inside the charger, or an answer that is none: it may have done what was asked all the same."""
    return error is not None and error not in CANNOT_RESERVE | _REQUEST_REFUSED
