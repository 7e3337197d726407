"""What callers' commands mean: one queue of them, and each request is taken once."""

from workflows.messages import (
    CancelAnswer,
    CancelStatus,
    ReservationState,
    ReserveAnswer,
    ReserveRequest,
    ReserveStatus,
)
from workflows.reservation.inputs import CancelCommand, Command, ReserveCommand
from workflows.reservation.record import CheckReason, Observed, ReservationRecord
from workflows.reservation.requests import OpenRequest
from workflows.reservation.transition import Transition, until


def enqueue(t: Transition, command: Command) -> None:
    """Put a command behind those that wait."""
    t.requests.queue.append(OpenRequest(command))


def take_all(t: Transition) -> None:
    """Take every command whose turn it is; each is answered now or when its outcome is known.

    A reserve behind an end that is under way starts anew once that end is reached, and whatever is behind
    it waits with it.
    """
    queue = t.requests.queue
    while queue:
        request = queue[0]
        if isinstance(request.command, ReserveCommand) and t.record.ending is not None:
            return
        queue.popleft()
        if isinstance(request.command, CancelCommand):
            _take_cancel(t, request, request.command)
        else:
            _take_reserve(t, request, request.command)


def apply_reserve(t: Transition, request: ReserveRequest) -> None:
    """Desire what the request asks for; equal terms on a live reservation change nothing."""
    if _is_over(t.record):
        begin_anew(t)
    r = t.record
    if request.terms != r.desired or r.refused_change is not None:
        t.answer_reserves(ReserveStatus.REJECTED, "Superseded")
        _desire(t, request)
    r.force = r.force or request.force


def apply_cancel(t: Transition, note: str = "") -> None:
    """Desire nothing any more; a cancel covers the reserves before it."""
    t.note("cancel requested", note)
    if t.record.ending is None or not t.record.ending.is_lost:
        t.release(ReservationState.CANCELLED)


def begin_anew(t: Transition) -> None:
    """Use the number again, in the same run; the charger may still hold the former reservation."""
    old = t.record
    t.record = ReservationRecord(
        observed=Observed.NOTHING if old.observed is Observed.NOTHING else Observed.UNCERTAIN,
        observed_terms=old.observed_terms,
        routing=old.routing.model_copy(update={"waits_for": None, "waiting_since": None}),
        is_subscribed=old.is_subscribed,
        last_event_id=old.last_event_id,
        is_status_stale=old.is_status_stale,
        webhooks=old.webhooks,
        timeline=old.timeline,
        reserve_requests=old.reserve_requests,
        cancel_requests=old.cancel_requests,
        latest_at=old.latest_at,
    )
    t.record.attempts.generation = old.attempts.generation
    t.enter(ReservationState.REQUESTED)


def _is_over(r: ReservationRecord) -> bool:
    """Whether nothing lives under the number; a refused cancel is an end that only looks for its reason."""
    return r.state.is_end or (r.check is not None and r.check.reason is CheckReason.CANCEL_REFUSED)


def _desire(t: Transition, request: ReserveRequest) -> None:
    r, terms = t.record, request.terms
    route = request.route
    is_first = len(r.timeline) == 0
    t.note("requested" if r.desired is None else "change requested", until(terms))
    if r.was_active and r.fallback is None:
        r.fallback = r.desired
    r.desired = r.last_terms = terms
    if r.fallback == terms:
        r.fallback = None
    r.uncertain_refusal, r.refused_change, r.attempts.retry_at = None, None, None
    r.force, r.reject_offline = request.force, request.offline_policy == "reject"
    if r.routing.route is None and route is not None and route != r.routing.failed_route:
        t.reach(route)
    if not is_first:  # the first request's terms came with the start
        t.show_terms(terms)


def _take_reserve(t: Transition, request: OpenRequest, command: ReserveCommand) -> None:
    requests = t.record.reserve_requests
    if command.request_id in requests:
        answer = requests[command.request_id]
        if answer is None and command.request.terms != t.record.desired:
            answer = ReserveAnswer(
                status=ReserveStatus.REJECTED,
                state=t.record.state,
                reason="Superseded",
                holds=t.record.in_force,
            )
        if answer is not None:
            t.reply(request, answer)
            return
    else:
        t.remember(command)
        apply_reserve(t, command.request)
    t.requests.reserves.append(request)
    if t.record.in_force == t.record.desired:
        t.answer_reserves(ReserveStatus.ACCEPTED)


def _take_cancel(t: Transition, request: OpenRequest, command: CancelCommand) -> None:
    requests = t.record.cancel_requests
    if command.request_id in requests:
        answer = requests[command.request_id]
        if answer is None and t.record.ending is None:
            answer = CancelAnswer(
                status=CancelStatus.REJECTED,
                state=t.record.state,
                reason="Superseded",
                was_live=not t.record.state.is_end,
            )
        if answer is not None:
            t.reply(request, answer)
        else:
            t.requests.cancels.append(request)
        return
    t.remember(command)
    t.answer_reserves(ReserveStatus.REJECTED, "Superseded")
    t.requests.cancels.append(request)
    if not _is_over(t.record):
        apply_cancel(t, command.note)
    elif t.record.state is ReservationState.CANCELLED:
        t.answer_cancels(CancelStatus.ACCEPTED, was_live=False)
    else:
        was_live = not t.record.state.is_end  # a refused cancel has asked the charger already
        t.answer_cancels(CancelStatus.REJECTED, "UnknownReservation", was_live=was_live)
