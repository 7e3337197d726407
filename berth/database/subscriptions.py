"""Which runs a charger's events are sent to: from before the frame goes out to the run's last step."""

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from berth.database.clock import database_now
from berth.database.connections import Connections
from berth.database.deliveries import enter_deliveries, insert_of
from berth.database.events import drop_events, store_events
from berth.database.records import EventSubscription, NewEvent, OutboxEvent, as_row
from berth.database.tables import live_reservations as table
from berth.database.tables import transactions

KEPT_AFTER_EXPIRY = timedelta(hours=24)

_ANY_GENERATION = 2**31 - 1

_columns = [table.c[name] for name in EventSubscription.__dataclass_fields__]
_this_run = sa.and_(table.c.workflow_id == bindparam("workflow"), table.c.first_run_id == bindparam("run"))
_is_forgotten = table.c.expires_at <= database_now() - KEPT_AFTER_EXPIRY.total_seconds()
_is_unexpired = table.c.expires_at > database_now()

_MARK_ACCEPTED = (
    sa.update(table).where(_this_run, table.c.generation == bindparam("of_generation")).values(accepted=True)
)
_REMOVE = (
    sa.delete(table)
    .where(_this_run, table.c.generation <= bindparam("of_generation"))
    .returning(table.c.charger_id)
)
_SUBSCRIBED = sa.select(*_columns).where(~_is_forgotten).order_by(table.c.expires_at)
_OF_CHARGER = _SUBSCRIBED.where(table.c.charger_id == bindparam("charger"))
_OF_CHARGERS = _SUBSCRIBED.where(table.c.charger_id.in_(bindparam("charger_ids", expanding=True)))
_PRUNE = sa.delete(table).where(_is_forgotten).returning(table.c.workflow_id)

# What a frame is about to be sent for, and by the database when: no process's clock has a part in the order.
_SET_BY_DATABASE: dict[str, sa.ColumnElement[Any]] = {
    "asked_at": database_now(),
    "transactions_before": sa.select(sa.func.coalesce(sa.func.max(transactions.c.id), 0)).scalar_subquery(),
}
_this_row: dict[str, sa.ColumnElement[Any]] = {
    column.name: bindparam(column.name, type_=column.type)
    for column in _columns
    if column.name not in _SET_BY_DATABASE
}
_is_for_a_frame = _this_row["generation"] > 0
_this_row |= {name: sa.case((_is_for_a_frame, value)) for name, value in _SET_BY_DATABASE.items()}


def _is_held_by_another(
    charger_id: sa.ColumnElement[Any], port_number: sa.ColumnElement[Any], workflow_id: sa.ColumnElement[Any]
) -> sa.Exists:
    return (
        sa.select(table.c.workflow_id)
        .where(
            table.c.charger_id == charger_id,
            table.c.port_number == port_number,
            table.c.workflow_id != workflow_id,
            table.c.accepted,
            _is_unexpired,
        )
        .exists()
    )


_is_taken = _is_held_by_another(_this_row["charger_id"], _this_row["port_number"], _this_row["workflow_id"])
_THIS_ROW = sa.select(*_this_row.values()).where(sa.or_(bindparam("is_forced", type_=sa.Boolean), ~_is_taken))
_IS_HELD = sa.select(
    _is_held_by_another(bindparam("charger"), bindparam("number"), bindparam("workflow")).label("is_held")
)
# Whether they are accepted is seen once they are locked: a row that is being marked has not changed yet.
_OF_PORT = (
    sa.select(*_columns, _is_unexpired.label("is_unexpired"))
    .where(table.c.charger_id == bindparam("charger"), table.c.port_number == bindparam("number"))
    .order_by(table.c.workflow_id)
    .with_for_update()
)
_SUPERSEDE = sa.update(table).where(table.c.workflow_id == bindparam("superseded")).values(accepted=False)


class EventSubscriptions:
    """The subscriptions to all chargers' events."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._insert_delivery = insert_of(connections)
        insert = connections.insert(table)
        new = insert.excluded
        is_same_run = table.c.first_run_id == new.first_run_id
        is_same_words = sa.and_(
            is_same_run,
            table.c.port_number.is_not_distinct_from(new.port_number),
            table.c.id_tag == new.id_tag,
            table.c.parent_id_tag.is_not_distinct_from(new.parent_id_tag),
            table.c.expires_at == new.expires_at,
        )
        replacement: dict[str, sa.ColumnElement[Any]] = {column.name: new[column.name] for column in _columns}
        # The charger's yes was to these words: other ones need its yes again.
        replacement["accepted"] = sa.or_(new.accepted, sa.and_(is_same_words, table.c.accepted))
        is_later_frame = sa.or_(~is_same_run, new.generation > table.c.generation)
        replacement["generation"] = sa.case((is_later_frame, new.generation), else_=table.c.generation)
        # What happened since the first frame has happened to all that repeat or change it.
        is_repeat = sa.and_(bindparam("is_repeat", type_=sa.Boolean), is_same_run)
        is_first_frame = sa.and_(is_later_frame, sa.or_(~is_repeat, table.c.asked_at.is_(None)))
        for name in _SET_BY_DATABASE:
            replacement[name] = sa.case((is_first_frame, new[name]), else_=table.c[name])
        self._claim = (
            insert.from_select([*_this_row], _THIS_ROW)
            .on_conflict_do_update(index_elements=["workflow_id"], set_=replacement)
            .returning(table.c.workflow_id)
        )

    async def put(self, subscription: EventSubscription) -> None:
        """Subscribe a run, or enter what it asks for now.

        What was accepted stays accepted only for the same run, port, token and expiry. A generation that is
        greater than before, or another run's, is about to be sent; unless it is a repeat, `asked_at` and
        `transactions_before` are set. They are the database's: the argument's are not looked at.
        """
        await self.claim(subscription, is_forced=True)

    async def claim(
        self, subscription: EventSubscription, *, is_forced: bool = False, is_repeat: bool = False
    ) -> bool:
        """`put` unless another workflow's accepted, unexpired reservation holds the port: then False.

        A whole-charger reservation has no port, and the charger itself picks a free one.
        """
        row = {name: value for name, value in as_row(subscription).items() if name not in _SET_BY_DATABASE}
        return bool(
            await self._connections.change(self._claim, **row, is_forced=is_forced, is_repeat=is_repeat)
        )

    async def is_held(self, charger_id: int, port_number: int, workflow_id: str) -> bool:
        """Whether another workflow's accepted, unexpired reservation holds the port."""
        rows = await self._connections.lookup(
            _IS_HELD, charger=charger_id, number=port_number, workflow=workflow_id
        )
        return bool(rows[0].is_held)

    async def mark_accepted(
        self,
        subscription: EventSubscription,
        outbox_events: Sequence[OutboxEvent] = (),
        event_for: Callable[[EventSubscription], NewEvent] | None = None,
    ) -> list[EventSubscription]:
        """The charger accepted this run, which is entered for webhooks in the same transaction.

        Other accepted, unexpired reservations of its port are so no longer, and each gets the event that
        `event_for` makes; which they are. Of two that are marked at once the later one sees the earlier.
        """
        this_frame = {
            "workflow": subscription.workflow_id,
            "run": subscription.first_run_id,
            "of_generation": subscription.generation,
        }
        of_port = {"charger": subscription.charger_id, "number": subscription.port_number}

        def work(connection: sa.Connection) -> list[EventSubscription]:
            enter_deliveries(connection, self._insert_delivery, outbox_events)
            superseded: list[EventSubscription] = []
            if subscription.port_number is not None:
                is_there = False
                for *row, is_unexpired in connection.execute(_OF_PORT, of_port):
                    one = EventSubscription(*row)
                    if one.workflow_id == subscription.workflow_id:
                        is_there = one.first_run_id == subscription.first_run_id and (
                            one.generation == subscription.generation
                        )
                    elif one.accepted and is_unexpired:
                        superseded.append(one)
                if not is_there:
                    return []
            connection.execute(_MARK_ACCEPTED, this_frame)
            for one in superseded:
                connection.execute(_SUPERSEDE, {"superseded": one.workflow_id})
            if event_for is not None:
                store_events(connection, [event_for(one) for one in superseded])
            return superseded

        return await self._connections.transaction(work)

    async def remove(
        self,
        workflow_id: str,
        first_run_id: str,
        outbox_events: Sequence[OutboxEvent] = (),
        *,
        generation: int | None = None,
    ) -> bool:
        """This run gets no more events, also none of those stored; whether it was subscribed.

        A newer run of it is left alone, and so is a `generation` later than this one: the number was used
        again in the meantime. What is left to announce is entered for webhooks in the same transaction.
        """

        which = {
            "workflow": workflow_id,
            "run": first_run_id,
            "of_generation": _ANY_GENERATION if generation is None else generation,
        }

        def work(connection: sa.Connection) -> bool:
            enter_deliveries(connection, self._insert_delivery, outbox_events)
            removed = connection.execute(_REMOVE, which).first()
            if removed is not None:
                drop_events(connection, removed.charger_id, workflow_id)
            return removed is not None

        return await self._connections.transaction(work)

    async def of_charger(self, charger_id: int) -> list[EventSubscription]:
        """The runs subscribed to a charger, until 24 h after their expiry."""
        rows = await self._connections.lookup(_OF_CHARGER, charger=charger_id)
        return [EventSubscription(*row) for row in rows]

    async def of_chargers(self, charger_ids: Collection[int]) -> list[EventSubscription]:
        """The runs subscribed to any of these chargers, until 24 h after their expiry."""
        rows = await self._connections.query(_OF_CHARGERS, charger_ids=sorted(charger_ids))
        return [EventSubscription(*row) for row in rows]

    async def prune(self) -> int:
        """Delete what is long expired (its workflow was terminated); how many."""
        return len(await self._connections.change(_PRUNE))
