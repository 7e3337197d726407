"""What one reservation wants, what its charger holds, and who waits for which word.

The ledger takes commands and writes states; it never waits and never sends.
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

from workflows.instant import to_the_second
from workflows.messages import (
    PENDING,
    CancelAnswer,
    CancelStatus,
    ReservationStart,
    ReservationState,
    ReserveAnswer,
    ReserveRequest,
    ReserveStatus,
    Route,
    Snapshot,
    Terms,
    TimelineEntry,
)
from workflows.names import EXPIRES_AT, PORT_ID, RESERVATION_STATE
from workflows.reservation.record import Concern, Held, Memory
from workflows.reservation.refusal import reason_of, status_of
from workflows.reservation.state_count import count_state
from workflows.webhook_events import Announcement, EventType, reservation_event_id

FIRST_COMMAND_WITHIN = timedelta(seconds=60)  # update-with-start is not atomic: the update may never come
TIMELINE_LENGTH = 400

log = structlog.get_logger(__name__)


@dataclass
class ReserveCommand:
    """A caller's `reserve`; of a signal nobody waits for the answer."""

    request: ReserveRequest
    answer_by: datetime | None = None
    answer: ReserveAnswer | None = None


@dataclass
class CancelCommand:
    """A caller's `cancel`; of a signal nobody waits for the answer."""

    answer_by: datetime | None = None
    answer: CancelAnswer | None = None


class Ledger:
    """The books of one reservation."""

    def __init__(self, start: ReservationStart) -> None:
        self.start = start
        self.memory = Memory() if start.carried is None else Memory.model_validate(start.carried)
        self.queue: deque[ReserveCommand | CancelCommand] = deque()
        self._asks: list[ReserveCommand] = []  # wait for the outcome of what is wanted
        self._cancels: list[CancelCommand] = []  # wait for the charger to hold nothing
        # What the Temporal UI shows; to write all of it anew with each note took a third of a step.
        self._recent = deque(map(_line, self.memory.timeline), maxlen=20)
        self._idle_until = workflow.now() + FIRST_COMMAND_WITHIN

    def has_command(self) -> bool:
        """Whether there is a command whose turn it is."""
        return bool(self.queue) and not self.is_behind_end(self.queue[0])

    def take_commands(self) -> None:
        """Take every command whose turn it is; each is answered now or when its outcome is known."""
        while self.queue and not self.is_behind_end(self.queue[0]):
            head = self.queue.popleft()
            if isinstance(head, CancelCommand):
                self.take_cancel(head)
            else:
                self.take_reserve(head)

    def is_behind_end(self, command: ReserveCommand | CancelCommand) -> bool:
        """Whether `command` starts anew once the end that is under way is reached."""
        return isinstance(command, ReserveCommand) and self.memory.ending is not None

    def take_reserve(self, ask: ReserveCommand) -> None:
        if self.memory.state.is_end or self.memory.concern is Concern.CANCEL_REFUSED:
            self.begin_anew()
        m, request = self.memory, ask.request
        if request.terms != m.wanted or m.refused_change is not None:
            self.answer_asks(ReserveStatus.REJECTED, "Superseded")
            self.want(request)
        m.force = m.force or request.force
        self._asks.append(ask)
        if self.in_force() == m.wanted:
            self.answer_asks(ReserveStatus.ACCEPTED)

    def want(self, request: ReserveRequest) -> None:
        """Want these terms from now on; the last promise comes back if the charger refuses them."""
        m, terms = self.memory, request.terms
        asked = "requested" if m.wanted is None else "change requested"
        self.note(asked, f"until {to_the_second(terms.expires_at)}")
        if m.was_active and m.fallback is None:
            m.fallback = m.wanted
        m.wanted = m.last_terms = terms
        if m.fallback == terms:
            m.fallback = None
        m.doubt, m.refused_change, m.retry_at = None, None, None
        m.force, m.reject_offline = request.force, request.offline_policy == "reject"
        if m.route is None and request.route != m.failed_route:
            m.route = request.route
        if m.timeline[1:]:  # the first request's terms came with the start
            self.show_terms(terms)

    def take_cancel(self, ask: CancelCommand) -> None:
        m = self.memory
        self.answer_asks(ReserveStatus.REJECTED, "Superseded")
        self._cancels.append(ask)
        if m.state.is_end or m.concern is Concern.CANCEL_REFUSED:
            done = m.state is ReservationState.CANCELLED
            self.answer_cancels(
                CancelStatus.ACCEPTED if done else CancelStatus.REJECTED,
                None if done else "UnknownReservation",
            )
            return
        self.note("cancel requested")
        self.release(ReservationState.CANCELLED)

    def release(self, ending: ReservationState, reason: str | None = None) -> None:
        """Want nothing any more; the run ends as `ending` once the charger holds nothing."""
        m = self.memory
        m.wanted, m.fallback, m.doubt, m.refused_change, m.retry_at = None, None, None, None, None
        m.ending, m.ending_reason, m.reject_offline = ending, reason, False
        self.forget_concern()

    def begin_anew(self) -> None:
        """Use the number again, in the same run; the charger may still hold the former reservation."""
        m = self.memory
        self.memory = Memory(
            held=Held.NOTHING if m.held is Held.NOTHING else Held.MAYBE,
            held_terms=m.held_terms,
            route=m.route,
            listening=m.listening,
            last_event_id=m.last_event_id,
            announced=m.announced,
            announcements=m.announcements,
            announce_at=m.announce_at,
            timeline=m.timeline,
        )
        self.enter(ReservationState.REQUESTED)

    def needs_frame(self) -> bool:
        """Whether what is wanted and what the charger holds differ, or might."""
        m = self.memory
        if m.state.is_end:
            return m.tidy
        if m.concern is Concern.CANCEL_REFUSED:
            return False
        if m.wanted is None:
            return m.held is not Held.NOTHING and m.ending is not None
        if workflow.now() >= m.wanted.expires_at:
            return False  # chargers make anything of an expiry in the past: our clock ends it soon
        return self.in_force() != m.wanted

    def must_cancel_first(self) -> bool:
        """Whether the next frame is CancelReservation rather than ReserveNow."""
        m = self.memory
        if m.wanted is None or m.doubt is not None:
            return True
        # Some chargers would hold both ports under one id (protocol notes §9.2).
        moves = m.held_terms is not None and m.held_terms.port_number != m.wanted.port_number
        return m.held is not Held.NOTHING and moves

    @property
    def is_in_place(self) -> bool:
        """Whether the charger should be holding it, and nobody wants it over."""
        m = self.memory
        return m.state is ReservationState.ACTIVE and m.ending is None and m.held is not Held.NOTHING

    def hold(self, held: Held, terms: Terms) -> None:
        """The charger holds `terms` now, or may."""
        m = self.memory
        if m.held_terms is not None and m.held_terms.port_number != terms.port_number:
            m.reserved_shown = False
        m.held, m.held_terms = held, terms

    def worry(self, concern: Concern) -> None:
        """Look at the port again when the settle time is over."""
        m = self.memory
        m.concern, m.concern_since = concern, workflow.now()
        m.look_at = workflow.now() + self.start.policy.settle

    def forget_concern(self) -> None:
        """All is well again."""
        m = self.memory
        m.concern, m.concern_since, m.look_at = None, None, None

    def end(
        self,
        state: ReservationState,
        reason: str | None = None,
        answer: ReserveStatus | None = None,
        answer_reason: str | None = None,
    ) -> None:
        """The one way into an end state; who still waits is answered."""
        m = self.memory
        m.last_terms = self._terms()
        m.ended_at = workflow.now()
        m.wanted, m.ending, m.ending_reason, m.retry_at, m.waiting_since = None, None, None, None, None
        m.doubt, m.fallback, m.linger_until, m.tidy = None, None, None, False
        change, m.refused_change = m.refused_change, None
        self.forget_concern()
        self.enter(state, reason)
        self.announce(EventType(f"reservation.{state}"), m.last_terms)
        if answer is None and change is not None:
            answer, answer_reason = status_of(change), reason_of(change)
        elif answer is None:
            answer = ReserveStatus.ACCEPTED if state is ReservationState.USED else ReserveStatus.REJECTED
            answer_reason = reason or state.capitalize()
        self.answer_asks(answer, answer_reason)
        if state in (ReservationState.CANCELLED, ReservationState.EXPIRED):
            self.answer_cancels(CancelStatus.ACCEPTED, reason)
        else:
            self.answer_cancels(CancelStatus.REJECTED, reason or state.capitalize())

    def announce(
        self,
        event_type: EventType,
        terms: Terms | None,
        *,
        evidence: str | None = None,
        transaction_id: str | None = None,
    ) -> None:
        """Have webhooks told of what the books say now; evidence and transaction may be the event's own."""
        m = self.memory
        m.announcements.append(
            Announcement(
                event_id=self.next_event_id(event_type),
                type=event_type,
                at=workflow.now(),
                charger_id=self.start.charger_id,
                reservation_id=self.start.reservation_id,
                site_id=self.start.site_id,
                port_id=None if terms is None else terms.port_id,
                state=m.state,
                status=m.status,
                reason=m.reason,
                evidence=evidence or m.evidence,
                expires_at=None if terms is None else terms.expires_at,
                transaction_id=transaction_id or m.transaction_id,
            )
        )
        self.count_event(event_type)

    def next_event_id(self, event_type: EventType) -> str:
        """The id of the next event of this type."""
        number = self.memory.announced.get(event_type, 0) + 1
        return reservation_event_id(workflow.info().first_execution_run_id, event_type, number)

    def count_event(self, event_type: EventType) -> None:
        """There was one; the next has another id."""
        m = self.memory
        m.announced[event_type] = m.announced.get(event_type, 0) + 1

    def enter(self, state: ReservationState, reason: str | None = None) -> None:
        """The one writer of the state."""
        m = self.memory
        m.state, m.reason = state, reason
        self.note(state, reason or "")
        count_state(state, reason, m.status)
        self._log_state(state, reason)
        # Each upsert is a write to the lists' store: a start with a route shows `sending` already.
        if workflow.info().typed_search_attributes.get(RESERVATION_STATE) != state:
            workflow.upsert_search_attributes([RESERVATION_STATE.value_set(state)])

    def _log_state(self, state: ReservationState, reason: str | None) -> None:
        if not workflow.unsafe.is_replaying():
            log.info(
                "reservation_state",
                charger_id=self.start.charger_id,
                reservation_id=self.start.reservation_id,
                state=state,
                reason=reason,
            )

    def show_terms(self, terms: Terms) -> None:
        """Let lists find the reservation by its port and expiry."""
        port = PORT_ID.value_unset() if terms.port_id is None else PORT_ID.value_set(terms.port_id)
        shown: list[SearchAttributeUpdate[Any]] = [EXPIRES_AT.value_set(terms.expires_at), port]
        workflow.upsert_search_attributes(shown)

    def note(self, event: str, detail: str = "") -> None:
        """Tell the timeline and the Temporal UI, in words for people, never with a token."""
        m = self.memory
        entry = TimelineEntry(at=workflow.now(), event=event, detail=detail)
        m.timeline.append(entry)
        if len(m.timeline) > TIMELINE_LENGTH:
            del m.timeline[1]  # the beginning and the recent past tell most
        self._recent.append(_line(entry))
        workflow.set_current_details("\n".join(self._recent))

    def answer_asks(self, status: ReserveStatus, reason: str | None = None) -> None:
        """Answer everyone who waits for the outcome of what is wanted."""
        for ask in self._asks:
            ask.answer = ReserveAnswer(
                status=status, state=self.memory.state, reason=reason, holds=self.in_force()
            )
        self._asks = []

    def answer_cancels(self, status: CancelStatus, reason: str | None = None) -> None:
        """Answer everyone who waits for a cancel."""
        for ask in self._cancels:
            ask.answer = CancelAnswer(status=status, state=self.memory.state, reason=reason)
        self._cancels = []

    def answer_pending(self) -> None:
        """Answer everyone whose time is over, or whose charger is away: they need not hold the line."""
        m = self.memory
        reason = m.reason or ("ChargerOffline" if self.is_waiting else None)
        for answer_by, command in self._waited_for():
            holds = isinstance(command, ReserveCommand) and command.request.hold_while_offline
            if workflow.now() < answer_by and (holds or not self.is_waiting):
                continue
            if isinstance(command, ReserveCommand):
                command.answer = ReserveAnswer(
                    status=PENDING, state=m.state, reason=reason, holds=self.in_force()
                )
            else:
                command.answer = CancelAnswer(status=PENDING, state=m.state, reason=reason)

    def next_pending(self) -> datetime | None:
        """When the time of the next caller is over."""
        return min((answer_by for answer_by, _ in self._waited_for()), default=None)

    def _waited_for(self) -> list[tuple[datetime, ReserveCommand | CancelCommand]]:
        return [
            (command.answer_by, command)
            for command in (*self.queue, *self._asks, *self._cancels)
            if command.answer is None and command.answer_by is not None
        ]

    def in_force(self) -> Terms | None:
        """The terms the charger surely holds."""
        m = self.memory
        return m.held_terms if m.held is Held.YES else None

    @property
    def is_waiting(self) -> bool:
        """Whether the charger is away, so that callers need not hold the line."""
        return self.memory.waiting_since is not None

    def concerned_terms(self) -> Terms | None:
        """The terms whose port and token matter now: what the charger may hold, else what is wanted."""
        m = self.memory
        return m.wanted or m.held_terms if m.held is Held.NOTHING else m.held_terms

    def has_port(self) -> bool:
        """Whether one port is reserved, not any of the charger's."""
        terms = self.memory.held_terms
        return terms is not None and terms.port_number is not None

    def deadline(self) -> datetime | None:
        """When our own clock ends this: expiry, with a grace once the charger was asked."""
        m = self.memory
        if m.state.is_end:
            return m.linger_until
        terms = m.wanted or m.held_terms
        if terms is None:
            return self._idle_until
        return terms.expires_at + (timedelta(0) if m.held is Held.NOTHING else self.start.policy.expiry_grace)

    def snapshot(self) -> Snapshot:
        """The reservation as it stands."""
        m = self.memory
        return Snapshot(
            charger_id=self.start.charger_id,
            reservation_id=self.start.reservation_id,
            state=m.state,
            terms=self._terms(),
            status=m.status,
            reason=m.reason,
            evidence=m.evidence,
            waiting_since=m.waiting_since,
            ended_at=m.ended_at,
            transaction_id=m.transaction_id,
            violations=m.violations,
            commands_waiting=len(self.queue),
            timeline=tuple(m.timeline),
        )

    def _terms(self) -> Terms | None:
        """What the reservation is about, or was."""
        m = self.memory
        return m.wanted or m.held_terms or m.last_terms

    def charger_is_back(self, route: Route) -> None:
        """There is a route again."""
        m = self.memory
        if m.waiting_since is not None:
            self.note("charger connected")
        m.route, m.waiting_since, m.retry_at = route, None, None
        if m.reason in {"ChargerOffline", "ChargerNotReady"}:
            m.reason = None


def _line(entry: TimelineEntry) -> str:
    return f"- {to_the_second(entry.at)} {entry.event} {entry.detail}".rstrip()
