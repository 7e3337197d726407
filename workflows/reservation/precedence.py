"""What a reservation does next: a table of steps in the order of precedence, each row with its reason.

What is desired and what the charger was last observed to hold are brought together by one step at a time.
`docs/explanation/life-of-a-reservation.md` shows the table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from workflows.instant import to_the_second
from workflows.messages import (
    CancelReservationInput,
    ReservationStart,
    ReservationState,
    ReserveNowInput,
    Subscription,
    Terms,
)
from workflows.reservation.inputs import Decision, LookFor
from workflows.reservation.record import CheckReason, Observed, ReservationRecord, WaitsFor
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
from workflows.webhook_events import EventType, UnsubscribeInput, active_event_id


@dataclass(frozen=True)
class Situation:
    """What the choice of a step depends on."""

    start: ReservationStart
    first_run_id: str
    record: ReservationRecord
    now: datetime
    idle_until: datetime

    def is_due(self, at: datetime | None) -> bool:
        """Whether that instant has come."""
        return at is not None and self.now >= at

    @property
    def deadline(self) -> datetime | None:
        """When our own clock ends this: expiry, with a grace once the charger was asked."""
        r = self.record
        if r.state.is_end:
            return r.watch_until
        terms = r.desired or r.observed_terms
        if terms is None:
            return self.idle_until
        grace = timedelta(0) if r.observed is Observed.NOTHING else self.start.policy.expiry_grace
        return terms.expires_at + grace

    @property
    def needs_frame(self) -> bool:
        """Whether what is desired and what was observed differ, or might."""
        r = self.record
        if r.state.is_end:
            return r.needs_cleanup_cancel
        if r.check is not None and r.check.reason is CheckReason.CANCEL_REFUSED:
            return False
        if r.desired is None:
            return r.observed is not Observed.NOTHING and r.ending is not None
        if self.now >= r.desired.expires_at:
            return False  # chargers make anything of an expiry in the past: our clock ends it soon
        possible = r.possible_use
        if possible is not None and not possible.has_ended:
            return False  # nothing is sent over a transaction that may be a use
        return r.in_force != r.desired

    @property
    def sends_frame(self) -> bool:
        """Whether a frame is to go out now."""
        retry_at = self.record.attempts.retry_at
        return self.needs_frame and (retry_at is None or self.now >= retry_at)

    @property
    def must_cancel_first(self) -> bool:
        """Whether the next frame is CancelReservation rather than ReserveNow."""
        r = self.record
        if r.desired is None or r.uncertain_refusal is not None:
            return True
        return r.observed is not Observed.NOTHING and self.is_move

    @property
    def is_move(self) -> bool:
        """Whether the desired port is another one; some chargers would hold both."""
        r = self.record
        if r.desired is None or r.observed_terms is None:
            return False
        return r.observed_terms.port_number != r.desired.port_number

    @property
    def alarm(self) -> datetime | None:
        """The next instant that matters."""
        r = self.record
        moments = (
            self.deadline,
            None if self.sends_frame or not self.needs_frame else r.attempts.retry_at,
            r.check.due_at if r.check is not None else None,
            r.webhooks.retry_at,
        )
        return min((at for at in moments if at is not None), default=None)

    def place(self, terms: Terms) -> str:
        """The port and the number, for the Temporal UI."""
        port = "any port" if terms.port_number is None else f"port {terms.port_number}"
        return f"{self.start.ocpp_identity} {port}, reservation {self.start.reservation_id}"


def _store_events(s: Situation) -> Step | None:
    r = s.record
    if not r.webhooks.events or (r.is_over and r.is_subscribed):
        return None  # the removal of the subscription stores them as well
    is_put_off = r.webhooks.retry_at is not None and not s.is_due(r.webhooks.retry_at)
    if is_put_off and not r.state.is_end:
        return None
    return StoreEvents(tuple(r.webhooks.events), forever=r.state.is_end)


def _finish(s: Situation) -> Step | None:
    is_done = s.record.ending is not None and s.record.observed is Observed.NOTHING
    return Decision.FINISH if is_done else None


def _expire(s: Situation) -> Step | None:
    r = s.record
    if not s.is_due(s.deadline):
        return None
    if r.state.is_end:
        return Decision.STOP_WATCHING
    terms = r.concerned_terms
    if terms is None:
        return Decision.GIVE_UP_UNASKED
    if r.observed is Observed.NOTHING:
        return Decision.EXPIRE_UNHELD
    return Look(LookFor.EXPIRY, terms.port_number)


def _check_port(s: Situation) -> Step | None:
    check = s.record.check
    if check is None or not s.is_due(check.due_at):
        return None
    if check.reason is CheckReason.CANCEL_REFUSED:
        return Decision.CONCLUDE_REFUSED_CANCEL
    terms = s.record.concerned_terms
    return Look(LookFor.CHECK, None if terms is None else terms.port_number)


def _wait_for_charger(s: Situation) -> Step | None:
    terms = s.record.concerned_terms
    if not s.sends_frame or s.record.routing.route is not None or terms is None:
        return None
    if s.record.routing.waits_for is not WaitsFor.CONNECTION:
        return None
    return WaitForCharger(
        Subscription(
            charger_id=s.start.charger_id,
            reservation_id=s.start.reservation_id,
            first_run_id=s.first_run_id,
            terms=terms,
        ),
        s.alarm,
    )


def _find_route(s: Situation) -> Step | None:
    if not s.sends_frame or s.record.routing.route is not None:
        return None
    terms = s.record.concerned_terms
    return Look(LookFor.ROUTE, None if terms is None else terms.port_number)


def _begin_sending(s: Situation) -> Step | None:
    is_first = s.sends_frame and s.record.state is ReservationState.REQUESTED
    return Decision.BEGIN_SENDING if is_first else None


def _cancel(s: Situation) -> Step | None:
    r, route = s.record, s.record.routing.route
    if not s.sends_frame or route is None or not s.must_cancel_first:
        return None
    policy = s.start.policy
    moves = r.desired is not None and r.uncertain_refusal is None and not r.force
    return SendCancelReservation(
        CancelReservationInput(
            charger_id=s.start.charger_id,
            reservation_id=s.start.reservation_id,
            epoch=route.epoch,
            call_timeout=policy.call_timeout,
            write_within=policy.write_within,
            moving_to=r.desired.port_number if r.desired is not None and moves else None,
        ),
        route,
        "to be sure that the charger holds nothing" if r.ending is None else f"to be {r.ending.state}",
    )


def _reserve(s: Situation) -> Step | None:
    r, terms, route = s.record, s.record.desired, s.record.routing.route
    if not s.sends_frame or route is None or terms is None:
        return None
    policy, attempts = s.start.policy, r.attempts
    is_repeat = attempts.first_sent_at is not None
    return SendReserveNow(
        ReserveNowInput(
            charger_id=s.start.charger_id,
            reservation_id=s.start.reservation_id,
            terms=terms,
            epoch=route.epoch,
            force=r.force,
            call_timeout=policy.call_timeout,
            write_within=policy.write_within,
            first_run_id=s.first_run_id,
            generation=attempts.generation + 1,
            is_repeat=is_repeat,
            event_id=_active_event_id(s, terms),
            event_at=max(s.now, r.latest_at or s.now),
            site_id=s.start.site_id,
        ),
        route,
        f"{s.place(terms)} until {to_the_second(terms.expires_at)}"
        + ("" if r.observed is Observed.NOTHING else ", asking again"),
    )


def _active_event_id(s: Situation, terms: Terms) -> str:
    """The id of the webhook event that an Accepted makes; empty while the reservation is active anyway."""
    attempts = s.record.attempts
    if s.record.state is ReservationState.ACTIVE:
        return ""
    number = s.record.webhooks.counts.get(EventType.RESERVATION_ACTIVE, 0) + 1
    use = attempts.generation + 1 if attempts.first_sent_at is None else attempts.first_generation
    return active_event_id(s.first_run_id, number, use, terms)


def _unsubscribe(s: Situation) -> Step | None:
    r = s.record
    if not (r.is_over and r.is_subscribed):
        return None
    return Unsubscribe(
        UnsubscribeInput(
            charger_id=s.start.charger_id,
            reservation_id=s.start.reservation_id,
            first_run_id=s.first_run_id,
            generation=r.attempts.generation,
            events=tuple(r.webhooks.events),
        )
    )


def _be_quiet(s: Situation) -> Step | None:
    quiet_until = s.record.quiet_until
    if not s.record.is_over or quiet_until is None or s.is_due(quiet_until):
        return None
    return Wait(quiet_until, "for the charger's last reports")


def _close(s: Situation) -> Step | None:
    return Close() if s.record.is_over else None


def _wait(s: Situation) -> Step | None:
    alarm = s.alarm
    state = s.record.state.value
    return Wait(alarm, f"{state} until {to_the_second(alarm)}" if alarm is not None else state)


class Row(NamedTuple):
    """A kind of step, what makes it due, and why it stands before those below."""

    name: str
    step: Callable[[Situation], Step | None]
    reason: str


PRECEDENCE: tuple[Row, ...] = (
    Row(
        "store webhook events",
        _store_events,
        "What has happened is stored for webhooks before anything else can happen or fail.",
    ),
    Row(
        "finish",
        _finish,
        "What was asked for is done; no deadline may call it anything else, however late it is.",
    ),
    Row(
        "expire",
        _expire,
        "A reservation whose time is over sends nothing more. First a look at the port shows whether the "
        "charger may still hold it, or report a use.",
    ),
    Row(
        "check the port",
        _check_port,
        "What the port shows may make the next frame needless, or wrong.",
    ),
    Row(
        "wait for the charger",
        _wait_for_charger,
        "It is offline: its connection wakes the reservation, and so does any command.",
    ),
    Row(
        "find the route",
        _find_route,
        "The charger may be at another gateway by now.",
    ),
    Row(
        "begin sending",
        _begin_sending,
        "Lists show that a frame is on its way before it is.",
    ),
    Row(
        "cancel at the charger",
        _cancel,
        "What must go goes first: some chargers would hold both ports of a move, or refuse new content.",
    ),
    Row(
        "reserve at the charger",
        _reserve,
        "What is desired differs from what the charger surely holds: the same ReserveNow creates, changes "
        "and verifies.",
    ),
    Row(
        "unsubscribe",
        _unsubscribe,
        "It is over, and nothing is expected of the charger any more.",
    ),
    Row(
        "be quiet",
        _be_quiet,
        "Reports that were on their way come in while it is open: a workflow that closes just then fails a "
        "task, red in its history.",
    ),
    Row(
        "close",
        _close,
        "Everyone has an answer, and webhooks their events.",
    ),
    Row(
        "sleep",
        _wait,
        "Nothing is to be done before the next instant that matters, a command or an event.",
    ),
)
