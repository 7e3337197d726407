"""Webhooks: who receives events. An API key's webhooks end with it."""

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy import bindparam

from berth.database.clock import database_now
from berth.database.connections import Connections, Row
from berth.database.records import Webhook
from berth.database.tables import webhooks as table

_columns = [table.c[name] for name in Webhook.__dataclass_fields__]
_ANY = sa.select(table.c.id).limit(1)
_ALL = sa.select(*_columns).order_by(table.c.id)
_BY_ID = sa.select(*_columns).where(table.c.id == bindparam("webhook_id"))
_COUNT = sa.select(sa.func.count()).select_from(table).where(table.c.api_key_id == bindparam("key_id"))
_ADD = sa.insert(table).values(created_at=database_now()).returning(*_columns)
_REMOVE = sa.delete(table).where(table.c.id == bindparam("webhook_id")).returning(table.c.id)


class Webhooks:
    """The webhooks of all API keys."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def any(self) -> bool:
        """Whether there is one at all: else no event needs a thought."""
        return bool(await self._connections.lookup(_ANY))

    async def add(
        self,
        api_key_id: int,
        url: str,
        secret: str,
        event_types: Collection[str] | None = None,
        site_id: str | None = None,
    ) -> Webhook:
        """A new webhook of a key; events and site of None mean all that the key sees."""
        rows = await self._connections.change(
            _ADD,
            api_key_id=api_key_id,
            url=url,
            secret=secret,
            event_types=None if event_types is None else sorted(event_types),
            site_id=site_id,
        )
        return _webhook(rows[0])

    async def all(self) -> list[Webhook]:
        """Every webhook, oldest first; those of revoked and expired keys too."""
        return [_webhook(row) for row in await self._connections.query(_ALL)]

    async def by_id(self, webhook_id: int) -> Webhook | None:
        """The webhook with this id."""
        rows = await self._connections.query(_BY_ID, webhook_id=webhook_id)
        return _webhook(rows[0]) if rows else None

    async def count_of(self, api_key_id: int) -> int:
        """How many webhooks a key has."""
        rows = await self._connections.query(_COUNT, key_id=api_key_id)
        return int(rows[0][0])

    async def remove(self, webhook_id: int) -> bool:
        """Forget a webhook with all its deliveries; False when there is none."""
        return bool(await self._connections.change(_REMOVE, webhook_id=webhook_id))


def _webhook(row: Row) -> Webhook:
    values = row._asdict()
    event_types = values.pop("event_types")
    return Webhook(**values, event_types=None if event_types is None else frozenset(event_types))
