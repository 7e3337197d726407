"""Reservations on the wire."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Path, Query
from pydantic import AfterValidator, BeforeValidator, Field, StrictBool

from api.schemas.base import MAX_ID, Id, Instant, Request, ReservationNumber, Response, printable
from workflows.messages import IdTagType, ReservationState


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


Token = Annotated[str, Field(min_length=1, max_length=20), AfterValidator(printable)]
"""OCPP 1.6 IdToken: CiString20Type."""

ChargerIdInPath = Annotated[
    int, Path(alias="chargerId", ge=1, le=MAX_ID, description="The charger's id.", examples=[1])
]
ReservationIdInPath = Annotated[
    int,
    Path(alias="reservationId", ge=0, le=MAX_ID, description="The caller's own number.", examples=[4711]),
]
ChargerIdInQuery = Annotated[
    int | None,
    Query(alias="chargerId", ge=1, le=MAX_ID, description="Of this charger only.", examples=[1]),
]
PortIdInQuery = Annotated[
    int | None, Query(alias="portId", ge=1, le=MAX_ID, description="Of this port only.", examples=[1])
]
StateInQuery = Annotated[
    ReservationState | None, Query(description="In this state only.", examples=["active"])
]


class ReservationBody(Request):
    """What to reserve, for whom, until when."""

    port_id: Id | None = Field(
        None, description="The port to reserve. Required unless `chargerId` is given.", examples=[1]
    )
    charger_id: Id | None = Field(
        None,
        description="Without `portId`: reserve any port of this charger (1.6 connectorId 0, 2.0.1 no "
        "evseId); many chargers refuse that, they are asked all the same. With `portId`: its charger.",
        examples=[1],
    )
    expiry_date: Instant = Field(
        description="When the reservation ends: ISO 8601; without an offset UTC.",
        examples=["2026-12-24T18:00:00Z"],
    )
    id_tag: Token = Field(
        description="The driver's token, 1 to 20 printable characters.", examples=["RFID-1"]
    )
    reservation_id: ReservationNumber = Field(
        description="Your own number for it; the same number again is the same reservation.", examples=[4711]
    )
    parent_id_tag: Annotated[Token | None, BeforeValidator(_none_if_empty)] = Field(
        None, description="The group whose members may use the reservation too.", examples=["FLEET-1"]
    )
    id_token_type: IdTagType | None = Field(
        None,
        description="The kind of token, for OCPP 2.0.1. A `Central` one (the default) is used by a remote "
        "start; a card at the charger's reader needs `ISO14443` or `ISO15693`.",
        examples=["Central"],
    )
    offline_policy: Literal["retry", "reject"] | None = Field(
        None,
        description="While the charger is offline: keep trying until expiry, or reject at once.",
        examples=["retry"],
    )
    force: StrictBool | None = Field(
        None, description="Ask the charger although the port is reserved by another one.", examples=[False]
    )


class ReservationOutcome(Response):
    """How a request to reserve came out."""

    status: Literal["Accepted", "Faulted", "Occupied", "Rejected", "Unavailable", "Pending"] = Field(
        description="The charger's answer; Pending (202) when it is not known yet.", examples=["Accepted"]
    )
    reservation_id: int = Field(description="Your number.", examples=[4711])
    charger_id: int = Field(description="The port's charger.", examples=[1])
    port_id: int | None = Field(
        None,
        description="The port that is, or would be, reserved; left out when it is any port of the charger.",
        examples=[1],
    )
    state: ReservationState = Field(description="Where the reservation stands.", examples=["active"])
    reason: str | None = Field(
        None, description="Why, when the status does not say it all.", examples=["ReservedByOther"]
    )
    expiry_date: datetime = Field(description="When it ends, UTC.", examples=["2026-12-24T18:00:00Z"])


class CancelBody(Request):
    """Which reservation to cancel."""

    charger_id: Id = Field(description="The reservation's charger.", examples=[1])
    reservation_id: ReservationNumber = Field(description="Your number.", examples=[4711])


class CancelOutcome(Response):
    """How a request to cancel came out."""

    status: Literal["Accepted", "Rejected", "Pending"] = Field(
        description="Accepted: it holds nothing any more. Pending (202): the charger is not reached yet.",
        examples=["Accepted"],
    )
    reservation_id: int = Field(description="Your number.", examples=[4711])
    charger_id: int = Field(description="The reservation's charger.", examples=[1])
    state: ReservationState | None = Field(
        None, description="Where the reservation stands, when there is one.", examples=["cancelled"]
    )
    reason: str | None = Field(
        None, description="Why, when the status does not say it all.", examples=["UnknownReservation"]
    )


class TimelineItem(Response):
    """One line of a reservation's timeline."""

    at: datetime = Field(description="When, UTC.", examples=["2026-12-24T12:00:00Z"])
    event: str = Field(description="What happened.", examples=["accepted"])
    detail: str = Field(description="More about it, for people.", examples=["the charger holds port 1"])


class Reservation(Response):
    """A reservation as it stands, with its timeline."""

    reservation_id: int = Field(description="The caller's number.", examples=[4711])
    charger_id: int = Field(description="Its charger.", examples=[1])
    port_id: int | None = Field(description="Its port; null when it is any port.", examples=[1])
    id_tag: str | None = Field(description="The driver's token.", examples=["RFID-1"])
    state: ReservationState = Field(description="Where it stands.", examples=["active"])
    status: str | None = Field(description="The charger's last answer to ReserveNow.", examples=["Accepted"])
    reason: str | None = Field(description="Why it ended so, or waits.", examples=["ChargerOffline"])
    evidence: str | None = Field(description="Which message said so.", examples=["ReserveNow.conf"])
    expiry_date: datetime | None = Field(description="When it ends, UTC.", examples=["2026-12-24T18:00:00Z"])
    waiting_since: datetime | None = Field(
        description="Since when it waits for the charger, UTC.", examples=["2026-12-24T12:00:00Z"]
    )
    ended_at: datetime | None = Field(description="When it ended, UTC.", examples=["2026-12-24T18:00:30Z"])
    timeline: list[TimelineItem] = Field(
        description="Its timeline, oldest first.",
        examples=[
            [{"at": "2026-12-24T12:00:00Z", "event": "accepted", "detail": "the charger holds port 1"}]
        ],
    )
    workflow_url: str | None = Field(
        description="Its workflow in the Temporal UI; null when no UI is configured.",
        examples=["http://127.0.0.1:8233/namespaces/default/workflows/reservation-1-4711/0199/history"],
    )


class ReservationItem(Response):
    """A reservation in a list, a moment old."""

    reservation_id: int = Field(description="The caller's number.", examples=[4711])
    charger_id: int = Field(description="Its charger.", examples=[1])
    port_id: int | None = Field(description="Its port; null when it is any port.", examples=[1])
    state: ReservationState = Field(description="Where it stands.", examples=["active"])
    expiry_date: datetime = Field(description="When it ends, UTC.", examples=["2026-12-24T18:00:00Z"])
    created_at: datetime = Field(
        description="When it was first asked for, UTC.", examples=["2026-12-24T12:00:00Z"]
    )
    ended_at: datetime | None = Field(
        description="When its workflow ended, UTC; null while it lives.", examples=["2026-12-24T18:00:30Z"]
    )
