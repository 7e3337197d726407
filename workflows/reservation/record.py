"""Everything that is known of one reservation: one record, carried as it is when a run continues as new."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel

from workflows.messages import (
    CancelAnswer,
    ReservationState,
    ReserveAnswer,
    ReserveNowResult,
    ReserveRequest,
    ReserveStatus,
    Route,
    Terms,
    TimelineEntry,
)
from workflows.webhook_events import WebhookEvent


class Observed(StrEnum):
    """Whether the charger holds a reservation under our number, as far as its answers and reports show."""

    NOTHING = "nothing"
    HELD = "held"
    UNCERTAIN = "uncertain"


class WaitsFor(StrEnum):
    """What a reservation waits for before its next frame can go out."""

    CONNECTION = "connection"  # the charger is offline
    BOOT = "boot"  # it answered SecurityError: it takes no commands before its next BootNotification


class CheckReason(StrEnum):
    """Why the port of an active reservation is looked at again after the settle time."""

    AVAILABLE = "available"  # the port shows Available although we reserved it
    RESTARTED = "restarted"  # the charger booted; it may have forgotten
    RECONNECTED = "reconnected"  # it was away; what it did meanwhile nobody saw
    FOREIGN_USE = "foreign use"  # somebody else charged at our port and left
    OUT_OF_ORDER = "out of order"  # the port is Faulted or Unavailable
    RECOVERED = "recovered"  # it was, and is back
    EARLY_EXPIRY = "early expiry"  # the charger says Expired long before the time
    CANCEL_REFUSED = "cancel refused"  # the charger did not know the number we cancelled
    EXPIRED = "expired"  # its time is over; the charger may still hold it, or report a use


class PendingCheck(BaseModel):
    """A check of the port that is due once things have settled."""

    reason: CheckReason
    since: datetime  # of this reason
    due_at: datetime | None = None  # None: when the charger reports again
    put_off_since: datetime | None = None  # reports that keep coming put it off, but not for ever
    absences: int = 0  # how often the charger was away for long when it was due
    offline_at: datetime | None = None  # it was due, and the charger away


class Ending(BaseModel):
    """The end to reach once the charger holds nothing under our number."""

    state: ReservationState
    reason: str | None = None
    is_lost: bool = False  # the charger gave the port to somebody else: no cancel ends it otherwise


class UncertainRefusal(BaseModel):
    """A refusal that does not prove that the charger holds nothing (it may not know how to replace)."""

    answer: ReserveNowResult
    again: bool  # reserve once more when a cancel shows that it did hold our number


class PossibleUse(BaseModel):
    """A transaction at our port that may be ours, and is not known to be."""

    transaction_id: str
    is_unexplained: bool  # by our token, at a time that does not fit; else its token is not known yet
    has_ended: bool = False


class Routing(BaseModel):
    """How the charger is reached: the gateway that holds its socket, and what came of it."""

    route: Route | None = None
    failed_route: Route | None = None
    failure_count: int = 0
    waits_for: WaitsFor | None = None
    waiting_since: datetime | None = None
    socket_epoch: int = 0  # the newest of the charger's sockets that anything was known of


class Attempts(BaseModel):
    """Frames so far, and the answers that are missing."""

    generation: int = 0  # `ReserveNowInput.generation` of the last ReserveNow
    first_generation: int = 0  # of the first one that may have reached the charger
    accepted_generation: int = 0  # of the last one that it accepted
    first_sent_at: datetime | None = None  # None: the charger was sent nothing
    unanswered_count: int = 0  # in a row
    early_disconnects: int = 0  # sockets in a row that ended right after our frame
    is_cancel_unanswered: bool = False
    retry_at: datetime | None = None


class WebhookOutbox(BaseModel):
    """Webhook events that are not in the database yet."""

    counts: dict[str, int] = {}  # events so far, by type
    events: list[WebhookEvent] = []
    retry_at: datetime | None = None  # storing them failed; when to try again


class ReservationRecord(BaseModel):
    """What is desired, what the charger was last seen to hold, what waits, since when."""

    # Where it stands; what callers and operators see
    state: ReservationState = ReservationState.REQUESTED
    status: ReserveStatus | None = None  # the charger's last answer to ReserveNow
    reason: str | None = None
    evidence: str | None = None  # which message proved the state
    ended_at: datetime | None = None
    transaction_id: str | None = None
    violations: int = 0
    timeline: list[TimelineEntry] = []

    # What is desired; None: nothing
    desired: Terms | None = None
    force: bool = False  # skips the one-holder-per-port rule
    reject_offline: bool = False
    fallback: Terms | None = None  # the terms in force before a change that is under way
    refused_change: ReserveNowResult | None = None  # the former terms are being restored
    ending: Ending | None = None
    last_terms: Terms | None = None  # what it was about, once nothing is desired and nothing was held

    # What the charger holds
    observed: Observed = Observed.NOTHING
    observed_terms: Terms | None = None  # of the last frame that may be in force
    was_active: bool = False
    was_shown_reserved: bool = False  # its port has shown Reserved since the last boot
    is_status_stale: bool = False  # the port's status is older than the last boot or connection
    uncertain_refusal: UncertainRefusal | None = None
    check: PendingCheck | None = None
    foreign_transaction: str | None = None
    possible_use: PossibleUse | None = None

    # How it is reached, and what was asked of it
    routing: Routing = Routing()
    attempts: Attempts = Attempts()
    is_subscribed: bool = False  # the database has a row that brings us the charger's events
    last_event_id: int = 0

    # After the end
    watch_until: datetime | None = None  # the charger may still report, or hold, something
    watched_transaction: str | None = None  # the use whose end is waited for
    needs_cleanup_cancel: bool = False
    stirred_at: datetime | None = (
        None  # when it last reported, or gave up, something: more may follow at once
    )
    quiet_until: datetime | None = None  # events that were on their way may still come in

    # Callers and webhooks
    reserve_requests: dict[str, ReserveAnswer | None] = {}  # the latest, by their ids; None: not final
    cancel_requests: dict[str, CancelAnswer | None] = {}
    behind_end: ReserveRequest | None = None  # waits, in a run that continued, for the end under way
    webhooks: WebhookOutbox = WebhookOutbox()
    latest_at: datetime | None = None  # no instant that is shown is earlier, whatever the clock does

    @property
    def is_over(self) -> bool:
        """Whether the reservation has ended and nothing more is expected of its charger."""
        return self.state.is_end and self.watch_until is None

    @property
    def is_in_place(self) -> bool:
        """Whether the charger should be holding it, and nobody wants it over."""
        return (
            self.state is ReservationState.ACTIVE
            and self.ending is None
            and self.observed is not Observed.NOTHING
        )

    @property
    def in_force(self) -> Terms | None:
        """The terms that the charger surely holds."""
        return self.observed_terms if self.observed is Observed.HELD else None

    @property
    def concerned_terms(self) -> Terms | None:
        """The terms whose port and token matter now: what the charger may hold, else what is desired."""
        if self.observed is Observed.NOTHING:
            return self.desired or self.observed_terms
        return self.observed_terms

    @property
    def latest_terms(self) -> Terms | None:
        """What the reservation is about, or was."""
        return self.desired or self.observed_terms or self.last_terms

    @property
    def has_port(self) -> bool:
        """Whether one port is reserved, not any of the charger's."""
        return self.observed_terms is not None and self.observed_terms.port_number is not None
