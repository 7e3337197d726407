"""Which runs a charger's events are sent to: from before the frame goes out to the run's last step."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from directory.clock import database_now
from directory.connections import Connections
from directory.deliveries import enter_deliveries, insert_of
from directory.records import Announced, EventSubscription, as_row
from directory.tables import live_reservations as table

KEPT_AFTER_EXPIRY = timedelta(hours=24)

_columns = [table.c[name] for name in EventSubscription.__dataclass_fields__]
_this_run = sa.and_(table.c.workflow_id == bindparam("workflow"), table.c.first_run_id == bindparam("run"))
_forgotten = table.c.expires_at <= database_now() - KEPT_AFTER_EXPIRY.total_seconds()

_MARK_ACCEPTED = sa.update(table).where(_this_run).values(accepted=True)
_REMOVE = sa.delete(table).where(_this_run)
_SUBSCRIBED = sa.select(*_columns).where(~_forgotten).order_by(table.c.expires_at)
_OF_CHARGER = _SUBSCRIBED.where(table.c.charger_id == bindparam("charger"))
_OF_CHARGERS = _SUBSCRIBED.where(table.c.charger_id.in_(bindparam("charger_ids", expanding=True)))
_this_row = {column.name: bindparam(column.name, type_=column.type) for column in _columns}
_is_held_by_another = (
    sa.select(table.c.workflow_id)
    .where(
        table.c.charger_id == _this_row["charger_id"],
        table.c.port_number == _this_row["port_number"],
        table.c.workflow_id != _this_row["workflow_id"],
        table.c.accepted,
        table.c.expires_at > database_now(),
    )
    .exists()
)
_THIS_ROW_IF_FREE = sa.select(*_this_row.values()).where(~_is_held_by_another)
_PRUNE = sa.delete(table).where(_forgotten).returning(table.c.workflow_id)


class EventSubscriptions:
    """The subscriptions to all chargers' events."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._insert_delivery = insert_of(connections)
        insert = connections.insert(table)
        new = insert.excluded
        same_words = sa.and_(
            table.c.first_run_id == new.first_run_id,
            table.c.port_number.is_not_distinct_from(new.port_number),
            table.c.id_tag == new.id_tag,
            table.c.parent_id_tag.is_not_distinct_from(new.parent_id_tag),
            table.c.expires_at == new.expires_at,
        )
        replacement: dict[str, sa.ColumnElement[Any]] = {column.name: new[column.name] for column in _columns}
        # The charger's yes was to these words: other ones need its yes again.
        replacement["accepted"] = sa.or_(new.accepted, sa.and_(same_words, table.c.accepted))
        self._put = insert.on_conflict_do_update(index_elements=["workflow_id"], set_=replacement)
        self._claim = self._put.from_select([*_this_row], _THIS_ROW_IF_FREE).returning(table.c.workflow_id)

    async def put(self, reservation: EventSubscription) -> None:
        """Enter a run, or what it asks for now.

        What was accepted stays accepted only for the same run, port, token and expiry.
        """
        await self._connections.change(self._put, **as_row(reservation))

    async def claim(self, reservation: EventSubscription) -> bool:
        """Enter a run unless another workflow's accepted, unexpired reservation holds its port: then False.

        A whole-charger reservation has no port, and the charger itself picks a free one.
        """
        return bool(await self._connections.change(self._claim, **as_row(reservation)))

    async def mark_accepted(
        self, workflow_id: str, first_run_id: str, announcing: Sequence[Announced] = ()
    ) -> None:
        """The charger said Accepted to this run, which is entered for webhooks in the same transaction."""
        await self._change(_MARK_ACCEPTED, workflow_id, first_run_id, announcing)

    async def remove(self, workflow_id: str, first_run_id: str, announcing: Sequence[Announced] = ()) -> None:
        """This run gets no more events; a newer run of the same reservation is left alone.

        What is left to announce is entered for webhooks in the same transaction.
        """
        await self._change(_REMOVE, workflow_id, first_run_id, announcing)

    async def _change(
        self, statement: sa.Executable, workflow_id: str, first_run_id: str, announcing: Sequence[Announced]
    ) -> None:
        this_run = {"workflow": workflow_id, "run": first_run_id}

        def work(connection: sa.Connection) -> None:
            enter_deliveries(connection, self._insert_delivery, announcing)
            connection.execute(statement, this_run)

        if announcing:
            await self._connections.transaction(work)
        else:
            await self._connections.change(statement, **this_run)

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
