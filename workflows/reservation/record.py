"""What a reservation's workflow knows: one record, carried along when a long history continues anew."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel

from workflows.messages import (
    ReservationState,
    ReserveNowResult,
    ReserveStatus,
    Route,
    Terms,
    TimelineEntry,
)
from workflows.webhook_events import Announcement


class Held(StrEnum):
    """Whether the charger holds a reservation under our number, as far as can be known."""

    NOTHING = "nothing"
    YES = "yes"
    MAYBE = "maybe"


class Concern(StrEnum):
    """Why an active reservation is looked at again after a while."""

    AVAILABLE = "available"  # the port shows Available although we reserved it
    RESTARTED = "restarted"  # the charger booted; it may have forgotten
    FOREIGN_USE = "foreign_use"  # a stranger charged at our port and left
    OUT_OF_ORDER = "out_of_order"  # the port is Faulted or Unavailable
    RECOVERED = "recovered"  # it was, and is back
    EARLY_EXPIRY = "early_expiry"  # the charger says Expired long before the time
    CANCEL_REFUSED = "cancel_refused"  # the charger did not know the number we cancelled


class Doubt(BaseModel):
    """A refusal that does not prove that the charger holds nothing (§9.2 of the protocol notes)."""

    answer: ReserveNowResult
    again: bool  # reserve once more when a cancel shows that it did hold our number


class Memory(BaseModel):
    """The state of one reservation. `wanted` and `held` meet by one frame at a time."""

    state: ReservationState = ReservationState.REQUESTED
    wanted: Terms | None = None  # what the charger shall hold; None = nothing
    held: Held = Held.NOTHING
    held_terms: Terms | None = None  # the terms of the last frame that may be in force
    last_terms: Terms | None = None  # what it was about, once nothing is wanted and nothing was held
    fallback: Terms | None = None  # the terms in force before a change that is under way
    refused_change: ReserveNowResult | None = None  # the former terms are being restored
    doubt: Doubt | None = None
    ending: ReservationState | None = None  # the end to reach once the charger holds nothing
    ending_reason: str | None = None
    force: bool = False
    reject_offline: bool = False
    was_active: bool = False

    route: Route | None = None
    failed_route: Route | None = None
    route_failures: int = 0
    waiting_since: datetime | None = None

    doubts: int = 0  # answers missing in a row
    quick_deaths: int = 0  # sockets in a row that died right after our frame
    retry_at: datetime | None = None
    cancel_in_doubt: bool = False

    concern: Concern | None = None
    concern_since: datetime | None = None
    look_at: datetime | None = None  # when to look at the concern; None = when the charger is back
    reserved_shown: bool = False
    foreign_transaction: str | None = None
    linger_until: datetime | None = None  # expired, but the charger may still have something to say
    tidy: bool = False  # expired, and the port still shows Reserved
    listening: bool = False  # the directory has a row that brings us events

    first_sent_at: datetime | None = None
    last_event_id: int = 0
    status: ReserveStatus | None = None
    reason: str | None = None
    evidence: str | None = None
    ended_at: datetime | None = None
    transaction_id: str | None = None
    violations: int = 0
    announced: dict[str, int] = {}  # events so far, by type
    announcements: list[Announcement] = []  # those that webhooks were not told of yet
    announce_at: datetime | None = None  # telling them failed; when to try again
    timeline: list[TimelineEntry] = []
