"""The message log: every CALL with its answer, kept for some weeks."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from berth.database.clock import database_now
from berth.database.connections import Connections
from berth.database.records import LoggedMessage, as_row
from berth.database.tables import chargers, messages

_PRUNE_AT_ONCE = 5_000
"""Rows deleted in one transaction, so that no other writer waits long."""

_columns = [messages.c[name] for name in LoggedMessage.__dataclass_fields__]


class Messages:
    """The message log of all chargers."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def write(self, batch: Sequence[LoggedMessage]) -> None:
        """Add messages, oldest first; ids are given here."""
        if not batch:
            return
        rows = [as_row(message) for message in batch]
        for row in rows:
            del row["id"]

        def work(connection: sa.Connection) -> None:
            connection.execute(sa.insert(messages), rows)

        await self._connections.transaction(work)

    async def query(
        self,
        *,
        charger_id: int | None = None,
        charger_ids: Collection[int] | None = None,
        site_ids: Collection[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        types: Collection[str] | None = None,
        limit: int = 50,
        before_id: int | None = None,
    ) -> list[LoggedMessage]:
        """Messages from `start` up to, not including, `end`, newest first.

        `before_id` is the last id of the page before; `charger_ids` and `site_ids` are the caller's scope,
        None = all.
        """
        statement = sa.select(*_columns).order_by(messages.c.id.desc()).limit(limit)
        if charger_id is not None:
            statement = statement.where(messages.c.charger_id == charger_id)
        if charger_ids is not None:
            statement = statement.where(messages.c.charger_id.in_(charger_ids))
        if site_ids is not None:
            of_sites = sa.select(chargers.c.id).where(chargers.c.site_id.in_(site_ids))
            statement = statement.where(messages.c.charger_id.in_(of_sites))
        if start is not None:
            statement = statement.where(messages.c.created_at >= start)
        if end is not None:
            statement = statement.where(messages.c.created_at < end)
        if types is not None:
            statement = statement.where(messages.c.message_type.in_(types))
        if before_id is not None:
            statement = statement.where(messages.c.id < before_id)
        return [LoggedMessage(*row) for row in await self._connections.query(statement)]

    async def prune(self, older_than: timedelta) -> int:
        """Delete messages older than this by the database's clock; how many."""
        old = (
            sa.select(messages.c.id)
            .where(messages.c.created_at < database_now() - older_than.total_seconds())
            .limit(_PRUNE_AT_ONCE)
            # Another process may be pruning as well: not the same rows, and not in a crossed order.
            .with_for_update(skip_locked=True)
        )
        statement = sa.delete(messages).where(messages.c.id.in_(old)).returning(messages.c.id)
        count = 0
        while deleted := len(await self._connections.change(statement)):
            count += deleted
        return count
