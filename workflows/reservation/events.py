"""What the charger's own reports mean for a reservation."""

from temporalio import workflow

from workflows.messages import (
    ChargerBooted,
    ChargerConnected,
    Event,
    PortStatusChanged,
    ReservationEnded,
    ReservationState,
    TransactionEnded,
    TransactionStarted,
)
from workflows.reservation.machine import Ledger
from workflows.reservation.record import Concern, Held
from workflows.reservation.uses import Verdict, began_between, is_ours, judge
from workflows.webhook_events import EventType

OUT_OF_ORDER = frozenset({"Faulted", "Unavailable"})


class Witness:
    """Hears events, in order, and writes what follows from them into the ledger."""

    def __init__(self, ledger: Ledger, first_run_id: str) -> None:
        self._ledger = ledger
        self._first_run_id = first_run_id
        self._start = ledger.start
        self._policy = ledger.start.policy

    def hear(self, event: Event) -> None:
        """Take one event; another run's, a repeated one and one older than our first frame change nothing."""
        m = self._ledger.memory
        if event.first_run_id not in ("", self._first_run_id):
            return
        if 0 < event.event_id <= m.last_event_id:
            return
        m.last_event_id = max(m.last_event_id, event.event_id)
        if isinstance(event, ChargerConnected):
            self._on_connected(event)
        elif m.first_sent_at is not None and event.at >= m.first_sent_at:
            self._on_event(event)

    def _on_connected(self, event: ChargerConnected) -> None:
        m = self._ledger.memory
        if m.route is None or event.route.epoch > m.route.epoch:
            self._ledger.charger_is_back(event.route)
        if m.concern is not None or m.linger_until is not None:
            m.look_at = workflow.now() + self._policy.settle

    def _on_event(self, event: Event) -> None:
        m = self._ledger.memory
        match event:
            case TransactionStarted():
                self._on_transaction(event)
            case TransactionEnded(transaction_id=ended) if ended == m.foreign_transaction:
                m.foreign_transaction = None
                if self._ledger.is_in_place:
                    self._ledger.worry(Concern.FOREIGN_USE)
            case ChargerBooted():
                self._ledger.note("charger restarted")
                if m.reason == "ChargerNotReady":
                    m.retry_at = None
                # A boot explains an Available better than a driver's card.
                if self._ledger.is_in_place and m.concern in (None, Concern.AVAILABLE):
                    self._ledger.worry(Concern.RESTARTED)
            case PortStatusChanged():
                self._on_port_status(event)
            case ReservationEnded() if event.reservation_id == self._start.reservation_id:
                self._on_reservation_ended(event)

    def _on_transaction(self, event: TransactionStarted) -> None:
        m = self._ledger.memory
        if m.first_sent_at is None or (m.state.is_end and m.linger_until is None):
            return
        # While a change is in doubt the former terms may still be the ones in force.
        possible = [
            terms
            for terms in (m.held_terms or m.wanted, m.fallback)
            if terms is not None
            and began_between(event, m.first_sent_at, terms.expires_at, self._policy.expiry_grace)
        ]
        verdicts = {judge(event, self._start.reservation_id, terms) for terms in possible}
        if Verdict.USED in verdicts:
            m.transaction_id = event.transaction_id
            foreign = event.id_tag is not None and not any(is_ours(event, terms) for terms in possible)
            m.evidence = f"transaction {event.transaction_id}" + (", by a foreign token" if foreign else "")
            self._ledger.note("charger reports", m.evidence)
            m.held = Held.NOTHING
            self._ledger.end(ReservationState.USED)
        elif Verdict.VIOLATED in verdicts and event.transaction_id != m.foreign_transaction:
            m.violations += 1
            m.foreign_transaction = event.transaction_id
            evidence = f"transaction {event.transaction_id} by a foreign token on the reserved port"
            self._ledger.note("violated", evidence)
            self._ledger.announce(
                EventType.RESERVATION_VIOLATED,
                m.held_terms or m.wanted,
                evidence=evidence,
                transaction_id=event.transaction_id,
            )

    def _on_port_status(self, event: PortStatusChanged) -> None:
        m = self._ledger.memory
        if m.held_terms is None or event.port_number != m.held_terms.port_number:
            return
        self._ledger.note("port status", event.status)
        if "Reserved" in (event.before, event.status):
            m.reserved_shown = True
        if not self._ledger.is_in_place:
            return
        if event.status in OUT_OF_ORDER:
            self._ledger.worry(Concern.OUT_OF_ORDER)
        elif m.concern is Concern.OUT_OF_ORDER:
            self._ledger.worry(Concern.RECOVERED)
        elif event.status == "Reserved" and m.concern is Concern.AVAILABLE:
            self._ledger.forget_concern()
        elif event.status == "Available":
            # An older concern explains it, and is looked at anew: the port was busy meanwhile.
            self._ledger.worry(m.concern or Concern.AVAILABLE)

    def _on_reservation_ended(self, event: ReservationEnded) -> None:
        m = self._ledger.memory
        if m.state.is_end or m.held is Held.NOTHING or m.held_terms is None:
            return
        self._ledger.note("charger reports", f"reservation {event.status}")
        is_early = workflow.now() < m.held_terms.expires_at - self._policy.expiry_grace
        if event.status == "Expired" and is_early:
            # A word about earlier terms, late from an offline queue? Then the charger is asked.
            if self._ledger.is_in_place:
                self._ledger.worry(Concern.EARLY_EXPIRY)
            return
        m.held, m.evidence = Held.NOTHING, f"ReservationStatusUpdate {event.status}"
        if m.wanted not in (None, m.held_terms):
            return  # the former terms are over; the change that is under way is still wanted
        if event.status == "Expired":
            self._ledger.end(ReservationState.EXPIRED)
        else:
            reason = "RemovedByCharger" if event.status == "Removed" else "ConsumedWithoutTransaction"
            self._ledger.end(ReservationState.REMOVED, reason)
