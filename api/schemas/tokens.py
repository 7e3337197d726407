"""Drivers' tokens on the wire."""

from typing import Annotated, Literal

from fastapi import Query
from pydantic import AfterValidator, Field

from api.schemas.base import Request, Response, printable

# OCPP 2.0.1 identifierString[36]; reservations and OCPP 1.6 know tokens of up to 20.
ListedToken = Annotated[str, Field(min_length=1, max_length=36), AfterValidator(printable)]
TokenStatus = Literal["Accepted", "Blocked", "Expired", "Invalid"]

TokenInQuery = Annotated[
    ListedToken,
    Query(alias="idTag", description="The driver's token, whatever its case.", examples=["RFID-1"]),
]


class TokenBody(Request):
    """A driver's token to list."""

    id_tag: ListedToken = Field(description="The driver's token; compared without case.", examples=["RFID-1"])
    parent_id_tag: ListedToken | None = Field(
        None,
        description="Its group: a reservation with this `parentIdTag` may be used by it.",
        examples=["FLEET-1"],
    )
    status: TokenStatus | None = Field(
        None, description="What Authorize answers; null = `Accepted`.", examples=["Accepted"]
    )


class Token(Response):
    """A driver's token that is listed."""

    id_tag: str = Field(description="The driver's token.", examples=["RFID-1"])
    parent_id_tag: str | None = Field(description="Its group.", examples=["FLEET-1"])
    status: TokenStatus = Field(description="What Authorize answers.", examples=["Accepted"])
