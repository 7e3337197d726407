"""/api/keys: who may call, what they may do and see. A key itself is shown once, when it is made."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from api.answers import answer, written
from api.auth import allowed, is_part, is_within
from api.documentation import responses
from api.errors import BadRequest, Forbidden, NotFound
from api.paging import ThisPage
from api.route import ApiRoute
from api.schemas import keys as schemas
from api.schemas.base import Data, Page
from api.schemas.keys import KeyIdInPath, NewKeyBody
from api.services import Here
from berth.database import ApiKey

router = APIRouter(prefix="/api/keys", tags=["keys"], route_class=ApiRoute)

Admin = Annotated[ApiKey, Depends(allowed("admin"))]


@router.get(
    "",
    operation_id="listKeys",
    summary="List the API keys",
    response_model=Page[schemas.Key],
    responses=responses(400, 403),
)
async def list_all(caller: Admin, here: Here, asked: ThisPage) -> Response:
    """What is known of the keys in the scope of yours, oldest first; revoked and expired ones too."""
    after_id = asked.after_id or 0
    found = [key for key in await here.database.keys.all() if key.id > after_id and is_within(key, caller)]
    page, pagination = asked.cut(found, lambda key: key.id)
    return written(Page(data=[_shown(key) for key in page], pagination=pagination))


@router.post(
    "",
    operation_id="addKey",
    summary="Make an API key",
    status_code=201,
    response_model=Data[schemas.NewKey],
    responses=responses(400, 403, 413, success=201),
)
async def add(body: NewKeyBody, caller: Admin, here: Here) -> Response:
    """The only time that the key is shown. It can see no more than yours."""
    site_ids = None if body.site_ids is None else frozenset(body.site_ids)
    charger_ids = None if body.charger_ids is None else frozenset(body.charger_ids)
    if not is_part(site_ids, caller.site_ids):
        raise Forbidden("siteIds: must lie within the sites of your API key")
    if not is_part(charger_ids, caller.charger_ids):
        raise Forbidden("chargerIds: must lie within the chargers of your API key")
    if body.expires_at is not None and body.expires_at <= datetime.now(UTC):
        raise BadRequest("expiresAt: must be in the future")
    raw_key, key = await here.database.keys.create(
        body.name, body.rights, site_ids, charger_ids, bool(body.flipturn), body.expires_at
    )
    return answer(schemas.NewKey(**_shown(key).model_dump(), key=raw_key), 201)


@router.delete(
    "/{id}",
    operation_id="revokeKey",
    summary="Revoke an API key",
    status_code=204,
    responses=responses(400, 403, 404, success=204),
)
async def revoke(key_id: KeyIdInPath, caller: Admin, here: Here) -> Response:
    """It ends at once and for good; the list goes on showing it. To revoke it again changes nothing."""
    key = await here.database.keys.by_id(key_id)
    if key is None or not is_within(key, caller):
        raise NotFound(f"id: there is no API key {key_id}")
    await here.database.keys.revoke(key_id)
    return Response(status_code=204)


def _shown(key: ApiKey) -> schemas.Key:
    return schemas.Key.model_validate(
        {
            "id": key.id,
            "name": key.name,
            "rights": sorted(key.rights),
            "site_ids": None if key.site_ids is None else sorted(key.site_ids),
            "charger_ids": None if key.charger_ids is None else sorted(key.charger_ids),
            "flipturn": key.flipturn,
            "created_at": key.created_at,
            "expires_at": key.expires_at,
            "revoked_at": key.revoked_at,
            "last_used_at": key.last_used_at,
        }
    )
