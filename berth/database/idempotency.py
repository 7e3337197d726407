"""Answers given under an idempotency key: who repeats a request gets the first answer again."""

import hashlib
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy import bindparam

from berth.database.clock import database_now
from berth.database.connections import Connections
from berth.database.records import Recorded
from berth.database.tables import idempotency as table

_columns = [table.c[name] for name in Recorded.__dataclass_fields__]
_FIND = sa.select(*_columns).where(
    table.c.api_key_id == bindparam("key_id"), table.c.key_hash == bindparam("hash")
)


class Idempotency:
    """The recorded answers of all API keys; of an idempotency key only the hash is kept."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._record = (
            connections.insert(table)
            .values(created_at=database_now())
            .on_conflict_do_nothing(index_elements=["api_key_id", "key_hash"])
            .returning(*_columns)
        )

    async def find(self, api_key_id: int, key: str) -> Recorded | None:
        """What this caller's request under this key was answered."""
        rows = await self._connections.query(_FIND, key_id=api_key_id, hash=_hash(key))
        return Recorded(*rows[0]) if rows else None

    async def record(
        self, api_key_id: int, key: str, body_hash: str, status_code: int, answer_json: str
    ) -> Recorded:
        """Keep an answer, unless there is one: the first writer wins. The one that counts."""
        new = Recorded(body_hash, status_code, answer_json)
        rows = await self._connections.change(
            self._record,
            api_key_id=api_key_id,
            key_hash=_hash(key),
            body_hash=body_hash,
            status_code=status_code,
            answer_json=answer_json,
        )
        return new if rows else await self.find(api_key_id, key) or new

    async def prune(self, older_than: timedelta) -> int:
        """Delete answers older than this by the database's clock; how many."""
        is_old = table.c.created_at < database_now() - older_than.total_seconds()
        return len(await self._connections.change(sa.delete(table).where(is_old).returning(sa.literal(1))))


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
