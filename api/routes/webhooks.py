"""/api/webhooks: who receives events. A secret is shown once, when its webhook is made."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

import orjson
from fastapi import APIRouter, Depends, Response

from api.answers import answer, written
from api.auth import allowed, is_within
from api.documentation import responses
from api.errors import BadRequest, Conflict, Forbidden, NotFound
from api.paging import ThisPage
from api.route import ApiRoute
from api.schemas import webhooks as schemas
from api.schemas.base import Data, Page
from api.schemas.webhooks import DeliveryIdInPath, NewWebhookBody, StateInQuery, WebhookIdInPath
from api.services import Here, Services
from berth.database import ApiKey, Delivery, Webhook
from webhooks.sender import new_secret
from webhooks.target import TargetRefused, checked_addresses, parse
from workflows.webhook_events import PING, event_body

router = APIRouter(prefix="/api/webhooks", tags=["webhooks"], route_class=ApiRoute)

Caller = Annotated[ApiKey, Depends(allowed("reservations", "read", "admin"))]

MAX_OF_KEY = 20
"""Webhooks that a key may have: each event of its chargers is sent to all of them."""

_LOOK_UP_WITHIN = 5.0  # seconds


@router.get(
    "",
    operation_id="listWebhooks",
    summary="List the webhooks",
    response_model=Page[schemas.Webhook],
    responses=responses(400, 403),
)
async def list_all(key: Caller, here: Here, asked: ThisPage) -> Response:
    """Those of your key, oldest first; with the right `admin` those of every key in its scope."""
    after_id = asked.after_id or 0
    owners = {key.id}
    if "admin" in key.rights:
        owners |= {other.id for other in await here.database.keys.all() if is_within(other, key)}
    found = [
        webhook
        for webhook in await here.database.webhooks.all()
        if webhook.id > after_id and webhook.api_key_id in owners
    ]
    page, pagination = asked.cut(found, lambda webhook: webhook.id)
    return written(Page(data=[_shown(webhook) for webhook in page], pagination=pagination))


@router.post(
    "",
    operation_id="addWebhook",
    summary="Make a webhook",
    status_code=201,
    response_model=Data[schemas.NewWebhook],
    responses=responses(400, 403, 409, 413, success=201),
)
async def add(body: NewWebhookBody, key: Caller, here: Here) -> Response:
    """The only time that its secret is shown. It belongs to your key: it receives what the key may see,
    and of nothing more once the key is revoked or has expired.
    """
    if body.site_id is not None and key.site_ids is not None and body.site_id not in key.site_ids:
        raise Forbidden("siteId: must be one of the sites of your API key")
    if await here.database.webhooks.count_of(key.id) >= MAX_OF_KEY:
        raise Conflict(f"your API key has {MAX_OF_KEY} webhooks, and may have no more: remove one")
    await _check(body.url, here)
    webhook = await here.database.webhooks.add(
        key.id, body.url, new_secret(), body.event_types and set(body.event_types), body.site_id
    )
    return answer(schemas.NewWebhook(**_shown(webhook).model_dump(), secret=webhook.secret), 201)


@router.get(
    "/{id}",
    operation_id="getWebhook",
    summary="Look at a webhook",
    response_model=Data[schemas.Webhook],
    responses=responses(400, 403, 404),
)
async def look(webhook_id: WebhookIdInPath, key: Caller, here: Here) -> Response:
    """One webhook, without its secret."""
    return answer(_shown(await _webhook(webhook_id, key, here)))


@router.delete(
    "/{id}",
    operation_id="removeWebhook",
    summary="Remove a webhook",
    status_code=204,
    responses=responses(400, 403, 404, success=204),
)
async def remove(webhook_id: WebhookIdInPath, key: Caller, here: Here) -> Response:
    """It ends at once, with its list of deliveries; what is on its way is not tried again."""
    await _webhook(webhook_id, key, here)
    await here.database.webhooks.remove(webhook_id)
    return Response(status_code=204)


@router.post(
    "/{id}/test",
    operation_id="testWebhook",
    summary="Send a ping",
    status_code=201,
    response_model=Data[schemas.Delivery],
    responses=responses(400, 403, 404, success=201),
)
async def send_ping(webhook_id: WebhookIdInPath, key: Caller, here: Here) -> Response:
    """Send an event of the type `ping`, whatever events the webhook wants. It is on its way in seconds: look
    at the deliveries.
    """
    await _webhook(webhook_id, key, here)
    event_id = str(uuid4())
    body = event_body(event_id, PING, datetime.now(UTC), {"webhook_id": webhook_id})
    return answer(_delivery(await here.database.deliveries.add(webhook_id, event_id, PING, body)), 201)


@router.get(
    "/{id}/deliveries",
    operation_id="listWebhookDeliveries",
    summary="List the deliveries of a webhook",
    response_model=Page[schemas.Delivery],
    responses=responses(400, 403, 404),
)
async def deliveries(
    webhook_id: WebhookIdInPath, key: Caller, here: Here, asked: ThisPage, state: StateInQuery = None
) -> Response:
    """What the webhook received and what waits, newest first; ended ones stay for 30 days."""
    await _webhook(webhook_id, key, here)
    found = await here.database.deliveries.of_webhook(
        webhook_id, state=state, limit=asked.limit + 1, before_id=asked.after_id
    )
    page, pagination = asked.cut(found, lambda delivery: delivery.id)
    return written(Page(data=[_delivery(delivery) for delivery in page], pagination=pagination))


@router.post(
    "/{id}/deliveries/{deliveryId}/replay",
    operation_id="replayWebhookDelivery",
    summary="Send an event again",
    response_model=Data[schemas.Delivery],
    responses=responses(400, 403, 404),
)
async def replay(
    webhook_id: WebhookIdInPath, delivery_id: DeliveryIdInPath, key: Caller, here: Here
) -> Response:
    """The same event with the same id and body, for up to another day; one that was delivered too.

    One that is still `pending` is sent now, instead of after its pause: for a receiver that is mended.
    """
    await _webhook(webhook_id, key, here)
    replayed = await here.database.deliveries.replay(webhook_id, delivery_id)
    if replayed is None:
        raise NotFound(f"deliveryId: webhook {webhook_id} has no delivery {delivery_id}")
    return answer(_delivery(replayed))


async def _check(url: str, here: Services) -> None:
    """Raises BadRequest for a URL that must not be called, now; every delivery looks again."""
    allow_private = here.settings.webhook_private_targets
    try:
        async with asyncio.timeout(_LOOK_UP_WITHIN):
            await checked_addresses(parse(url, allow_private), allow_private)
    except TargetRefused as error:
        raise BadRequest(f"url: {error}") from None
    except TimeoutError:
        raise BadRequest("url: has a host whose name server does not answer") from None


async def _webhook(webhook_id: int, key: ApiKey, here: Services) -> Webhook:
    """The webhook, if the caller may see it. Raises NotFound."""
    webhook = await here.database.webhooks.by_id(webhook_id)
    if webhook is not None:
        if webhook.api_key_id == key.id:
            return webhook
        owner = await here.database.keys.by_id(webhook.api_key_id)
        if "admin" in key.rights and owner is not None and is_within(owner, key):
            return webhook
    raise NotFound(f"id: there is no webhook {webhook_id}")


def _shown(webhook: Webhook) -> schemas.Webhook:
    return schemas.Webhook.model_validate(
        {
            "id": webhook.id,
            "api_key_id": webhook.api_key_id,
            "url": webhook.url,
            "event_types": None if webhook.event_types is None else sorted(webhook.event_types),
            "site_id": webhook.site_id,
            "created_at": webhook.created_at,
        }
    )


def _delivery(delivery: Delivery) -> schemas.Delivery:
    return schemas.Delivery(
        id=delivery.id,
        event_id=delivery.event_id,
        event_type=delivery.event_type,
        created_at=delivery.created_at,
        state=delivery.state,
        attempts=delivery.attempts,
        last_attempt_at=delivery.last_attempt_at,
        last_status=delivery.last_status,
        last_error=delivery.last_error,
        ended_at=delivery.ended_at,
        body=orjson.loads(delivery.body_json),
    )
