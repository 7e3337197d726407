"""What the public API says and hears: Flipturn's names in camel case, and no other module knows them."""

import re
from datetime import UTC, datetime
from typing import Annotated, Generic, Literal, TypeVar

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt
from pydantic.alias_generators import to_camel

from workflows.messages import IdTagType, ReservationState

T = TypeVar("T")

MAX_ID = 2**31 - 1
"""The greatest reservation number of OCPP, and the greatest id of the directory."""

IDENTITY_LENGTH = 48
"""OCPP 2.0.1 identifierString[48]."""

_ISO_8601 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:?\d\d)?")


def camel(field: str) -> str:
    """The public name of a field."""
    return "ocppId" if field == "ocpp_identity" else to_camel(field)


def _instant(value: object) -> datetime:
    if not isinstance(value, str) or not _ISO_8601.fullmatch(value):
        raise ValueError("must be an ISO 8601 date and time such as 2026-12-24T18:00:00Z")
    try:
        instant = datetime.fromisoformat(value.upper())
        # Flipturn's clients send toISOString(): without an offset it is UTC.
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is not a date and time that exists") from None


def _whole(value: object) -> object:
    """JSON knows one kind of number: 1.0 is the integer 1."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must have printable characters only")
    return text


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


Instant = Annotated[datetime, BeforeValidator(_instant, json_schema_input_type=datetime)]
Integer = Annotated[StrictInt, BeforeValidator(_whole)]  # strict: true is no number
Id = Annotated[Integer, Field(ge=1, le=MAX_ID)]
ReservationNumber = Annotated[Integer, Field(ge=0, le=MAX_ID)]
Token = Annotated[str, Field(min_length=1, max_length=20), AfterValidator(_printable)]
Text = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_printable)]

ChargerIdInPath = Annotated[
    int, Path(alias="chargerId", ge=1, le=MAX_ID, description="The charger's id.", examples=[1])
]
ReservationIdInPath = Annotated[
    int,
    Path(alias="reservationId", ge=0, le=MAX_ID, description="The caller's own number.", examples=[4711]),
]
IdInPath = Annotated[int, Path(alias="id", ge=1, le=MAX_ID, description="The charger's id.", examples=[1])]
ExternalIdInPath = Annotated[
    str,
    Path(alias="id", max_length=255, description="The charger's id in your books.", examples=["GARAGE-7"]),
]
OcppIdInPath = Annotated[
    str,
    Path(alias="id", max_length=255, description="The last part of its socket's URL.", examples=["CP-16"]),
]
Limit = Annotated[int, Query(ge=1, le=500, description="Items on a page.", examples=[50])]
Cursor = Annotated[
    str | None,
    Query(alias="nextPageCursor", max_length=255, description="From the page before.", examples=["NDI"]),
]


class Request(BaseModel):
    """Base of the bodies we read: unknown fields are ignored; where a field may be absent, it may be null."""

    model_config = ConfigDict(alias_generator=camel, frozen=True, hide_input_in_errors=True)


class Response(BaseModel):
    """Base of what we write."""

    model_config = ConfigDict(alias_generator=camel, frozen=True, populate_by_name=True)


class Data(BaseModel, Generic[T]):
    """The envelope of every result."""

    data: T = Field(description="The result.")


class Error(BaseModel):
    """The one shape of an error."""

    error: str = Field(
        description="One sentence that says what is wrong.", examples=["expiryDate: must be in the future"]
    )


# --- reservations ---------------------------------------------------------------------------------


class ReservationBody(Request):
    """What to reserve, for whom, until when."""

    port_id: Id = Field(description="The port to reserve.", examples=[1])
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
        description="The charger's word; Pending (202) when it is not known yet.", examples=["Accepted"]
    )
    reservation_id: int = Field(description="Your number.", examples=[4711])
    charger_id: int = Field(description="The port's charger.", examples=[1])
    port_id: int | None = Field(description="The port that is, or would be, reserved.", examples=[1])
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
    """One line of a reservation's story."""

    at: datetime = Field(description="When, UTC.", examples=["2026-12-24T12:00:00Z"])
    event: str = Field(description="What happened.", examples=["accepted"])
    detail: str = Field(description="More about it, for people.", examples=["the charger holds port 1"])


class Reservation(Response):
    """A reservation as it stands, with its story."""

    reservation_id: int = Field(description="The caller's number.", examples=[4711])
    charger_id: int = Field(description="Its charger.", examples=[1])
    port_id: int | None = Field(description="Its port.", examples=[1])
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
        description="Its story, oldest first.",
        examples=[
            [{"at": "2026-12-24T12:00:00Z", "event": "accepted", "detail": "the charger holds port 1"}]
        ],
    )
    workflow_url: str | None = Field(
        description="Its workflow in the Temporal UI; null when no UI is configured.",
        examples=["http://127.0.0.1:8233/namespaces/default/workflows/reservation-1-4711/0199/history"],
    )


# --- chargers -------------------------------------------------------------------------------------


class NewPortBody(Request):
    """A port of a new charger."""

    port_number: Id = Field(
        description="The number the charger uses: 1.6 connector, 2.0.1 EVSE.", examples=[1]
    )
    name: Text | None = Field(None, description="What people call it.", examples=["Left"])
    connector_type: Text | None = Field(None, description="CCS1, J1772, NACS, …", examples=["CCS1"])
    maximum_power_kw: Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)] | None = Field(
        None, description="kW it can deliver.", examples=[150]
    )


class NewChargerBody(Request):
    """A charger to add."""

    ocpp_identity: Annotated[
        str, Field(min_length=1, max_length=IDENTITY_LENGTH), AfterValidator(_printable)
    ] = Field(description="The last part of its socket's URL.", examples=["CP-16"])
    name: Text | None = Field(None, description="What people call it.", examples=["Garage, left"])
    site_id: Text | None = Field(None, description="The site it belongs to.", examples=["site-1"])
    external_id: Text | None = Field(None, description="Its id in your books.", examples=["GARAGE-7"])
    latitude: Annotated[float, Field(ge=-90, le=90, strict=True)] | None = Field(
        None, description="Degrees north.", examples=[52.52]
    )
    longitude: Annotated[float, Field(ge=-180, le=180, strict=True)] | None = Field(
        None, description="Degrees east.", examples=[13.405]
    )
    type: Literal["DCFC", "Level 2"] | None = Field(None, description="Its kind.", examples=["DCFC"])
    ports: Annotated[list[NewPortBody], Field(max_length=100)] = Field(
        [], description="Its ports.", examples=[[{"portNumber": 1, "connectorType": "CCS1"}]]
    )
    password: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        None, description="Its HTTP Basic password (security profiles 1 and 2).", examples=["correct-horse-1"]
    )


class ConnectionStatus(Response):
    """Whether a charger is connected."""

    status: Literal["Connected", "Disconnected"] = Field(
        description="Whether its socket takes commands.", examples=["Connected"]
    )
    timestamp: datetime = Field(description="Since when, UTC.", examples=["2026-12-24T12:00:00Z"])


class OcppStatus(Response):
    """What a port last reported."""

    status: str = Field(description="OCPP's word.", examples=["Available"])
    timestamp: datetime | None = Field(
        description="When it was reported, UTC.", examples=["2026-12-24T12:00:00Z"]
    )
    error_code: str | None = Field(description="OCPP's error code.", examples=["NoError"])
    vendor_error_code: str | None = Field(description="The maker's error code.", examples=["E42"])
    info: str | None = Field(description="More about the error.", examples=["Door open"])


class LatestReadings(Response):
    """Meter readings of a session; Berth keeps none."""

    power_kw: None = Field(None, alias="powerKw", description="Always null.", examples=[None])
    current_a: None = Field(None, alias="currentA", description="Always null.", examples=[None])
    soc_percent: None = Field(None, description="Always null.", examples=[None])
    voltage: None = Field(None, description="Always null.", examples=[None])


class ChargingSession(Response):
    """A session that is going on."""

    id: int = Field(description="Its id.", examples=[9])
    start_time: datetime = Field(description="When it began, UTC.", examples=["2026-12-24T12:00:00Z"])
    soc_start_percent: float | None = Field(None, description="Unknown to Berth.", examples=[None])
    energy_delivered_kwh: float | None = Field(None, description="Unknown to Berth.", examples=[None])
    ocpp_id_tag: str | None = Field(description="The token that started it.", examples=["RFID-1"])
    ocpp_transaction_id: int | None = Field(
        description="The transaction's number on OCPP 1.6; 2.0.1 has texts.", examples=[9]
    )
    latest_readings: LatestReadings = Field(LatestReadings(), description="Unknown to Berth.", examples=[{}])
    vehicle: None = Field(None, description="Unknown to Berth.", examples=[None])


class PortReservation(Response):
    """Who has the port."""

    reservation_id: int = Field(description="The caller's number.", examples=[4711])
    state: ReservationState = Field(description="Where it stands.", examples=["active"])
    expiry_date: datetime = Field(description="When it ends, UTC.", examples=["2026-12-24T18:00:00Z"])


class Port(Response):
    """A place to plug in."""

    id: int = Field(description="Its id: the portId of a reservation.", examples=[1])
    name: str = Field(description="What people call it.", examples=["Port 1"])
    port_number: int = Field(description="The number the charger uses.", examples=[1])
    maximum_power_kw: float | None = Field(description="kW it can deliver.", examples=[150])
    connector_type: str | None = Field(description="The shape of its plug.", examples=["CCS1"])
    ocpp_status: OcppStatus | None = Field(description="What it last reported.", examples=[None])
    current_charging_session: ChargingSession | None = Field(
        description="The session that is going on.", examples=[None]
    )
    reservation: PortReservation | None = Field(
        description="The reservation that its charger accepted.", examples=[None]
    )


class Charger(Response):
    """A charging device."""

    id: int = Field(description="Its id.", examples=[1])
    name: str = Field(description="What people call it.", examples=["Garage, left"])
    manufacturer: str | None = Field(description="Who made it, as it says itself.", examples=["Keba"])
    model: str | None = Field(description="Its model, as it says itself.", examples=["P30"])
    serial_number: str | None = Field(description="Its serial number, as it says itself.", examples=["1234"])
    firmware_version: str | None = Field(description="Its firmware, as it says itself.", examples=["1.2.3"])
    latitude: float | None = Field(description="Degrees north.", examples=[52.52])
    longitude: float | None = Field(description="Degrees east.", examples=[13.405])
    external_id: str | None = Field(description="Its id in your books.", examples=["GARAGE-7"])
    ocpp_identity: str = Field(description="The last part of its socket's URL.", examples=["CP-16"])
    type: str | None = Field(description="DCFC or Level 2.", examples=["DCFC"])
    network_service_provider: None = Field(None, description="Unknown to Berth.", examples=[None])
    charger_type: None = Field(None, description="Unknown to Berth.", examples=[None])
    number_of_ports: int = Field(description="How many ports it has.", examples=[2])
    power_sharing: bool = Field(description="Whether it has more than one port.", examples=[True])
    connection_status: ConnectionStatus | None = Field(
        description="Null when it was never seen.",
        examples=[{"status": "Connected", "timestamp": "2026-12-24T12:00:00Z"}],
    )
    ports: list[Port] = Field(description="Its ports, by number.", examples=[[]])


class Pagination(Response):
    """Where the next page is."""

    has_next_page: bool = Field(description="Whether there is more.", examples=[True])
    next_page_cursor: str | None = Field(description="For the next request.", examples=["NDI"])


class ChargerPage(Response):
    """A page of chargers."""

    data: list[Charger] = Field(description="The chargers, by id.", examples=[[]])
    pagination: Pagination = Field(
        description="How to go on.", examples=[{"hasNextPage": False, "nextPageCursor": None}]
    )


# --- health ---------------------------------------------------------------------------------------


class Health(BaseModel):
    """How this process is."""

    status: Literal["ok"] = Field(description="All is well.", examples=["ok"])
