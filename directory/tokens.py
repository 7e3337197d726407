"""Drivers' tokens that Berth knows: their group and whether they are blocked. Compared without case."""

import sqlalchemy as sa
from sqlalchemy import bindparam

from directory.connections import Connections
from directory.records import Token
from directory.tables import tokens

_columns = [tokens.c[name] for name in Token.__dataclass_fields__]
_BY_ID_TAG = sa.select(*_columns).where(tokens.c.token_key == bindparam("key"))


class Tokens:
    """The list of known tokens."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def by_id_tag(self, id_tag: str) -> Token | None:
        """The token, whatever its case (OCPP's idTag is a case-insensitive string)."""
        rows = await self._connections.query(_BY_ID_TAG, key=id_tag.casefold())
        return Token(*rows[0]) if rows else None

    async def put(self, token: Token) -> None:
        """Add the token, or change the one of this tag."""
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
