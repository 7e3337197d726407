"""One input's way through the record: what is known, the instant, and the effects so far.

The rules of this folder write the record through it, so that a state is entered, a request answered and a
check scheduled in one way only.
"""

from datetime import datetime, timedelta

from workflows.instant import to_the_second
from workflows.messages import (
    PENDING,
    CancelAnswer,
    CancelStatus,
    ReservationStart,
    ReservationState,
    ReserveAnswer,
    ReserveNowResult,
    ReserveStatus,
    Route,
    Terms,
    TimelineEntry,
)
from workflows.reservation.effects import Answer, Effect, Note, StateReached, TermsShown
from workflows.reservation.inputs import CancelCommand, Command, ReserveCommand
from workflows.reservation.record import CheckReason, Ending, Observed, PendingCheck, ReservationRecord
from workflows.reservation.requests import OpenRequest, Requests
from workflows.webhook_events import EventType, WebhookEvent, reservation_event_id

TIMELINE_LENGTH = 400
MAX_ABSENCES = 2
"""How often a check starts its settle time anew because the charger was away for longer than that."""

REQUESTS_KEPT = 64
"""Ids of the latest requests of a kind: a repeat comes within minutes of its first."""

CANNOT_RESERVE = frozenset({"NotImplemented", "NotSupported"})
"""CALLERRORs of chargers that know no reservations."""


class Transition:
    """Applies one input at the instant `now`."""

    def __init__(
        self,
        start: ReservationStart,
        first_run_id: str,
        record: ReservationRecord,
        requests: Requests,
        now: datetime,
    ) -> None:
        self.start = start
        self.policy = start.policy
        self.first_run_id = first_run_id
        self.record = record
        self.requests = requests
        self.now = now
        self.effects: list[Effect] = []

    # --- what is shown -------------------------------------------------------------------------------

    def note(self, event: str, detail: str = "") -> None:
        """Write a line of the timeline, in words for people, never with a token."""
        entry = TimelineEntry(at=self._shown_at(), event=event, detail=detail)
        timeline = self.record.timeline
        timeline.append(entry)
        if len(timeline) > TIMELINE_LENGTH:
            del timeline[1]  # the beginning and the recent past tell most
        self.effects.append(Note(entry))

    def enter(self, state: ReservationState, reason: str | None = None) -> None:
        """The one writer of the state."""
        self.record.state, self.record.reason = state, reason
        self.note(state, reason or "")
        self.effects.append(StateReached(state, reason, self.record.status))

    def show_terms(self, terms: Terms) -> None:
        """Let lists find the reservation by its port and expiry."""
        self.effects.append(TermsShown(terms))

    def add_webhook_event(
        self,
        event_type: EventType,
        terms: Terms | None,
        *,
        event_id: str | None = None,
        evidence: str | None = None,
        transaction_id: str | None = None,
    ) -> None:
        """Send webhooks what the record says now; id, evidence and transaction may be the event's own."""
        r = self.record
        r.webhooks.events.append(
            WebhookEvent(
                event_id=event_id or self._next_event_id(event_type),
                type=event_type,
                at=self._shown_at(),
                charger_id=self.start.charger_id,
                reservation_id=self.start.reservation_id,
                site_id=self.start.site_id,
                port_id=None if terms is None else terms.port_id,
                state=r.state,
                status=r.status,
                reason=r.reason,
                evidence=evidence or r.evidence,
                expires_at=None if terms is None else terms.expires_at,
                transaction_id=transaction_id or r.transaction_id,
            )
        )
        self.count_webhook_event(event_type)

    def _next_event_id(self, event_type: EventType) -> str:
        number = self.record.webhooks.counts.get(event_type, 0) + 1
        return reservation_event_id(self.first_run_id, event_type, number)

    def count_webhook_event(self, event_type: EventType) -> None:
        """There was one; the next has another id."""
        counts = self.record.webhooks.counts
        counts[event_type] = counts.get(event_type, 0) + 1

    def _shown_at(self) -> datetime:
        """Now, but never before what was shown already: the server's clock may step back."""
        self.record.latest_at = max(self.now, self.record.latest_at or self.now)
        return self.record.latest_at

    # --- what is desired, what is held --------------------------------------------------------------------

    def release(self, state: ReservationState, reason: str | None = None, *, is_lost: bool = False) -> None:
        """Desire nothing any more; the reservation ends as `state` once the charger holds nothing."""
        r = self.record
        r.desired, r.fallback, r.uncertain_refusal, r.refused_change = None, None, None, None
        r.attempts.retry_at = None
        r.ending, r.reject_offline = Ending(state=state, reason=reason, is_lost=is_lost), False
        self.clear_check()

    def hold(self, observed: Observed, terms: Terms) -> None:
        """The charger holds `terms` now, or may."""
        r = self.record
        if r.observed_terms is not None and r.observed_terms.port_number != terms.port_number:
            r.was_shown_reserved = False
        r.observed, r.observed_terms = observed, terms

    def schedule_check(self, reason: CheckReason) -> None:
        """Look at the port when it has settled."""
        before = self.record.check
        is_still_broken = (
            before is not None and before.reason is reason and reason is CheckReason.OUT_OF_ORDER
        )
        check = PendingCheck(
            reason=reason,
            since=before.since if before is not None and is_still_broken else self.now,
            put_off_since=None if before is None else before.put_off_since,
            offline_at=None if before is None else before.offline_at,
            absences=0 if before is None else before.absences,
        )
        self.put_off(check)
        self.record.check = check

    def put_off(self, check: PendingCheck) -> None:
        """Have the check wait until things have settled from now on.

        Reports and connections that keep coming put it off so much again, at most. What a charger did that
        was away for longer than that is reported once it is back.
        """
        was_away = check.offline_at is not None and self.now - check.offline_at >= self.policy.settle
        check.absences += was_away
        if check.put_off_since is None or (was_away and check.absences <= MAX_ABSENCES):
            check.put_off_since = self.now
        check.offline_at = None
        check.due_at = min(self.now + self.policy.settle, self.settled_by(check.put_off_since))

    def settled_by(self, put_off_since: datetime) -> datetime:
        """When a check takes place at the latest that has been put off since then."""
        return put_off_since + 2 * self.policy.settle

    def clear_check(self) -> None:
        """All is well again."""
        self.record.check = None

    def reach(self, route: Route) -> None:
        """There is a route to the charger."""
        routing = self.record.routing
        if routing.waits_for is not None:
            if routing.waiting_since is not None:
                self.note("charger connected")
            self.record.reason = None
        routing.route, routing.waits_for, routing.waiting_since = route, None, None
        self.record.attempts.retry_at = None

    def end(
        self,
        state: ReservationState,
        reason: str | None = None,
        answer: ReserveStatus | None = None,
        answer_reason: str | None = None,
    ) -> None:
        """The one way into an end; callers who still wait are answered."""
        r = self.record
        r.last_terms = r.latest_terms
        r.ended_at = self._shown_at()
        change = r.refused_change
        r.desired, r.ending, r.fallback, r.refused_change, r.uncertain_refusal = None, None, None, None, None
        r.attempts.retry_at = None
        r.routing.waits_for = r.routing.waiting_since = None
        r.reject_offline = False
        r.watch_until, r.watched_transaction, r.needs_cleanup_cancel = None, None, False
        self.clear_check()
        self.enter(state, reason)
        self.add_webhook_event(EventType(f"reservation.{state}"), r.last_terms)
        if answer is None and change is not None:
            answer, answer_reason = status_of(change), reason_of(change)
        elif answer is None:
            answer = ReserveStatus.ACCEPTED if state is ReservationState.USED else ReserveStatus.REJECTED
            answer_reason = reason or state.capitalize()
        self.answer_reserves(answer, answer_reason)
        if state in (ReservationState.CANCELLED, ReservationState.EXPIRED):
            self.answer_cancels(CancelStatus.ACCEPTED, reason)
        else:
            self.answer_cancels(CancelStatus.REJECTED, reason or state.capitalize())

    # --- callers ----------------------------------------------------------------------------------------

    def remember(self, command: Command) -> None:
        """Keep the id of a request, so that it is taken once."""
        if isinstance(command, ReserveCommand):
            self.record.reserve_requests[command.request_id] = None
            _drop_oldest(self.record.reserve_requests)
        else:
            self.record.cancel_requests[command.request_id] = None
            _drop_oldest(self.record.cancel_requests)

    def answer_reserves(self, status: ReserveStatus, reason: str | None = None) -> None:
        """Answer everyone who waits for the outcome of what is desired."""
        r = self.record
        answer = ReserveAnswer(status=status, state=r.state, reason=reason, holds=r.in_force)
        for request in self.requests.reserves:
            r.reserve_requests[request.command.request_id] = answer
            self.reply(request, answer)
        self.requests.reserves.clear()

    def answer_cancels(
        self, status: CancelStatus, reason: str | None = None, *, was_live: bool = True
    ) -> None:
        """Answer everyone who waits for a cancel."""
        answer = CancelAnswer(status=status, state=self.record.state, reason=reason, was_live=was_live)
        for request in self.requests.cancels:
            self.record.cancel_requests[request.command.request_id] = answer
            self.reply(request, answer)
        self.requests.cancels.clear()

    def answer_pending(self, *, everyone: bool = False) -> None:
        """Answer those whose time is over, or whose charger is offline: they need not hold the line."""
        r = self.record
        is_waiting = r.routing.waiting_since is not None
        reason = r.reason or ("ChargerOffline" if is_waiting else None)
        for request in list(self.requests.unanswered()):
            command = request.command
            is_late = command.answer_by is not None and self.now >= command.answer_by
            if not (everyone or is_late or (is_waiting and not request.holds_while_offline)):
                continue
            if isinstance(command, CancelCommand):
                self.reply(request, CancelAnswer(status=PENDING, state=r.state, reason=reason))
            else:
                self.reply(
                    request,
                    ReserveAnswer(status=PENDING, state=r.state, reason=reason, holds=r.in_force),
                )

    def reply(self, request: OpenRequest, answer: ReserveAnswer | CancelAnswer) -> None:
        """Answer a call, unless it was answered Pending before, or nobody waits."""
        if not request.is_answered and request.command.key is not None:
            self.effects.append(Answer(request.command.key, answer))
        request.is_answered = True


def _drop_oldest(requests: dict[str, ReserveAnswer | None] | dict[str, CancelAnswer | None]) -> None:
    while len(requests) > REQUESTS_KEPT:
        del requests[next(iter(requests))]


def status_of(answer: ReserveNowResult) -> ReserveStatus:
    """The status that callers get; a CALLERROR is a Rejected."""
    return answer.status or ReserveStatus.REJECTED


def reason_of(answer: ReserveNowResult) -> str | None:
    """The reason that callers get."""
    if answer.error in CANNOT_RESERVE:
        return "ReservationUnsupported"
    if answer.error is not None:
        return answer.error if answer.error == "InvalidResponse" else f"OcppError:{answer.error}"
    return answer.reason


def until(terms: Terms) -> str:
    """`until 2026-11-28 10:00:00Z`, for people."""
    return f"until {to_the_second(terms.expires_at)}"


def after(now: datetime, times: list[timedelta], count: int) -> datetime:
    """When the next attempt is due, after `count` of them; the last spacing repeats."""
    return now + times[min(max(count - 1, 0), len(times) - 1)]
