"""Pages of a list: how many items, and an opaque cursor that is good for one query by one key only."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Query, Request

from api.errors import BadRequest
from api.schemas.base import Pagination

T = TypeVar("T")

DEFAULT_LIMIT = 50
MAX_LIMIT = 500

_SEAL = 10  # bytes
_OF_THE_PAGE = frozenset({"limit", "nextPageCursor"})

_Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items on a page.", examples=[50])]
_Cursor = Annotated[
    str | None,
    Query(
        alias="nextPageCursor",
        max_length=2048,
        description="From the page before; all other parameters must be as they were.",
        examples=["3q2-7wMjqTwxNw"],
    ),
]


@dataclass(frozen=True, slots=True)
class PageAsked:
    """The page that a request asks for: `limit` items after the position `after` (None = the first ones)."""

    limit: int
    after: bytes | None
    query: str

    @property
    def after_id(self) -> int | None:
        """The position, where it is an id."""
        return None if self.after is None else int(self.after)

    def pagination(self, position: bytes | None) -> Pagination:
        """How to go on after `position`; None when there is no more."""
        cursor = None if position is None else _encoded(position, self.query)
        return Pagination(has_next_page=position is not None, next_page_cursor=cursor)

    def cut(self, found: Sequence[T], position: Callable[[T], object]) -> tuple[Sequence[T], Pagination]:
        """The page out of `limit` + 1 items, and how to go on after the `position` of its last one."""
        page, has_more = found[: self.limit], len(found) > self.limit
        return page, self.pagination(str(position(page[-1])).encode() if has_more else None)


async def _page_asked(
    request: Request, limit: _Limit = DEFAULT_LIMIT, next_page_cursor: _Cursor = None
) -> PageAsked:
    """Raises BadRequest for a cursor that is not from the same query by the same key."""
    parameters = sorted(
        (name, value) for name, value in request.query_params.multi_items() if name not in _OF_THE_PAGE
    )
    query = repr((request.state.api_key.id, request.url.path, parameters))
    after = None if next_page_cursor is None else _decoded(next_page_cursor, query)
    return PageAsked(limit, after, query)


ThisPage = Annotated[PageAsked, Depends(_page_asked)]
"""A route's parameter: the page asked for."""


def _encoded(position: bytes, query: str) -> str:
    return base64.urlsafe_b64encode(_seal(position, query) + position).decode().rstrip("=")


def _decoded(cursor: str, query: str) -> bytes:
    try:
        content = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        content = b""
    seal, position = content[:_SEAL], content[_SEAL:]
    # Against mistakes, not against the caller: its scope is part of every query.
    if not position or seal != _seal(position, query):
        raise BadRequest("nextPageCursor: is not of this query; leave it out to begin anew")
    return position


def _seal(position: bytes, query: str) -> bytes:
    return hashlib.blake2b(position + query.encode(errors="surrogatepass"), digest_size=_SEAL).digest()
