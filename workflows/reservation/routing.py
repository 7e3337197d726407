"""Reaching the charger: which gateway holds its socket, and waiting for one that does."""

from datetime import timedelta

from workflows.messages import PortView, ReservationState, ReserveNowResult, ReserveStatus
from workflows.reservation.answers import refuse_unsent
from workflows.reservation.record import Observed, WaitsFor
from workflows.reservation.transition import Transition, after

ROUTE_SPACING = [timedelta(seconds=s) for s in (1, 2, 4, 8, 16, 30)]


def on_route_look(t: Transition, view: PortView) -> None:
    """The database says where the charger is: a route that failed a moment ago is tried later."""
    routing = t.record.routing
    if view.route is None:
        _on_offline(t)
    elif view.route == routing.failed_route:
        routing.failed_route = None
        t.record.attempts.retry_at = after(t.now, ROUTE_SPACING, routing.failure_count)
    else:
        routing.route, routing.waits_for, routing.waiting_since = view.route, None, None


def _on_offline(t: Transition) -> None:
    r, routing = t.record, t.record.routing
    if r.reject_offline:
        r.reject_offline = False
        refuse_unsent(t, ReserveNowResult(status=ReserveStatus.REJECTED, reason="ChargerOffline", sent=False))
        return
    if routing.waiting_since is None:
        t.note("charger offline", "waiting for it to connect")
        routing.waiting_since = t.now
        if r.observed is Observed.NOTHING or r.state is ReservationState.REQUESTED:
            t.enter(ReservationState.SENDING, "ChargerOffline")
        elif r.uncertain_refusal is not None:
            t.enter(ReservationState.UNKNOWN, "ChargerOffline")
    routing.waits_for = WaitsFor.CONNECTION
    r.is_subscribed = True  # the wait enters it, so that the charger's connection wakes us
