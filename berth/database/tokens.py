"""Drivers' tokens that Berth knows: their group and whether they are blocked. Compared without case."""

import sqlalchemy as sa
from sqlalchemy import bindparam

from berth.database.connections import Connections
from berth.database.records import TOKEN_STATUSES, Token
from berth.database.tables import tokens

MAX_TOKEN = 36
"""Characters of a token: OCPP 2.0.1 identifierString[36]; 1.6 chargers know those of up to 20."""

_columns = [tokens.c[name] for name in Token.__dataclass_fields__]
_BY_ID_TAG = sa.select(*_columns).where(tokens.c.token_key == bindparam("key"))
_ALL = (
    sa.select(*_columns)
    .where(tokens.c.token_key > bindparam("after"))
    .order_by(tokens.c.token_key)
    .limit(bindparam("count"))
)
_REMOVE = sa.delete(tokens).where(tokens.c.token_key == bindparam("key")).returning(tokens.c.token_key)


class Tokens:
    """The list of known tokens."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def by_id_tag(self, id_tag: str) -> Token | None:
        """The token, whatever its case (OCPP's idTag is a case-insensitive string)."""
        rows = await self._connections.lookup(_BY_ID_TAG, key=id_tag.casefold())
        return Token(*rows[0]) if rows else None

    async def put(self, token: Token) -> None:
        """Add the token, or change the one of this tag.

        Raises ValueError, beginning with the field's name, for a tag or a group that is not 1 to 36
        printable characters, and for an unknown status.
        """
        _check("id_tag", token.id_tag)
        if token.parent_id_tag is not None:
            _check("parent_id_tag", token.parent_id_tag)
        if token.status not in TOKEN_STATUSES:
            raise ValueError(f"status: must be one of {', '.join(sorted(TOKEN_STATUSES))}")
        facts = {
            "id_tag": token.id_tag,
            "parent_id_tag": token.parent_id_tag,
            "status": token.status,
        }
        await self._connections.change(
            self._connections.insert(tokens)
            .values(token_key=token.id_tag.casefold(), **facts)
            .on_conflict_do_update(index_elements=["token_key"], set_=facts)
        )

    async def remove(self, id_tag: str) -> bool:
        """Forget a token, whatever its case; False if it was not listed."""
        return bool(await self._connections.change(_REMOVE, key=id_tag.casefold()))

    async def all(self, limit: int = 500, after: str = "") -> list[Token]:
        """Tokens in the order of their tags, at most `limit`; `after` is the last tag of the page before."""
        rows = await self._connections.query(_ALL, count=limit, after=after.casefold())
        return [Token(*row) for row in rows]


def _check(field: str, tag: str) -> None:
    if not (1 <= len(tag) <= MAX_TOKEN and tag.isprintable()):
        raise ValueError(f"{field}: must have 1 to {MAX_TOKEN} printable characters")
