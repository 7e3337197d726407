"""Chargers and their ports on the wire."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Path
from pydantic import AfterValidator, Field

from api.schemas.base import MAX_ID, Id, Request, Response, SiteId, Text, printable
from workflows.messages import PasswordStatus, Pending, ReservationState

IDENTITY_LENGTH = 48
"""OCPP 2.0.1 identifierString[48]."""

Identity = Annotated[str, Field(min_length=1, max_length=IDENTITY_LENGTH), AfterValidator(printable)]
Latitude = Annotated[float, Field(ge=-90, le=90, strict=True)]
Longitude = Annotated[float, Field(ge=-180, le=180, strict=True)]
Kilowatts = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]
Password = Annotated[str, Field(min_length=1, max_length=255)]
ChargerType = Literal["DCFC", "Level 2"]
SecurityProfile = Annotated[int, Field(ge=0, le=3, strict=True)]

_LEAST_PROFILE = (
    "The least OCPP security profile it may connect with: 0 nothing, 1 password, 2 TLS and password, "
    "3 TLS and client certificate"
)

IdInPath = Annotated[int, Path(alias="id", ge=1, le=MAX_ID, description="The charger's id.", examples=[1])]
ExternalIdInPath = Annotated[
    str,
    Path(alias="id", max_length=255, description="The charger's id in your books.", examples=["GARAGE-7"]),
]
OcppIdInPath = Annotated[
    str,
    Path(alias="id", max_length=255, description="The last part of its socket's URL.", examples=["CP-16"]),
]


class NewPortBody(Request):
    """A port of a new charger."""

    port_number: Id = Field(
        description="The number the charger uses: 1.6 connector, 2.0.1 EVSE.", examples=[1]
    )
    name: Text | None = Field(None, description="What people call it.", examples=["Left"])
    connector_type: Text | None = Field(None, description="CCS1, J1772, NACS, …", examples=["CCS1"])
    maximum_power_kw: Kilowatts | None = Field(None, description="kW it can deliver.", examples=[150])


class NewChargerBody(Request):
    """A charger to add."""

    ocpp_identity: Identity = Field(description="The last part of its socket's URL.", examples=["CP-16"])
    name: Text | None = Field(None, description="What people call it.", examples=["Garage, left"])
    site_id: SiteId | None = Field(None, description="The site it belongs to.", examples=["site-1"])
    external_id: Text | None = Field(None, description="Its id in your books.", examples=["GARAGE-7"])
    latitude: Latitude | None = Field(None, description="Degrees north.", examples=[52.52])
    longitude: Longitude | None = Field(None, description="Degrees east.", examples=[13.405])
    type: ChargerType | None = Field(None, description="Its kind.", examples=["DCFC"])
    ports: Annotated[list[NewPortBody], Field(max_length=100)] = Field(
        [], description="Its ports.", examples=[[{"portNumber": 1, "connectorType": "CCS1"}]]
    )
    password: Password | None = Field(
        None, description="Its HTTP Basic password (security profiles 1 and 2).", examples=["correct-horse-1"]
    )
    security_profile: SecurityProfile | None = Field(
        None, description=f"{_LEAST_PROFILE}; null: the gateway's settings decide.", examples=[2]
    )


class ChargerChangesBody(Request):
    """What to change of a charger: a field that is absent stays, null takes the value away."""

    ocpp_identity: Identity = Field(
        default_factory=str, description="The last part of its socket's URL.", examples=["CP-16"]
    )
    name: Text | None = Field(None, description="What people call it.", examples=["Garage, left"])
    site_id: SiteId | None = Field(None, description="The site it belongs to.", examples=["site-1"])
    external_id: Text | None = Field(None, description="Its id in your books.", examples=["GARAGE-7"])
    latitude: Latitude | None = Field(None, description="Degrees north.", examples=[52.52])
    longitude: Longitude | None = Field(None, description="Degrees east.", examples=[13.405])
    type: ChargerType | None = Field(None, description="Its kind.", examples=["DCFC"])
    ports: Annotated[list[NewPortBody], Field(max_length=100)] = Field(
        default_factory=list,
        description="Ports to add, or to describe anew by their number; ports that are not named stay.",
        examples=[[{"portNumber": 1, "connectorType": "CCS1"}]],
    )
    password: Password | None = Field(
        None,
        description="The HTTP Basic password that it has from now on (security profiles 1 and 2); an open "
        "socket stays open, and the charger is not told.",
        examples=["correct-horse-1"],
    )
    security_profile: SecurityProfile | None = Field(
        None,
        description=f"{_LEAST_PROFILE}; null: the gateway's settings decide. An open socket stays open.",
        examples=[2],
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


class Capabilities(Response):
    """What a charger can do, as it said or showed; null is unknown, which is no "no"."""

    reservations: bool | None = Field(description="Whether it takes reservations.", examples=[True])
    whole_charger: bool | None = Field(
        description="Whether it takes reservations of any port (no `portId`).", examples=[None]
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
    site_id: str | None = Field(description="The site it belongs to.", examples=["site-1"])
    type: str | None = Field(description="DCFC or Level 2.", examples=["DCFC"])
    network_service_provider: None = Field(None, description="Unknown to Berth.", examples=[None])
    charger_type: None = Field(None, description="Unknown to Berth.", examples=[None])
    number_of_ports: int = Field(description="How many ports it has.", examples=[2])
    power_sharing: bool = Field(description="Whether it has more than one port.", examples=[True])
    connection_status: ConnectionStatus | None = Field(
        description="Null when it was never seen.",
        examples=[{"status": "Connected", "timestamp": "2026-12-24T12:00:00Z"}],
    )
    capabilities: Capabilities = Field(
        description="What it can do, as far as it is known; it informs, and the charger is always asked.",
        examples=[{"reservations": True, "wholeCharger": None}],
    )
    reservation: PortReservation | None = Field(
        description="The reservation of any of its ports that it accepted.", examples=[None]
    )
    security_profile: int | None = Field(description=f"{_LEAST_PROFILE}; null is unset.", examples=[2])
    password_change: Pending | None = Field(
        description="Pending: it was sent a new password, and has not connected with it yet.",
        examples=[None],
    )
    ports: list[Port] = Field(description="Its ports, by number.", examples=[[]])


class PasswordOutcome(Response):
    """What became of a new password."""

    charger_id: int = Field(description="The charger.", examples=[1])
    status: PasswordStatus | Pending = Field(
        description="The charger's answer: Accepted, RebootRequired (it takes effect with its next restart) "
        "or Rejected. Pending: not known, both passwords open until it connects.",
        examples=["Accepted"],
    )
    reason: str | None = Field(
        None,
        description="ChargerOffline, NoResponse, InvalidResponse, or the reason that the charger gave.",
        examples=["NotSupported"],
    )
