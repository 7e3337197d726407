"""API keys on the wire."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Path
from pydantic import Field, StrictBool

from api.schemas.base import MAX_ID, Id, Instant, Request, Response, SiteId, Text

Right = Literal["reservations", "read", "admin"]

KeyIdInPath = Annotated[int, Path(alias="id", ge=1, le=MAX_ID, description="The key's id.", examples=[1])]


class NewKeyBody(Request):
    """An API key to make."""

    name: Text = Field(description="Whose it is, for people.", examples=["booking app"])
    rights: Annotated[list[Right], Field(min_length=1, max_length=3)] = Field(
        description="`reservations`: reserve and cancel. `read`: look. `admin`: chargers, keys, tokens.",
        examples=[["reservations", "read"]],
    )
    site_ids: Annotated[list[SiteId], Field(max_length=500)] | None = Field(
        None, description="The only sites it sees; null = all.", examples=[["site-1"]]
    )
    charger_ids: Annotated[list[Id], Field(max_length=500)] | None = Field(
        None,
        description="The only chargers it sees; null = all. With `siteIds` too, a charger must be in both.",
        examples=[[1, 2]],
    )
    flipturn: StrictBool | None = Field(
        None,
        description="For clients written for Flipturn: its five statuses only, never `Pending`.",
        examples=[False],
    )
    expires_at: Instant | None = Field(
        None,
        description="When it ends: ISO 8601; without an offset UTC; null = never.",
        examples=["2027-01-01T00:00:00Z"],
    )


class Key(Response):
    """An API key, without the key itself."""

    id: int = Field(description="Its id.", examples=[1])
    name: str = Field(description="Whose it is.", examples=["booking app"])
    rights: list[Right] = Field(description="What it may do.", examples=[["read", "reservations"]])
    site_ids: list[str] | None = Field(
        description="The only sites it sees; null = all.", examples=[["site-1"]]
    )
    charger_ids: list[int] | None = Field(
        description="The only chargers it sees; null = all.", examples=[[1, 2]]
    )
    flipturn: bool = Field(description="Whether it sees Flipturn's statuses only.", examples=[False])
    created_at: datetime = Field(description="When it was made, UTC.", examples=["2026-11-23T12:00:00Z"])
    expires_at: datetime | None = Field(
        description="When it ends, UTC; null = never.", examples=["2027-01-01T00:00:00Z"]
    )
    revoked_at: datetime | None = Field(
        description="When it was revoked, UTC.", examples=["2026-12-01T12:00:00Z"]
    )
    last_used_at: datetime | None = Field(
        description="When it was last used, UTC, to about a minute; null = never.",
        examples=["2026-11-23T12:01:00Z"],
    )


class NewKey(Key):
    """An API key, shown this once."""

    key: str = Field(
        description="The key for `Authorization: Bearer …`; it is never shown again.",
        examples=["berth_4fzrXw1Y0u6k4v9o2n3b5m7q8s1t2u3w4x5y6z7a8b9"],
    )
