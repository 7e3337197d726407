"""Charging sessions: Berth gives out transaction ids, and the same id when a charger asks twice."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from berth.database.clock import database_now
from berth.database.connections import Connections
from berth.database.events import store_events
from berth.database.records import NewEvent, ReportedStart, Transaction
from berth.database.tables import transactions

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
_of_start = sa.and_(
    transactions.c.charger_id == bindparam("charger"), transactions.c.start_key == bindparam("key")
)
_BY_START = sa.select(*_columns).where(_of_start)
_ATTRIBUTE = (
    sa.update(transactions)
    .where(transactions.c.id == bindparam("which"))
    .values(attributed_to=bindparam("workflow"))
)
_ATTRIBUTED = (
    sa.select(transactions.c.attributed_to, sa.func.max(transactions.c.id).label("latest"))
    .where(
        transactions.c.charger_id == bindparam("charger"),
        transactions.c.id > bindparam("after"),
        transactions.c.id != bindparam("but"),
        transactions.c.attributed_to.in_(bindparam("workflows", expanding=True)),
    )
    .group_by(transactions.c.attributed_to)
)

Attribution = tuple[str | None, Sequence[NewEvent]]
"""The workflow whose reservation a transaction used up, and the events that say so."""


class Transactions:
    """The charging sessions of all chargers."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        insert = connections.insert(transactions)
        is_named = sa.and_(transactions.c.reservation_id.is_not(None), transactions.c.reservation_id > 0)
        self._start = insert.on_conflict_do_update(
            index_elements=["charger_id", "start_key"],
            set_={
                "id_tag": sa.func.coalesce(transactions.c.id_tag, insert.excluded.id_tag),
                "meter_start": sa.func.coalesce(transactions.c.meter_start, insert.excluded.meter_start),
                # 0 and -1 are no reservation's number.
                "reservation_id": sa.case(
                    (is_named, transactions.c.reservation_id),
                    else_=sa.func.coalesce(insert.excluded.reservation_id, transactions.c.reservation_id),
                ),
            },
        ).returning(transactions.c.id, transactions.c.attributed_to, database_now().label("now"))

    async def start(
        self,
        charger_id: int,
        port_number: int,
        id_tag: str | None,
        started_at: datetime,
        meter_start: float | None,
        reservation_id: int | None = None,
        ocpp_transaction_id: str | None = None,
        *,
        rivals: Mapping[str, int] | None = None,
        events_for: Callable[[ReportedStart], Attribution] | None = None,
    ) -> int:
        """The transaction's id, positive and unique over all chargers.

        A report with the same `ocpp_transaction_id` (2.0.1), or without one with the same port, token, start
        and meter value (a repeated 1.6 StartTransaction), gives the same id and may add what was missing.

        What `events_for` makes of it is kept with it, both or neither. `rivals` are workflows it may be
        attributed to, each with the id after which transactions count that others were.
        """
        key = (
            f"start:{port_number}|{id_tag}|{started_at.timestamp()}|{meter_start}"
            if ocpp_transaction_id is None
            else _ocpp_key(ocpp_transaction_id)
        )
        row = {
            "charger_id": charger_id,
            "start_key": key,
            "ocpp_transaction_id": ocpp_transaction_id,
            "port_number": port_number,
            "id_tag": id_tag,
            "started_at": started_at,
            "meter_start": meter_start,
            "reservation_id": reservation_id,
        }

        if events_for is None:
            return int((await self._connections.change(self._start, **row))[0].id)

        def work(connection: sa.Connection) -> int:
            known = connection.execute(_BY_START, {"charger": charger_id, "key": key}).first()
            entered = connection.execute(self._start, row).one()
            transaction_id = int(entered.id)
            attributed_to, new_events = events_for(
                ReportedStart(
                    transaction_id,
                    datetime.fromtimestamp(entered.now, UTC),
                    known is not None and _adds(Transaction(*known), id_tag, reservation_id),
                    entered.attributed_to,
                    _taken(connection, charger_id, transaction_id, rivals or {}),
                )
            )
            if attributed_to != entered.attributed_to:
                connection.execute(_ATTRIBUTE, {"which": transaction_id, "workflow": attributed_to})
            store_events(connection, new_events)
            return transaction_id

        return await self._connections.transaction(work)

    async def of_charger_by_own_id(self, charger_id: int, ocpp_transaction_id: str) -> Transaction | None:
        """The 2.0.1 session that the charger gave this id, running or ended."""
        key = _ocpp_key(ocpp_transaction_id)
        rows = await self._connections.lookup(_BY_START, charger=charger_id, key=key)
        return Transaction(*rows[0]) if rows else None

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
            which = transactions.c.start_key == _ocpp_key(ocpp_transaction_id)
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


def _ocpp_key(ocpp_transaction_id: str) -> str:
    return f"ocpp:{ocpp_transaction_id}"


def _adds(known: Transaction, id_tag: str | None, reservation_id: int | None) -> bool:
    """Whether the report is the first that names the session's token, or its reservation."""
    adds_number = (reservation_id or 0) > 0 and (known.reservation_id or 0) <= 0
    return adds_number or (id_tag is not None and known.id_tag is None)


def _taken(
    connection: sa.Connection, charger_id: int, transaction_id: int, rivals: Mapping[str, int]
) -> frozenset[str]:
    """The rivals that another session was attributed to; of a single one it makes no difference."""
    if len(rivals) < 2:
        return frozenset()
    attributed = connection.execute(
        _ATTRIBUTED,
        {
            "charger": charger_id,
            "after": min(rivals.values()),
            "but": transaction_id,
            "workflows": list(rivals),
        },
    )
    return frozenset(row.attributed_to for row in attributed if row.latest > rivals[row.attributed_to])
