"""What the charger's own reports mean for a reservation. They come in the order of the database's ids."""

from workflows.messages import (
    ChargerBooted,
    ChargerConnected,
    Event,
    PortReservedByOther,
    PortStatusChanged,
    ReservationEnded,
    ReservationState,
    Terms,
    TransactionEnded,
    TransactionStarted,
)
from workflows.reservation.record import CheckReason, Observed, PossibleUse, WaitsFor
from workflows.reservation.transition import Transition
from workflows.reservation.uses import Verdict, Window, is_ours, judge, shows_release
from workflows.webhook_events import EventType

OUT_OF_ORDER = frozenset({"Faulted", "Unavailable"})


def on_event(t: Transition, event: Event) -> None:
    """Take one event; another run's, a repeated one and one older than our first frame change nothing.

    What is older the database says, by the generation it gave; no clock is asked.
    """
    r = t.record
    if event.first_run_id not in ("", t.first_run_id):
        return
    if 0 < event.event_id <= r.last_event_id:
        return
    r.last_event_id = max(r.last_event_id, event.event_id)
    r.stirred_at = t.now
    _notice_socket(t, event.epoch)
    if isinstance(event, ChargerConnected):
        _on_connected(t, event)
    elif r.attempts.first_sent_at is not None and (
        event.generation is None or event.generation >= r.attempts.first_generation
    ):
        _on_report(t, event)


def _on_report(t: Transition, event: Event) -> None:
    match event:
        case TransactionStarted():
            _on_transaction_started(t, event)
        case TransactionEnded():
            _on_transaction_ended(t, event)
        case ChargerBooted():
            _on_booted(t)
        case PortStatusChanged():
            _on_port_status(t, event)
        case PortReservedByOther():
            _on_port_reserved_by_other(t, event)
        case ReservationEnded() if event.reservation_id == t.start.reservation_id:
            _on_reservation_ended(t, event)


# --- the charger comes, goes and boots ------------------------------------------------------------------


def _notice_socket(t: Transition, epoch: int | None) -> None:
    """On a socket that is new to us: what was observed before it counts no more."""
    r = t.record
    if epoch is None or epoch <= r.routing.socket_epoch:
        return
    was_known = r.routing.socket_epoch > 0
    r.routing.socket_epoch = epoch
    if was_known:
        _forget_observations(t, CheckReason.RECONNECTED)


def _forget_observations(t: Transition, reason: CheckReason) -> None:
    """Only a status from now on counts, and none is taken for a card (else the charger is asked)."""
    r = t.record
    r.is_status_stale, r.was_shown_reserved = True, False
    if not r.is_in_place:
        return
    if reason is CheckReason.RECONNECTED and r.check is not None:
        t.put_off(r.check)  # an outage answers nothing of what was to be found out before it
    else:
        t.schedule_check(reason)


def _on_connected(t: Transition, event: ChargerConnected) -> None:
    r = t.record
    if r.routing.route is None or event.route.epoch > r.routing.route.epoch:
        t.reach(event.route)
    _notice_socket(t, event.route.epoch)
    if r.check is not None:
        t.put_off(r.check)


def _on_booted(t: Transition) -> None:
    r = t.record
    t.note("charger restarted")
    if r.routing.waits_for is WaitsFor.BOOT:
        r.attempts.retry_at = None
    if r.watched_transaction is not None:
        _end_watched_use(t)
    _forget_observations(t, CheckReason.RESTARTED)


# --- transactions -----------------------------------------------------------------------------------------


def _on_transaction_started(t: Transition, event: TransactionStarted) -> None:
    r = t.record
    first_sent_at = r.attempts.first_sent_at
    terms = r.observed_terms
    if (
        r.watched_transaction not in (None, event.transaction_id)
        and terms is not None
        and event.port_number == terms.port_number
    ):
        _end_watched_use(t)  # a port charges one car at a time: the end of ours was lost
    if first_sent_at is None or r.state is ReservationState.USED or (r.state.is_end and r.is_over):
        return
    window = Window(first_sent_at, t.policy.expiry_grace, has_ended=r.state.is_end)
    # While a change is in doubt the former terms may still be the ones in force.
    possible = [terms for terms in (r.observed_terms or r.desired, r.fallback) if terms is not None]
    verdicts = {terms: judge(event, t.start.reservation_id, terms, window) for terms in possible}
    verdict = max(verdicts.values(), default=Verdict.NOTHING)
    if r.possible_use is not None and r.possible_use.transaction_id == event.transaction_id:
        if verdict in (Verdict.UNDECIDED, Verdict.UNEXPLAINED):
            return  # chargers repeat themselves
        r.possible_use = None
    match verdict:
        case Verdict.USED:
            _use(t, event, [terms for terms in possible if verdicts[terms] is Verdict.USED])
        case Verdict.VIOLATED if event.transaction_id != r.foreign_transaction:
            _violate(t, event)
        case Verdict.UNEXPLAINED:
            t.note("transaction unexplained", f"transaction {event.transaction_id}, its time does not fit")
            r.possible_use = PossibleUse(transaction_id=event.transaction_id, is_unexplained=True)
        case Verdict.UNDECIDED if r.possible_use is None or r.possible_use.has_ended:
            r.possible_use = PossibleUse(transaction_id=event.transaction_id, is_unexplained=False)


def _use(t: Transition, event: TransactionStarted, used: list[Terms]) -> None:
    r = t.record
    is_foreign = event.id_tag is not None and not any(is_ours(event, terms) for terms in used)
    r.transaction_id = event.transaction_id
    r.evidence = f"transaction {event.transaction_id}" + (", by a foreign token" if is_foreign else "")
    t.note("charger reports", r.evidence)
    # It may have begun just before the charger accepted a repeat, and holds the port anew; a frame whose
    # answer is missing may have been read after it, too.
    is_before_accepted = event.generation is not None and event.generation < r.attempts.accepted_generation
    is_crossed = is_before_accepted or r.attempts.unanswered_count > 0
    is_released = r.observed is Observed.NOTHING or (
        not is_crossed and any(shows_release(event, t.start.reservation_id, terms) for terms in used)
    )
    r.observed = Observed.NOTHING if is_released else Observed.UNCERTAIN
    t.end(ReservationState.USED)
    if not is_released:
        r.watch_until = max(t.now, *(terms.expires_at for terms in used)) + t.policy.linger
        r.watched_transaction = event.transaction_id


def _end_watched_use(t: Transition) -> None:
    t.note("making sure", "the use did not show that the charger let the reservation go")
    t.record.watched_transaction, t.record.needs_cleanup_cancel = None, True


def _violate(t: Transition, event: TransactionStarted) -> None:
    r = t.record
    r.violations += 1
    r.foreign_transaction = event.transaction_id
    evidence = f"transaction {event.transaction_id} by a foreign token on the reserved port"
    t.note("violated", evidence)
    t.add_webhook_event(
        EventType.RESERVATION_VIOLATED,
        r.observed_terms or r.desired,
        evidence=evidence,
        transaction_id=event.transaction_id,
    )


def _on_transaction_ended(t: Transition, event: TransactionEnded) -> None:
    r = t.record
    if event.transaction_id == r.watched_transaction:
        _end_watched_use(t)
    if event.transaction_id == r.foreign_transaction:
        r.foreign_transaction = None
        if r.is_in_place:
            t.schedule_check(CheckReason.FOREIGN_USE)
    possible = r.possible_use
    if possible is not None and event.transaction_id == possible.transaction_id:
        possible.has_ended = True
        if not possible.is_unexplained:
            r.possible_use = None
            if r.is_in_place:
                t.schedule_check(CheckReason.FOREIGN_USE)
        elif r.is_in_place and r.check is not None:
            t.schedule_check(r.check.reason)  # the look that was due meanwhile


# --- the port, and the reservation itself ---------------------------------------------------------------


def _on_port_status(t: Transition, event: PortStatusChanged) -> None:
    r = t.record
    if r.observed_terms is None or r.observed_terms.port_number not in (None, event.port_number):
        return
    if event.epoch is not None and event.epoch < r.routing.socket_epoch:
        return  # of an earlier socket
    is_first, r.is_status_stale = r.is_status_stale, False
    if r.observed_terms.port_number is None:
        return  # no port shows it; that there was a report is all
    if event.status != event.before:
        t.note("port status", event.status)
    if event.status == "Reserved" or (event.before == "Reserved" and not is_first):
        r.was_shown_reserved = True
    if not r.is_in_place:
        return
    reason = None if r.check is None else r.check.reason
    if event.status in OUT_OF_ORDER:
        t.schedule_check(CheckReason.OUT_OF_ORDER)
    elif reason is CheckReason.OUT_OF_ORDER:
        t.schedule_check(CheckReason.RECOVERED)
    elif event.status == "Reserved" and reason is CheckReason.AVAILABLE:
        t.clear_check()
    elif event.status == "Available":
        # An older reason explains it, and is looked at anew: the port was busy meanwhile.
        t.schedule_check(reason or CheckReason.AVAILABLE)


def _on_port_reserved_by_other(t: Transition, event: PortReservedByOther) -> None:
    """One slot holds one reservation: a charger that accepts a second one has replaced ours, or holds both.

    Asking again would in turn replace the other; a cancel is safe, and either answer proves that it is gone.
    """
    r = t.record
    if r.observed is Observed.NOTHING or r.observed_terms is None or r.state.is_end or r.ending is not None:
        return
    if event.port_number != r.observed_terms.port_number:
        return
    t.note("charger reports", "another reservation accepted on the port")
    r.observed = Observed.UNCERTAIN
    if r.desired is not None and r.desired.port_number == event.port_number:
        t.enter(ReservationState.UNKNOWN, "ReservedByOther")
        t.release(ReservationState.REMOVED, "ReservedByOther", is_lost=True)


def _on_reservation_ended(t: Transition, event: ReservationEnded) -> None:
    """ReservationStatusUpdate (OCPP 2.0.1 H04.FR.01, H01.FR.16/17)."""
    r = t.record
    if r.state is ReservationState.USED and r.watch_until is not None:
        t.note("charger reports", f"reservation {event.status}")
        r.observed, r.watch_until, r.needs_cleanup_cancel = Observed.NOTHING, None, False
    if r.state.is_end or r.observed is Observed.NOTHING or r.observed_terms is None:
        return
    t.note("charger reports", f"reservation {event.status}")
    is_early = t.now < r.observed_terms.expires_at - t.policy.expiry_grace
    if event.status == "Expired" and is_early:
        # About earlier terms, late from an offline queue? Then the charger is asked.
        if r.is_in_place:
            t.schedule_check(CheckReason.EARLY_EXPIRY)
        return
    r.observed, r.evidence = Observed.NOTHING, f"ReservationStatusUpdate {event.status}"
    if r.desired not in (None, r.observed_terms):
        return  # the former terms are over; the change that is under way is still desired
    if event.status == "Expired":
        t.end(ReservationState.EXPIRED)
    else:
        reason = "RemovedByCharger" if event.status == "Removed" else "ConsumedWithoutTransaction"
        t.end(ReservationState.REMOVED, reason)
