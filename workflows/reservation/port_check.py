"""What a look at the port means for a reservation, when the charger's reports are not enough."""

from workflows.messages import PortView, ReservationState
from workflows.reservation.answers import EVENTS_COME_WITHIN
from workflows.reservation.events import OUT_OF_ORDER
from workflows.reservation.record import CheckReason, Observed, PendingCheck
from workflows.reservation.transition import Transition


def on_expiry(t: Transition, view: PortView) -> None:
    """Our own clock ends the reservation; a report of the charger makes the end only earlier or more precise.

    Where the charger may still hold it, or report a use in time, the run stays and watches.
    """
    r = t.record
    is_settled = view.route is not None and view.ready_for >= t.policy.settle
    expects_more = not is_settled or view.events_waiting or _may_still_hold(t, view)
    expire(t)
    if expects_more:
        r.watch_until = t.now + t.policy.linger
        r.check = PendingCheck(
            reason=CheckReason.EXPIRED,
            since=t.now,
            due_at=None if view.route is None else t.now + t.policy.settle,
            put_off_since=t.now,
            offline_at=t.now if view.route is None else None,
        )
    else:
        r.observed = Observed.NOTHING


def expire(t: Transition) -> None:
    """The time is over. A reservation that never reached its charger says why."""
    r = t.record
    r.evidence = "timer"
    t.end(ReservationState.EXPIRED, r.reason if r.attempts.first_sent_at is None else None)


def on_look(t: Transition, view: PortView) -> None:
    """The settle time is over: the port shows this now."""
    r, check, now, settle = t.record, t.record.check, t.now, t.policy.settle
    if check is None:
        return
    if view.route is None:
        check.due_at, check.offline_at = (
            None,
            check.offline_at or now,
        )  # its next connection brings a new look
        return
    latest_at = t.settled_by(check.put_off_since or now)
    if now < latest_at and (view.events_waiting or view.ready_for < settle):
        soon = EVENTS_COME_WITHIN if view.events_waiting else settle - view.ready_for
        check.due_at = min(now + soon, latest_at)
        return
    if check.reason is CheckReason.EXPIRED:
        _check_after_end(t, view)
    elif r.observed is Observed.HELD:
        _evaluate(t, check, view)
    else:
        t.clear_check()


def _check_after_end(t: Transition, view: PortView) -> None:
    r = t.record
    t.clear_check()
    if _may_still_hold(t, view):
        t.note("cleaning up", "the charger may still hold it after expiry")
        r.needs_cleanup_cancel = True
    else:
        r.observed, r.watch_until = Observed.NOTHING, None


def _may_still_hold(t: Transition, view: PortView) -> bool:
    """Whether the charger may hold the reservation although its time is over."""
    r = t.record
    outlives = r.observed_terms is not None and r.observed_terms.expires_at > t.now
    # However old: a cancel too many does no harm.
    if r.observed is Observed.UNCERTAIN or view.status == "Reserved" or outlives:
        return True
    # No port shows whether a reservation of any of them is still there, and some chargers expire none.
    return not r.has_port


def _evaluate(t: Transition, check: PendingCheck, view: PortView) -> None:
    r, status = t.record, _status(t, view)
    if r.has_port and status in OUT_OF_ORDER:
        if check.reason is not CheckReason.OUT_OF_ORDER:
            t.schedule_check(CheckReason.OUT_OF_ORDER)
        elif t.now < check.since + t.policy.settle:
            _ask_again(t, check)  # it comes and goes: the charger decides
        else:
            r.evidence = f"port {status}"
            t.release(ReservationState.REMOVED, f"Port{status}")
        return
    possible = r.possible_use
    if possible is not None and not possible.has_ended:
        # A transaction that may be a use stands before any repeat; its end brings a new look.
        check.due_at = check.put_off_since = None
        return
    is_consumed = (
        check.reason is CheckReason.AVAILABLE and view.protocol != "ocpp1.6" and r.was_shown_reserved
    )
    if status == "Available" and possible is not None:
        # Our driver was here, at a time we could not place: nobody is reserved for who has left.
        _remove_consumed(t)
    elif status == "Available" and is_consumed:
        # H03.FR.09/10: presenting the token consumes the reservation; the cable may still come.
        plug_in_by = check.since + t.policy.connection_timeout
        if t.now < plug_in_by:
            check.due_at = plug_in_by
        else:
            _remove_consumed(t)
    elif r.is_status_stale and check.reason is CheckReason.RECONNECTED:
        t.clear_check()  # a charger reports what changed while it was away (OCPP 1.6 §4.9); nothing did
    elif (
        status in ("Available", None)
        or not r.has_port
        or check.reason in (CheckReason.OUT_OF_ORDER, CheckReason.RECOVERED, CheckReason.EARLY_EXPIRY)
    ):
        _ask_again(t, check)
    elif status == "Reserved":
        t.clear_check()
    else:  # the port is busy; what comes of it will be reported
        check.due_at = check.put_off_since = None


def _status(t: Transition, view: PortView) -> str | None:
    """The port's status; None when it is older than the last boot or connection: it counts no more."""
    return None if t.record.is_status_stale else view.status


def _ask_again(t: Transition, check: PendingCheck) -> None:
    """The same ReserveNow again: the charger knows."""
    t.note("asking again", f"after {check.reason}")
    t.clear_check()
    t.record.observed = Observed.UNCERTAIN


def _remove_consumed(t: Transition) -> None:
    t.record.observed, t.record.evidence = Observed.NOTHING, "port Available"
    t.end(ReservationState.REMOVED, "ConsumedWithoutTransaction")
