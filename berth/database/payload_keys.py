"""Which keys payloads in Temporal are encrypted with: their ids and a proof of each, never a key."""

import sqlalchemy as sa
from sqlalchemy import bindparam

from berth.database.clock import database_now
from berth.database.connections import Connections
from berth.database.tables import payload_keys as table

_ALL = sa.select(table.c.id, table.c.proof).order_by(table.c.used_since)
_RETIRE = sa.delete(table).where(table.c.id == bindparam("key_id")).returning(table.c.id)


class PayloadKeys:
    """The keys that somebody may still need to read a history."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        insert = connections.insert(table).values(used_since=database_now())
        self._enter = insert.on_conflict_do_nothing(index_elements=["id"])

    async def all(self) -> dict[str, str]:
        """Each key's proof by its id, those used first before the others."""
        return {row.id: row.proof for row in await self._connections.query(_ALL)}

    async def enter(self, key_id: str, proof: str) -> None:
        """From now on payloads are encrypted with this key; one that is known stays as it is."""
        await self._connections.change(self._enter, id=key_id, proof=proof)

    async def retire(self, key_id: str) -> bool:
        """Nobody needs this key any more; False when it is not known."""
        return bool(await self._connections.change(_RETIRE, key_id=key_id))
