"""Events on their way to webhooks: a row for each event and webhook, kept when it has ended.

What a worker does with a row is conditional on its round: a replay starts a new one.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from berth.database.clock import database_now
from berth.database.connections import Connections, Row
from berth.database.records import (
    Backlog,
    Delivery,
    DeliveryState,
    DeliveryTarget,
    DueDelivery,
    OutboxEvent,
)
from berth.database.tables import api_keys, webhooks
from berth.database.tables import webhook_deliveries as table

STARTED_AGAIN_AFTER = timedelta(hours=25)
"""A delivery that its workflow has not ended by then (somebody terminated it) gets a new one."""

CLAIMED_FOR = timedelta(seconds=60)
"""Who takes what is due has so long to start its workflow; then others may."""

_columns = [table.c[name] for name in Delivery.__dataclass_fields__]
_key_is_good = sa.and_(
    api_keys.c.revoked_at.is_(None),
    sa.or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > database_now()),
)
_LISTENERS = (
    sa.select(
        webhooks.c.id,
        webhooks.c.event_types,
        webhooks.c.site_id,
        webhooks.c.created_at,
        api_keys.c.site_ids.label("key_sites"),
        api_keys.c.charger_ids.label("key_chargers"),
    )
    .join_from(webhooks, api_keys)
    .where(_key_is_good)
)
_of_round = sa.and_(
    table.c.id == bindparam("delivery"), table.c.round == bindparam("its_round"), table.c.state == "pending"
)
# PostgreSQL goes by the index only for a clock that it asks once, hence the subselect, and when it is told an
# order; else each look reads all deliveries that are kept.
_is_due = table.c.start_at <= sa.select(database_now()).scalar_subquery()
_ANY_DUE = sa.select(table.c.id).where(_is_due).order_by(table.c.start_at).limit(1)
_longest_waiting = (
    sa.select(table.c.id)
    .where(_is_due)
    .order_by(table.c.start_at)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True)
    .cte("longest_waiting")
)
_CLAIM = (
    sa.update(table)
    .where(table.c.id.in_(sa.select(_longest_waiting.c.id)))
    .values(start_at=database_now() + CLAIMED_FOR.total_seconds())
    .returning(*(table.c[name] for name in DueDelivery.__dataclass_fields__))
)
_STARTED = (
    sa.update(table).where(_of_round).values(start_at=database_now() + STARTED_AGAIN_AFTER.total_seconds())
)
_TARGET = (
    sa.select(
        table.c.webhook_id,
        table.c.event_id,
        table.c.event_type,
        table.c.body_json,
        table.c.state,
        table.c.round,
        webhooks.c.url,
        webhooks.c.secret,
        _key_is_good.label("key_is_good"),
    )
    .join_from(table, webhooks)
    .join(api_keys)
    .where(table.c.id == bindparam("delivery"))
)
_ATTEMPTS = sa.select(table.c.id, table.c.attempts).where(table.c.id.in_(bindparam("ids", expanding=True)))
_attempt = {
    "attempts": table.c.attempts + 1,
    "last_attempt_at": database_now(),
    "last_status": bindparam("status"),
    "last_error": bindparam("error"),
}
_over = {"ended_at": database_now(), "start_at": None}
_FAILED = sa.update(table).where(_of_round).values(_attempt).returning(table.c.id)
_DELIVERED = (
    sa.update(table).where(_of_round).values(_attempt | _over | {"state": "delivered"}).returning(table.c.id)
)
_GIVEN_UP = (
    sa.update(table)
    .where(_of_round)
    .values(
        _over | {"state": "given_up", "last_error": sa.func.coalesce(bindparam("error"), table.c.last_error)}
    )
    .returning(table.c.id)
)
_OF_WEBHOOK = (
    sa.select(*_columns)
    .where(table.c.webhook_id == bindparam("webhook"), table.c.id < bindparam("before"))
    .order_by(table.c.id.desc())
    .limit(bindparam("count"))
)
_IN_STATE = _OF_WEBHOOK.where(table.c.state == bindparam("its_state"))
_REPLAY = (
    sa.update(table)
    .where(table.c.webhook_id == bindparam("webhook"), table.c.id == bindparam("delivery"))
    .values(state="pending", round=table.c.round + 1, start_at=database_now(), ended_at=None)
    .returning(*_columns)
)
_BACKLOG = (
    sa.select(
        sa.func.count().label("count"),
        (database_now() - sa.func.min(sa.type_coerce(table.c.created_at, sa.Double))).label("oldest_age"),
    )
    .select_from(table)
    .where(table.c.start_at.is_not(None))
)
_NO_BEFORE = 2**63 - 1


def insert_of(connections: Connections) -> sa.Executable:
    """How a new delivery is entered, unless the event was entered for the webhook before."""
    return (
        connections.insert(table)
        .values(created_at=database_now(), state="pending", round=0, attempts=0, start_at=database_now())
        .on_conflict_do_nothing(index_elements=["event_id", "webhook_id"])
        .returning(*_columns)
    )


def enter_deliveries(connection: sa.Connection, insert: sa.Executable, events: Sequence[OutboxEvent]) -> int:
    """Enter events for those who want them, as part of a transaction; how many deliveries are new."""
    if not events:
        return 0
    listeners = connection.execute(_LISTENERS).all()
    rows = [row for event in events for row in _deliveries_of(event, listeners)]
    return len(connection.execute(insert, rows).all()) if rows else 0


class Deliveries:
    """The deliveries of all webhooks."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._insert = insert_of(connections)

    async def enqueue(self, events: Sequence[OutboxEvent]) -> int:
        """Enter a delivery for each event and each webhook that wants it, all or none; how many are new.

        An event that was enqueued before, by its id, is not entered again.
        """

        listeners = await self._connections.lookup(_LISTENERS)
        if not any(_wants(webhook, event) for webhook in listeners for event in events):
            return 0  # writers wait for each other: no reason to be one
        return await self._connections.transaction(
            lambda connection: enter_deliveries(connection, self._insert, events)
        )

    async def add(self, webhook_id: int, event_id: str, event_type: str, body_json: str) -> Delivery:
        """Enter an event for one webhook, whatever it wants."""
        rows = await self._connections.change(
            self._insert, webhook_id=webhook_id, event_id=event_id, event_type=event_type, body_json=body_json
        )
        return Delivery(*rows[0])

    async def due(self, limit: int = 100) -> list[DueDelivery]:
        """Take the longest waiting of the deliveries that have no workflow, in the order of their entry.

        Nobody else gets them until `CLAIMED_FOR` is over; who has started their workflow says `started`.
        """
        if not await self._connections.lookup(_ANY_DUE):
            return []  # writers wait for each other: no reason to be one
        claimed = await self._connections.change(_CLAIM, count=limit)
        return sorted((DueDelivery(*row) for row in claimed), key=lambda one: one.id)

    async def started(self, deliveries: Collection[DueDelivery]) -> None:
        """The workflows of these run; what has ended or was replayed meanwhile is left alone."""
        rows = [{"delivery": one.id, "its_round": one.round} for one in deliveries]
        if rows:
            await self._connections.transaction(lambda connection: connection.execute(_STARTED, rows))

    async def target(self, delivery_id: int) -> DeliveryTarget | None:
        """What an attempt needs; None when the webhook was removed."""
        rows = await self._connections.query(_TARGET, delivery=delivery_id)
        return DeliveryTarget(*rows[0]) if rows else None

    async def attempts(self, delivery_ids: Collection[int]) -> dict[int, int]:
        """How often each of these was tried, in all rounds; a removed webhook's are not among them."""
        rows = await self._connections.query(_ATTEMPTS, ids=list(delivery_ids))
        return {row.id: row.attempts for row in rows}

    async def failed(self, delivery_id: int, its_round: int, status: int | None, error: str) -> None:
        """An attempt failed, and another one will follow."""
        await self._connections.change(
            _FAILED, delivery=delivery_id, its_round=its_round, status=status, error=error
        )

    async def delivered(self, delivery_id: int, its_round: int, status: int) -> None:
        """The receiver has it."""
        await self._connections.change(
            _DELIVERED, delivery=delivery_id, its_round=its_round, status=status, error=None
        )

    async def give_up(self, delivery_id: int, its_round: int, error: str | None = None) -> bool:
        """No attempt follows; without an `error` the last one stands. False when it had ended already."""
        rows = await self._connections.change(
            _GIVEN_UP, delivery=delivery_id, its_round=its_round, error=error
        )
        return bool(rows)

    async def of_webhook(
        self, webhook_id: int, *, state: DeliveryState | None, limit: int, before_id: int | None = None
    ) -> list[Delivery]:
        """A webhook's deliveries, the newest first."""
        asked: dict[str, Any] = {"webhook": webhook_id, "before": before_id or _NO_BEFORE, "count": limit}
        if state is None:
            rows = await self._connections.query(_OF_WEBHOOK, **asked)
        else:
            rows = await self._connections.query(_IN_STATE, **asked, its_state=state)
        return [Delivery(*row) for row in rows]

    async def replay(self, webhook_id: int, delivery_id: int) -> Delivery | None:
        """Send one again, the same event, or one that is pending now; None when there is none.

        Whoever was at it in the round before comes too late.
        """
        rows = await self._connections.change(_REPLAY, webhook=webhook_id, delivery=delivery_id)
        return Delivery(*rows[0]) if rows else None

    async def backlog(self) -> Backlog:
        """What is pending of all webhooks, by the database's clock."""
        (row,) = await self._connections.query(_BACKLOG)
        return Backlog(row[0], timedelta(seconds=max(0.0, row[1] or 0.0)))

    async def prune(self, older_than: timedelta) -> int:
        """Delete what ended longer ago than this; how many."""
        is_old = table.c.ended_at < database_now() - older_than.total_seconds()
        return len(await self._connections.change(sa.delete(table).where(is_old).returning(sa.literal(1))))


def _deliveries_of(event: OutboxEvent, listeners: Sequence[Row]) -> Iterator[dict[str, Any]]:
    for webhook in listeners:
        if _wants(webhook, event):
            yield {
                "webhook_id": webhook.id,
                "event_id": event.event_id,
                "event_type": event.event_type,
                "body_json": event.body_json,
            }


def _wants(webhook: Row, event: OutboxEvent) -> bool:
    return (
        (webhook.event_types is None or event.event_type in webhook.event_types)
        and (webhook.site_id is None or webhook.site_id == event.site_id)
        and (webhook.key_sites is None or event.site_id in webhook.key_sites)
        and (webhook.key_chargers is None or event.charger_id in webhook.key_chargers)
        and (event.not_for_newer_than is None or webhook.created_at <= event.not_for_newer_than)
    )
