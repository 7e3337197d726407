"""Who is calling, and what they may do and see."""

from collections.abc import Awaitable, Callable

from fastapi import Request

from api.errors import Forbidden, Unauthorized
from api.services import services_of
from berth.database import ApiKey


async def authenticate(request: Request) -> ApiKey:
    """The API key of `Authorization: Bearer …`. Raises Unauthorized."""
    scheme, _, raw_key = request.headers.get("authorization", "").partition(" ")
    raw_key = raw_key.strip()
    if scheme.lower() != "bearer" or not raw_key:
        raise Unauthorized("an API key is required: Authorization: Bearer {api_key}")
    services = await services_of(request)
    key = await services.database.keys.authenticate(raw_key)
    if key is None:
        raise Unauthorized("this API key is unknown, expired or revoked")
    return key


def allowed(*rights: str) -> Callable[[Request], Awaitable[ApiKey]]:
    """A dependency: the caller's key, which has one of `rights`. Raises Forbidden."""

    async def key_with_right(request: Request) -> ApiKey:
        key: ApiKey = request.state.api_key
        if key.rights.isdisjoint(rights):
            raise Forbidden(f"this API key lacks the right {' or '.join(rights)}")
        return key

    return key_with_right


def may_see(key: ApiKey, charger_id: int, site_id: str | None) -> bool:
    """Whether a charger lies in the key's scope; with both scopes given it must be in both."""
    in_sites = key.site_ids is None or site_id in key.site_ids
    return in_sites and (key.charger_ids is None or charger_id in key.charger_ids)


def is_within(key: ApiKey, caller: ApiKey) -> bool:
    """Whether a key sees nothing that the caller's does not."""
    return is_part(key.site_ids, caller.site_ids) and is_part(key.charger_ids, caller.charger_ids)


def is_part(
    scope: frozenset[str] | frozenset[int] | None, of: frozenset[str] | frozenset[int] | None
) -> bool:
    """Whether one scope lies within another; None = all."""
    return of is None or (scope is not None and scope <= of)
