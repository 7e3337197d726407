"""Lists of reservations, from the search attributes that Temporal keeps of every run: no query per item.

Temporal decides the order: those that live first, the youngest start first; then those that ended, the latest
end first. It is a moment behind the workflows themselves (usually under a second).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus

from api.temporal.temporal_errors import bounded
from workflows.messages import ReservationState
from workflows.names import (
    CHARGER_ID,
    EXPIRES_AT,
    PORT_ID,
    RESERVATION_ID,
    RESERVATION_STATE,
    SITE_ID,
)

LISTED_WITHIN = timedelta(seconds=4.5)

_NOT_LISTED = "Temporal does not answer; the reservations cannot be listed now, they go on by themselves"

# Ended from outside: its own attributes still say what it was before.
_BY_FORCE = (
    WorkflowExecutionStatus.TERMINATED,
    WorkflowExecutionStatus.FAILED,
    WorkflowExecutionStatus.TIMED_OUT,
    WorkflowExecutionStatus.CANCELED,
)
_ENDED_BY_FORCE = "ExecutionStatus IN ('Terminated', 'Failed', 'TimedOut', 'Canceled')"


@dataclass(frozen=True, slots=True)
class Listed:
    """A reservation as Temporal's search attributes show it."""

    reservation_id: int
    charger_id: int
    port_id: int | None
    state: ReservationState
    expires_at: datetime
    created_at: datetime
    ended_at: datetime | None


class ReservationList:
    """The reservations of all chargers, those that ended too, for as long as Temporal keeps them."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def page(
        self,
        *,
        site_ids: Collection[str] | None,
        charger_ids: Collection[int] | None,
        charger_id: int | None,
        port_id: int | None,
        state: ReservationState | None,
        limit: int,
        after: bytes | None,
    ) -> tuple[list[Listed], bytes | None]:
        """At most `limit` reservations after the position `after`, and the next position if there is more.

        `site_ids` and `charger_ids` are the caller's scope, None = all. Raises Unavailable.
        """
        if _is_empty(site_ids) or _is_empty(charger_ids):
            return [], None
        query = _query(site_ids, charger_ids, charger_id, port_id, state)
        async with bounded(LISTED_WITHIN, _NOT_LISTED):
            found, position = await self._fetch(query, limit, after)
            if position is not None:
                # Temporal gives a position after every full page: is there anything behind it?
                beyond, _ = await self._fetch(query, 1, position)
                position = position if beyond else None
        return [_listed(execution) for execution in found], position

    async def _fetch(
        self, query: str, limit: int, after: bytes | None
    ) -> tuple[Sequence[WorkflowExecution], bytes | None]:
        executions = self._client.list_workflows(query, page_size=limit, next_page_token=after)
        await executions.fetch_next_page()
        return executions.current_page or [], executions.next_page_token


def _is_empty(scope: Collection[object] | None) -> bool:
    return scope is not None and not scope


def _query(
    site_ids: Collection[str] | None,
    charger_ids: Collection[int] | None,
    charger_id: int | None,
    port_id: int | None,
    state: ReservationState | None,
) -> str:
    clauses = [
        "WorkflowType = 'Reservation'",
        "ExecutionStatus != 'ContinuedAsNew'",  # the same reservation goes on in the next run
        f"{RESERVATION_ID.name} IS NOT NULL",  # started by us, not by hand
    ]
    if site_ids is not None:
        clauses.append(f"{SITE_ID.name} IN ({', '.join(map(_text, sorted(site_ids)))})")
    if charger_ids is not None:
        clauses.append(f"{CHARGER_ID.name} IN ({', '.join(map(str, sorted(charger_ids)))})")
    if charger_id is not None:
        clauses.append(f"{CHARGER_ID.name} = {charger_id}")
    if port_id is not None:
        clauses.append(f"{PORT_ID.name} = {port_id}")
    if state is not None:
        clauses.append(_in_state(state))
    return " AND ".join(clauses)


def _in_state(state: ReservationState) -> str:
    said = f"{RESERVATION_STATE.name} = '{state.value}'"
    if state is ReservationState.FAILED:
        return f"({said} OR {_ENDED_BY_FORCE})"
    return f"{said} AND NOT ({_ENDED_BY_FORCE})"


def _text(value: str) -> str:
    # Backslash first: an odd one at the end would swallow the closing quote.
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _listed(execution: WorkflowExecution) -> Listed:
    attributes = execution.typed_search_attributes
    state = ReservationState(attributes[RESERVATION_STATE])
    return Listed(
        reservation_id=attributes[RESERVATION_ID],
        charger_id=attributes[CHARGER_ID],
        port_id=attributes.get(PORT_ID),
        state=ReservationState.FAILED if execution.status in _BY_FORCE else state,
        expires_at=attributes[EXPIRES_AT].astimezone(UTC),
        created_at=execution.start_time,
        ended_at=execution.close_time,
    )
