"""The message log on the wire."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import Field, JsonValue

from api.schemas.base import MAX_ID, Instant, Response

ChargerIdInQuery = Annotated[
    int | None,
    Query(alias="chargerId", ge=1, le=MAX_ID, description="Of this charger only.", examples=[1]),
]
StartInQuery = Annotated[
    Instant | None,
    Query(
        alias="startTimestamp",
        description="From this instant on, ISO 8601; without an offset UTC. Default: 24 hours before.",
        examples=["2026-12-24T12:00:00Z"],
    ),
]
EndInQuery = Annotated[
    Instant | None,
    Query(
        alias="endTimestamp",
        description="Up to, not including, this instant, ISO 8601; less than 8 days after the start. "
        "Default: now.",
        examples=["2026-12-24T18:00:00Z"],
    ),
]
TypesInQuery = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=50)]] | None,
    Query(
        alias="messageType[]",
        max_length=50,
        description="OCPP actions; several by repeating the parameter. Default: all.",
        examples=[["ReserveNow", "CancelReservation"]],
    ),
]


class OcppMessage(Response):
    """A CALL with its answer."""

    id: int = Field(description="Its id.", examples=[1])
    created_at: datetime = Field(description="When it was sent, UTC.", examples=["2026-12-24T12:00:00Z"])
    ocpp_charger_identity: str = Field(
        description="The charger's name in its socket's URL.", examples=["CP-16"]
    )
    message_type: str = Field(description="The OCPP action.", examples=["ReserveNow"])
    message_payload: JsonValue = Field(
        description="The CALL's payload; passwords and KeyCode tokens as `***`.",
        examples=[{"connectorId": 1, "idTag": "RFID-1", "reservationId": 4711}],
    )
    message_response: JsonValue = Field(
        description="The answer's payload, or its error; null when none came.",
        examples=[{"status": "Accepted"}],
    )
    charger_id: int | None = Field(description="Its charger.", examples=[1])
    protocol: str = Field(description="`ocpp1.6` or `ocpp2.0.1`.", examples=["ocpp1.6"])
