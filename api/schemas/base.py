"""What every part of the public API shares: its names in camel case, its kinds of values, its envelopes."""

import re
from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictInt
from pydantic.alias_generators import to_camel

T = TypeVar("T")

MAX_ID = 2**31 - 1
"""The greatest reservation number of OCPP, and the greatest id of the database."""

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


def printable(text: str) -> str:
    """The text; raises ValueError for control characters and the like."""
    if not text.isprintable():
        raise ValueError("must have printable characters only")
    return text


def _searchable(text: str) -> str:
    # Temporal's list filter does not find values with these.
    if not {'"', "\\"}.isdisjoint(text):
        raise ValueError("must have neither double quotes nor backslashes")
    return text


Instant = Annotated[datetime, BeforeValidator(_instant, json_schema_input_type=datetime)]
Integer = Annotated[StrictInt, BeforeValidator(_whole)]  # strict: true is no number
Id = Annotated[Integer, Field(ge=1, le=MAX_ID)]
ReservationNumber = Annotated[Integer, Field(ge=0, le=MAX_ID)]
Text = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(printable)]
SiteId = Annotated[Text, AfterValidator(_searchable)]


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


class Pagination(Response):
    """Where the next page is."""

    has_next_page: bool = Field(description="Whether there is more.", examples=[True])
    next_page_cursor: str | None = Field(
        description="For the next request, with all other parameters as they were; null on the last page.",
        examples=["3q2-7wMjqTwxNw"],
    )


class Page(BaseModel, Generic[T]):
    """The envelope of every list."""

    data: list[T] = Field(description="The items of this page.")
    pagination: Pagination = Field(
        description="How to go on.", examples=[{"hasNextPage": False, "nextPageCursor": None}]
    )
