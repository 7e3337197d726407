"""/api/ocpp-messages: every CALL between Berth and the chargers, with its answer."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Response

from api.answers import written
from api.auth import allowed
from api.documentation import responses
from api.errors import BadRequest
from api.paging import PageAsked, ThisPage
from api.route import ApiRoute
from api.schemas.base import Page
from api.schemas.messages import ChargerIdInQuery, EndInQuery, OcppMessage, StartInQuery, TypesInQuery
from api.services import Here
from berth.database import ApiKey, LoggedMessage

router = APIRouter(prefix="/api/ocpp-messages", tags=["messages"], route_class=ApiRoute)

Reader = Annotated[ApiKey, Depends(allowed("read"))]

MAX_RANGE = timedelta(days=8)
DEFAULT_RANGE = timedelta(hours=24)


@router.get(
    "",
    operation_id="listOcppMessages",
    summary="List the OCPP messages",
    response_model=Page[OcppMessage],
    responses=responses(400, 403),
)
async def list_all(
    key: Reader,
    here: Here,
    asked: ThisPage,
    charger_id: ChargerIdInQuery = None,
    start: StartInQuery = None,
    end: EndInQuery = None,
    types: TypesInQuery = None,
) -> Response:
    """The messages of the chargers in the key's scope, newest first; of the last 24 hours by default.

    A message is there about a second after its answer.
    """
    before_id, start_at, end_at = _range(asked, start, end)
    found = await here.database.messages.query(
        charger_id=charger_id,
        charger_ids=key.charger_ids,
        site_ids=key.site_ids,
        start=start_at,
        end=end_at,
        types=types,
        limit=asked.limit + 1,
        before_id=before_id,
    )
    # The range goes on with the pages: the default one would move with the clock.
    bounds = f"{start_at.isoformat()} {end_at.isoformat()}"
    page, pagination = asked.cut(found, lambda message: f"{message.id} {bounds}")
    return written(Page(data=[_shown(message) for message in page], pagination=pagination))


def _range(
    asked: PageAsked, start: datetime | None, end: datetime | None
) -> tuple[int | None, datetime, datetime]:
    """The id to go on before, the start and the end. Raises BadRequest."""
    if asked.after is not None:
        before_id, start_text, end_text = asked.after.decode().split()
        return int(before_id), datetime.fromisoformat(start_text), datetime.fromisoformat(end_text)
    end = end or datetime.now(UTC)
    if start is None:
        start = max(end, datetime.min.replace(tzinfo=UTC) + DEFAULT_RANGE) - DEFAULT_RANGE
    if start >= end:
        raise BadRequest("startTimestamp: must be before endTimestamp")
    if end - start >= MAX_RANGE:
        raise BadRequest("startTimestamp: must be less than 8 days before endTimestamp")
    return None, start, end


def _shown(message: LoggedMessage) -> OcppMessage:
    return OcppMessage(
        id=message.id or 0,
        created_at=message.created_at,
        ocpp_charger_identity=message.ocpp_identity,
        message_type=message.message_type,
        message_payload=orjson.loads(message.payload_json),
        message_response=None if message.response_json is None else orjson.loads(message.response_json),
        charger_id=message.charger_id,
        protocol=message.protocol,
    )
