"""Webhooks on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import Field

from api.schemas.base import MAX_ID, Request, Response, SiteId

EventName = Literal[
    "reservation.active",
    "reservation.used",
    "reservation.expired",
    "reservation.cancelled",
    "reservation.removed",
    "reservation.rejected",
    "reservation.failed",
    "reservation.violated",
    "charger.connected",
    "charger.disconnected",
]
DeliveryStateName = Literal["pending", "delivered", "given_up"]

WebhookIdInPath = Annotated[
    int, Path(alias="id", ge=1, le=MAX_ID, description="The webhook's id.", examples=[1])
]
DeliveryIdInPath = Annotated[
    int, Path(alias="deliveryId", ge=1, le=2**53, description="The delivery's id.", examples=[17])
]
StateInQuery = Annotated[
    DeliveryStateName | None, Query(description="Those in this state only.", examples=["given_up"])
]


class NewWebhookBody(Request):
    """A webhook to make."""

    url: Annotated[str, Field(min_length=1, max_length=2048)] = Field(
        description="Where events go, `https://…`, on the public internet.",
        examples=["https://app.example/berth"],
    )
    event_types: Annotated[list[EventName], Field(min_length=1, max_length=10)] | None = Field(
        None, description="The only events it receives; null = all.", examples=[["reservation.active"]]
    )
    site_id: SiteId | None = Field(
        None,
        description="The only site whose events it receives; null = all that its key sees.",
        examples=["site-1"],
    )


class Webhook(Response):
    """A webhook, without its secret."""

    id: int = Field(description="Its id.", examples=[1])
    api_key_id: int = Field(description="The API key it belongs to, and whose scope it has.", examples=[1])
    url: str = Field(description="Where events go.", examples=["https://app.example/berth"])
    event_types: list[EventName] | None = Field(
        description="The only events it receives; null = all.", examples=[["reservation.active"]]
    )
    site_id: str | None = Field(
        description="The only site whose events it receives; null = all that its key sees.",
        examples=["site-1"],
    )
    created_at: datetime = Field(description="When it was made, UTC.", examples=["2026-11-23T12:00:00Z"])


class NewWebhook(Webhook):
    """A webhook with its secret, shown this once."""

    secret: str = Field(
        description="What `Berth-Signature` is made with; it is never shown again.",
        examples=["whsec_4fzrXw1Y0u6k4v9o2n3b5m7q8s1t2u3w4x5y6z7a8b9"],
    )


class Delivery(Response):
    """One event on its way to one webhook."""

    id: int = Field(description="Its id.", examples=[17])
    event_id: str = Field(
        description="The event's id: the same in every attempt and replay.",
        examples=["0b6a3c1e-8f0c-5d1e-9a57-3f1f5d1c2b3a"],
    )
    event_type: str = Field(description="What happened; `ping` is a test.", examples=["reservation.active"])
    created_at: datetime = Field(description="When it was entered, UTC.", examples=["2026-11-23T12:00:00Z"])
    state: DeliveryStateName = Field(
        description="`given_up`: tried for a day in vain, or not wanted any more; replay it when the "
        "receiver is back.",
        examples=["delivered"],
    )
    attempts: int = Field(description="So many calls were made.", examples=[1])
    last_attempt_at: datetime | None = Field(
        description="When the last one ended, UTC.", examples=["2026-11-23T12:00:01Z"]
    )
    last_status: int | None = Field(description="The HTTP status it was answered with.", examples=[200])
    last_error: str | None = Field(
        description="What was wrong with it, or why none follows.", examples=["no answer within 10 s"]
    )
    ended_at: datetime | None = Field(
        description="When it was delivered or given up, UTC.", examples=["2026-11-23T12:00:01Z"]
    )
    body: dict[str, Any] = Field(
        description="What the receiver gets.",
        examples=[{"id": "0b6a3c1e-8f0c-5d1e-9a57-3f1f5d1c2b3a", "type": "reservation.active"}],
    )
