"""What a look at the port means for a reservation, when the charger's words are not enough."""

from temporalio import workflow

from workflows.messages import PortView, ReservationState
from workflows.reservation.events import OUT_OF_ORDER
from workflows.reservation.machine import Ledger
from workflows.reservation.record import Concern, Held
from workflows.revision import takes


class Inspection:
    """Judges what the port shows, and writes what follows from it into the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._policy = ledger.start.policy

    def conclude(self, view: PortView) -> None:
        """The settle time is over: the port shows this now."""
        m = self._ledger.memory
        if view.route is None:
            return  # its next connection brings a new look
        if view.ready_for < self._policy.settle:
            m.look_at = workflow.now() + self._policy.settle - view.ready_for
        elif m.linger_until is not None:
            if self.may_still_hold(view):
                self._ledger.note("tidying up", "the charger may still hold it after expiry")
                m.tidy = True
            else:
                m.held = Held.NOTHING
        elif m.concern is not None and m.held is Held.YES:
            self._settle(m.concern, view)

    def may_still_hold(self, view: PortView) -> bool:
        """Whether the charger may hold the reservation although its time is over."""
        m = self._ledger.memory
        outlives = m.held_terms is not None and m.held_terms.expires_at > workflow.now()
        if m.held is Held.MAYBE or view.status == "Reserved" or outlives:
            return True
        # No port shows whether a reservation of any of them is still there, and some chargers expire none.
        return not self._ledger.has_port() and takes(self._ledger.start, 1, "cancel-what-no-port-shows")

    def _settle(self, concern: Concern, view: PortView) -> None:
        m = self._ledger.memory
        if view.status in OUT_OF_ORDER and self._ledger.has_port():
            if concern is Concern.OUT_OF_ORDER:
                m.evidence = f"port {view.status}"
                self._ledger.release(ReservationState.REMOVED, f"Port{view.status}")
            else:
                self._ledger.worry(Concern.OUT_OF_ORDER)
            return
        consumed = concern is Concern.AVAILABLE and view.protocol != "ocpp1.6" and m.reserved_shown
        if view.status == "Available" and consumed:
            # H03.FR.09/10: presenting the token consumes the reservation; the cable may still come.
            plug_in_by = (m.concern_since or workflow.now()) + self._policy.connection_timeout
            if workflow.now() < plug_in_by:
                m.look_at = plug_in_by
                return
            m.held, m.evidence = Held.NOTHING, "port Available"
            self._ledger.end(ReservationState.REMOVED, "ConsumedWithoutTransaction")
        elif (
            view.status == "Available"
            or not self._ledger.has_port()
            or concern in (Concern.OUT_OF_ORDER, Concern.RECOVERED, Concern.EARLY_EXPIRY)
        ):
            self._ledger.note("asking again", f"after {concern.replace('_', ' ')}")
            self._ledger.forget_concern()
            m.held = Held.MAYBE
        elif view.status == "Reserved":
            self._ledger.forget_concern()
