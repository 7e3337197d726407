"""Charging sessions: Berth gives out transaction ids, and the same id when a charger asks twice."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from directory.connections import Connections
from directory.records import Transaction
from directory.tables import transactions

_columns = [transactions.c[name] for name in Transaction.__dataclass_fields__]
_newer = transactions.alias("newer")
_CURRENT = sa.select(*_columns).where(
    transactions.c.charger_id.in_(bindparam("charger_ids", expanding=True)),
    transactions.c.ended_at.is_(None),
    # A port charges one car at a time: an older session whose end was lost is over.
    ~sa.exists().where(
        _newer.c.charger_id == transactions.c.charger_id,
        _newer.c.port_number == transactions.c.port_number,
        _newer.c.started_at > transactions.c.started_at,
    ),
)


class Transactions:
    """The charging sessions of all chargers."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        insert = connections.insert(transactions)
        added_later = ("id_tag", "meter_start", "reservation_id")
        self._start = insert.on_conflict_do_update(
            index_elements=["charger_id", "start_key"],
            set_={
                name: sa.func.coalesce(transactions.c[name], insert.excluded[name]) for name in added_later
            },
        ).returning(transactions.c.id)

    async def start(
        self,
        charger_id: int,
        port_number: int,
        id_tag: str | None,
        started_at: datetime,
        meter_start: float | None,
        reservation_id: int | None = None,
        ocpp_transaction_id: str | None = None,
    ) -> int:
        """The transaction's id, positive and unique over all chargers.

        A report with the same `ocpp_transaction_id` (2.0.1), or without one with the same port, token, start
        and meter value (a repeated 1.6 StartTransaction), gives the same id and may add what was missing.
        """
        start = f"{port_number}|{id_tag}|{started_at.timestamp()}|{meter_start}"
        rows = await self._connections.change(
            self._start,
            charger_id=charger_id,
            start_key=f"start:{start}" if ocpp_transaction_id is None else f"ocpp:{ocpp_transaction_id}",
            ocpp_transaction_id=ocpp_transaction_id,
            port_number=port_number,
            id_tag=id_tag,
            started_at=started_at,
            meter_start=meter_start,
            reservation_id=reservation_id,
        )
        return int(rows[0].id)

    async def end(
        self,
        charger_id: int,
        *,
        ended_at: datetime,
        transaction_id: int | None = None,
        ocpp_transaction_id: str | None = None,
        meter_stop: float | None = None,
        reason: str | None = None,
    ) -> Transaction | None:
        """End a session, named by either id; None when it is unknown. A repeat changes nothing."""
        if ocpp_transaction_id is None:
            which = transactions.c.id == transaction_id
        else:
            which = transactions.c.start_key == f"ocpp:{ocpp_transaction_id}"
        is_open = transactions.c.ended_at.is_(None)

        def unless_ended(column: sa.Column[Any], value: object) -> sa.Case[Any]:
            return sa.case((is_open, sa.literal(value, column.type)), else_=column)

        rows = await self._connections.change(
            sa.update(transactions)
            .where(transactions.c.charger_id == charger_id, which)
            .values(
                ended_at=unless_ended(transactions.c.ended_at, ended_at),
                meter_stop=unless_ended(transactions.c.meter_stop, meter_stop),
                reason=unless_ended(transactions.c.reason, reason),
            )
            .returning(*_columns)
        )
        return Transaction(*rows[0]) if rows else None

    async def current(self, charger_id: int) -> dict[int, Transaction]:
        """The running session of each port that has one, by port number."""
        running = await self.current_of([charger_id])
        return {port_number: transaction for (_, port_number), transaction in running.items()}

    async def current_of(self, charger_ids: Collection[int]) -> dict[tuple[int, int], Transaction]:
        """The running sessions of several chargers, by charger id and port number."""
        rows = await self._connections.query(_CURRENT, charger_ids=sorted(charger_ids))
        return {(row.charger_id, row.port_number): Transaction(*row) for row in rows}
