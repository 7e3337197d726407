"""The events that are sent to webhooks: their types, ids and bodies. Never a token in them.

An event's id follows from what happened, so that a step that is taken twice makes one event.
"""

import json
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid5

from pydantic import AwareDatetime
from pydantic.alias_generators import to_camel

from workflows.instant import instant
from workflows.messages import (
    Record,
    ReservationState,
    ReserveNowInput,
    ReserveStatus,
    Terms,
)

_OURS = UUID("6f2a2c0e-5d0b-4b57-9c43-0d4fb6f7a4b1")


class EventType(StrEnum):
    """The types a webhook can subscribe to."""

    RESERVATION_ACTIVE = "reservation.active"
    RESERVATION_USED = "reservation.used"
    RESERVATION_EXPIRED = "reservation.expired"
    RESERVATION_CANCELLED = "reservation.cancelled"
    RESERVATION_REMOVED = "reservation.removed"
    RESERVATION_REJECTED = "reservation.rejected"
    RESERVATION_FAILED = "reservation.failed"
    RESERVATION_VIOLATED = "reservation.violated"
    CHARGER_CONNECTED = "charger.connected"
    CHARGER_DISCONNECTED = "charger.disconnected"


RESERVE_ACCEPTED = "ReserveNow Accepted"
"""The evidence of an active reservation."""

PING = "ping"
"""The type of an event that somebody asked for, to see whether a webhook works."""


class WebhookEvent(Record):
    """An event of a reservation, as its workflow makes it."""

    event_id: str
    type: EventType
    at: AwareDatetime
    charger_id: int
    reservation_id: int
    site_id: str | None
    port_id: int | None
    state: ReservationState
    status: ReserveStatus | None
    reason: str | None
    evidence: str | None
    expires_at: AwareDatetime | None
    transaction_id: str | None

    def body(self) -> str:
        """The event in the API's words."""
        data = {
            "charger_id": self.charger_id,
            "port_id": self.port_id,
            "reservation_id": self.reservation_id,
            "site_id": self.site_id,
            "state": self.state,
            "status": self.status,
            "reason": self.reason,
            "evidence": self.evidence,
            "expiry_date": None if self.expires_at is None else instant(self.expires_at),
            "transaction_id": self.transaction_id,
        }
        return event_body(self.event_id, self.type, self.at, data)


class AnnounceInput(Record):
    """Argument of the activity `Announce`."""

    events: tuple[WebhookEvent, ...]


class UnsubscribeInput(Record):
    """Argument of the activity `Unsubscribe`, with the webhook events that are left to enqueue."""

    charger_id: int
    reservation_id: int
    first_run_id: str
    generation: int  # of the last ReserveNow: the subscription of a later one is left alone
    events: tuple[WebhookEvent, ...] = ()


def active_event(request: ReserveNowInput) -> WebhookEvent | None:
    """That the charger accepted `request`; None when the reservation was active before.

    The gateway enqueues it, so that the caller waits for nothing. Its instant is the workflow's, like those
    of all other events: the times of one reservation never run backwards, whatever a gateway's clock says.
    """
    if not request.event_id or request.event_at is None:
        return None
    return WebhookEvent(
        event_id=request.event_id,
        type=EventType.RESERVATION_ACTIVE,
        at=request.event_at,
        charger_id=request.charger_id,
        reservation_id=request.reservation_id,
        site_id=request.site_id,
        port_id=request.terms.port_id,
        state=ReservationState.ACTIVE,
        status=ReserveStatus.ACCEPTED,
        reason=None,
        evidence=RESERVE_ACCEPTED,
        expires_at=request.terms.expires_at,
        transaction_id=None,
    )


def active_event_id(first_run_id: str, number: int, first_generation: int, terms: Terms) -> str:
    """The id of the event that the charger accepted these terms.

    They are in it, and the generation of the first frame, since the gateway may have stored an event whose
    answer was lost: asked again it is the same one; other terms, or the number used anew, make another.
    """
    what = f"{first_generation} {terms.port_number} {instant(terms.expires_at)}"
    return str(uuid5(_OURS, f"{first_run_id} {EventType.RESERVATION_ACTIVE} {number} {what}"))


def reservation_event_id(first_run_id: str, event_type: EventType, number: int) -> str:
    """The id of the `number`th event of its type in a reservation's life."""
    return str(uuid5(_OURS, f"{first_run_id} {event_type} {number}"))


def charger_event_id(charger_id: int, epoch: int, losses: int, event_type: EventType) -> str:
    """The id of the event that a charger's socket began, or ended; again after losses that were none."""
    return str(uuid5(_OURS, f"charger {charger_id} {epoch} {losses} {event_type}"))


def event_body(event_id: str, event_type: str, at: datetime, data: dict[str, Any]) -> str:
    """An event as JSON; the names of its data become those of the API, what is unknown is null."""
    return json.dumps(
        {
            "id": event_id,
            "type": event_type,
            "createdAt": instant(at),
            "data": {to_camel(name): value for name, value in data.items()},
        },
        separators=(",", ":"),
        ensure_ascii=False,
    )
