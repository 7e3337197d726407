"""What the charger's answers mean for a reservation, and what its silence does."""

from datetime import timedelta

from temporalio import workflow

from workflows.messages import (
    CancelReservationResult,
    CancelStatus,
    InDoubtDetail,
    NotSentDetail,
    ReservationState,
    ReserveNowResult,
    ReserveStatus,
    Terms,
)
from workflows.reservation.machine import Ledger
from workflows.reservation.record import Concern, Doubt, Held
from workflows.reservation.refusal import CANNOT_RESERVE, reason_of, status_of
from workflows.webhook_events import RESERVE_ACCEPTED, EventType

# Attempts to learn a lost answer: soon at first, then rarely, so that a mute charger is not hammered.
DOUBT_SPACING = [timedelta(seconds=s) for s in (5, 30, 120, 600, 1800)]
QUICK_DEATH = timedelta(seconds=5)  # a socket that dies this soon after our frame died of it
MAX_QUICK_DEATHS = 3

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


class Answers:
    """Hears the outcome of each frame, and writes what follows from it into the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def hear_reserve(self, terms: Terms, answer: ReserveNowResult) -> None:
        """The charger answered ReserveNow(`terms`)."""
        m = self._ledger.memory
        if answer.error == _NOT_BOOTED:
            self._ledger.note("charger not ready", "sent again after its next boot")
            m.reason, m.waiting_since = "ChargerNotReady", workflow.now()
            m.doubts += 1
            self._retry_later()
            return
        said = answer.status or f"CALLERROR {answer.error}"
        self._ledger.note(
            "charger answered" if answer.sent else "not sent",
            f"ReserveNow {said} {answer.reason or ''}".rstrip(),
        )
        if not answer.sent:
            self.refuse_unsent(answer)
            return
        self._hear()
        if answer.status is ReserveStatus.ACCEPTED:
            self._ledger.hold(Held.YES, terms)
            m.fallback, m.was_active = None, True
            m.status, m.evidence = ReserveStatus.ACCEPTED, RESERVE_ACCEPTED
            self._ledger.forget_concern()
            if m.state is not ReservationState.ACTIVE:
                self._ledger.enter(ReservationState.ACTIVE)
                if answer.is_untold:
                    self._ledger.announce(EventType.RESERVATION_ACTIVE, terms)
                else:
                    self._ledger.count_event(EventType.RESERVATION_ACTIVE)
            change, m.refused_change = m.refused_change, None
            if change is None:
                self._ledger.answer_asks(ReserveStatus.ACCEPTED)
            else:
                self._ledger.show_terms(terms)
                self._ledger.answer_asks(status_of(change), reason_of(change))
        elif _may_hold(answer.error):
            self._ledger.hold(Held.MAYBE, terms)
            m.doubt = Doubt(answer=answer, again=False)
        elif m.held is Held.NOTHING:
            self.accept_refusal(answer)
        else:
            # Some chargers drop the former reservation before they refuse the new content.
            m.held, m.doubt = Held.MAYBE, Doubt(answer=answer, again=True)

    def refuse_unsent(self, answer: ReserveNowResult) -> None:
        """Berth itself refused: whatever the charger holds, it holds on."""
        m = self._ledger.memory
        if m.held is Held.NOTHING:
            self.accept_refusal(answer)
        elif m.fallback is not None:
            m.wanted, m.fallback = m.fallback, None
            self._ledger.note("change refused", "the former reservation stays")
            self._ledger.show_terms(m.wanted)
            self._ledger.answer_asks(status_of(answer), reason_of(answer))
        else:
            m.doubt = Doubt(answer=answer, again=False)

    def accept_refusal(self, answer: ReserveNowResult) -> None:
        """The charger refused and holds nothing of ours."""
        m = self._ledger.memory
        status, reason = status_of(answer), reason_of(answer)
        if m.fallback is not None and workflow.now() >= m.fallback.expires_at:
            m.evidence = "timer"
            self._ledger.end(ReservationState.EXPIRED, None, status, reason)
            return
        if m.fallback is not None:
            self._ledger.note("change refused", "restoring the former reservation")
            m.wanted, m.fallback, m.refused_change = m.fallback, None, answer
            return
        m.status, m.evidence = status, f"ReserveNow {answer.status or answer.error}"
        if m.refused_change is not None:
            self._ledger.end(ReservationState.REMOVED, "ChangeRefused")
        elif m.was_active:
            self._ledger.end(ReservationState.REMOVED, "LostByCharger", status, reason)
        else:
            self._ledger.end(ReservationState.REJECTED, reason, status, reason)

    def hear_cancel(self, answer: CancelReservationResult) -> None:
        """The charger answered CancelReservation; Rejected means that it holds nothing under our number."""
        m = self._ledger.memory
        self._ledger.note(
            "charger answered", f"CancelReservation {answer.status or f'CALLERROR {answer.error}'}"
        )
        any_answer_will_do = m.ending is ReservationState.REMOVED or (
            m.doubt is not None and not m.doubt.again
        )
        if _may_hold(answer.error) and not any_answer_will_do:
            m.held, m.cancel_in_doubt = Held.MAYBE, True
            m.doubts += 1
            if not m.state.is_end:
                self._ledger.enter(ReservationState.UNKNOWN, f"OcppError:{answer.error}")
            self._retry_later()
            return
        self._hear()
        # Rejected after a lost answer: the first try may have done it.
        accepted = answer.status is CancelStatus.ACCEPTED or m.cancel_in_doubt
        certain = m.held is Held.YES
        m.held, m.cancel_in_doubt, m.tidy = Held.NOTHING, False, False
        if m.doubt is not None:
            doubt, m.doubt = m.doubt, None
            if not (accepted and doubt.again):
                self.accept_refusal(doubt.answer)
        elif m.ending is ReservationState.CANCELLED and not accepted and certain:
            # It holds nothing under this number; perhaps a driver was quicker and the word is on its way.
            m.ending = None
            self._ledger.worry(Concern.CANCEL_REFUSED)
            self._ledger.enter(ReservationState.UNKNOWN, "UnknownReservation")
            self._ledger.answer_cancels(CancelStatus.REJECTED, "UnknownReservation")
        elif m.ending is not None:
            m.evidence = f"CancelReservation {answer.status or answer.error}"

    def _hear(self) -> None:
        """The charger spoke: nothing is in the way any more."""
        m = self._ledger.memory
        m.doubts, m.quick_deaths, m.route_failures = 0, 0, 0
        m.failed_route, m.waiting_since = None, None

    def lose_route(self, why: NotSentDetail) -> None:
        """Nothing was written: safe, route again."""
        m = self._ledger.memory
        self._ledger.note("not sent", why.cause.replace("_", " "))
        m.failed_route, m.route = m.route, None
        m.route_failures += 1

    def lose_answer(self, action: str, why: InDoubtDetail) -> None:
        """Written, and no answer came: in doubt is not refused."""
        m = self._ledger.memory
        self._ledger.note("answer lost", f"{action}: {why.cause.replace('_', ' ')}")
        m.doubts += 1
        quick = why.cause == "socket_closed" and why.after < QUICK_DEATH
        m.quick_deaths = m.quick_deaths + 1 if quick else 0
        if why.cause != "timeout":
            m.route = None
        if m.quick_deaths >= MAX_QUICK_DEATHS:
            self._give_up(action)
            return
        if not m.state.is_end:
            self._ledger.enter(ReservationState.UNKNOWN, "NoResponse")
        self._retry_later()

    def _retry_later(self) -> None:
        m = self._ledger.memory
        m.retry_at = workflow.now() + DOUBT_SPACING[min(max(m.doubts - 1, 0), len(DOUBT_SPACING) - 1)]

    def _give_up(self, action: str) -> None:
        m = self._ledger.memory
        m.held, m.tidy = Held.NOTHING, False
        m.evidence = f"{MAX_QUICK_DEATHS} sockets died on {action}"
        if not m.state.is_end:
            self._ledger.end(ReservationState.FAILED, "ChargerFailsOnCommand")


def _may_hold(error: str | None) -> bool:
    """Trouble inside the charger, or rubbish: it may have done what was asked all the same."""
    return error is not None and error not in CANNOT_RESERVE | _REQUEST_REFUSED
