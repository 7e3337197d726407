"""/api/tokens: drivers' tokens that are listed, for chargers that ask by Authorize."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from api.answers import answer, written
from api.auth import allowed
from api.documentation import responses
from api.errors import Forbidden, NotFound
from api.paging import ThisPage
from api.route import ApiRoute
from api.schemas import tokens as schemas
from api.schemas.base import Data, Page
from api.schemas.tokens import TokenBody, TokenInQuery
from api.services import Here
from berth.database import ApiKey, Token

router = APIRouter(prefix="/api/tokens", tags=["tokens"], route_class=ApiRoute)


async def _everywhere(key: Annotated[ApiKey, Depends(allowed("admin"))]) -> ApiKey:
    if key.site_ids is not None or key.charger_ids is not None:
        raise Forbidden("tokens are good at every charger: this API key is for some of them only")
    return key


Admin = Annotated[ApiKey, Depends(_everywhere)]


@router.get(
    "",
    operation_id="listTokens",
    summary="List the tokens",
    response_model=Page[schemas.Token],
    responses=responses(400, 403),
)
async def list_all(key: Admin, here: Here, asked: ThisPage) -> Response:
    """The tokens by their letters, whatever their case."""
    after = "" if asked.after is None else asked.after.decode()
    found = await here.database.tokens.all(limit=asked.limit + 1, after=after)
    page, pagination = asked.cut(found, lambda token: token.id_tag)
    return written(Page(data=[_shown(token) for token in page], pagination=pagination))


@router.put(
    "",
    operation_id="putToken",
    summary="List a token, or change it",
    response_model=Data[schemas.Token],
    responses=responses(400, 403, 413),
)
async def put(body: TokenBody, key: Admin, here: Here) -> Response:
    """Set its group and status whole; to repeat it changes nothing."""
    token = Token(body.id_tag, body.parent_id_tag, body.status or "Accepted")
    await here.database.tokens.put(token)
    return answer(_shown(token))


@router.delete(
    "",
    operation_id="removeToken",
    summary="Forget a token",
    status_code=204,
    responses=responses(400, 403, 404, success=204),
)
async def remove(id_tag: TokenInQuery, key: Admin, here: Here) -> Response:
    """It is then answered as any unlisted token."""
    if not await here.database.tokens.remove(id_tag):
        raise NotFound("idTag: is not listed")
    return Response(status_code=204)


def _shown(token: Token) -> schemas.Token:
    return schemas.Token.model_validate(
        {"id_tag": token.id_tag, "parent_id_tag": token.parent_id_tag, "status": token.status}
    )
