"""How a reservation starts in Temporal, whose lists and UI show it from then on."""

import asyncio
from datetime import UTC
from typing import Any

from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)

from workflows.messages import ReservationStart, ReservationState, ReserveAnswer, ReserveRequest
from workflows.names import (
    CHARGER_ID,
    EXPIRES_AT,
    PORT_ID,
    RESERVATION_ID,
    RESERVATION_STATE,
    RESERVATIONS_QUEUE,
    SITE_ID,
)


def start_operation(
    workflow_id: str, start: ReservationStart, request: ReserveRequest
) -> WithStartWorkflowOperation[Any, Any]:
    """How the workflow is started, unless it runs."""
    terms = request.terms
    state = ReservationState.REQUESTED if request.route is None else ReservationState.SENDING
    port = "any port" if terms.port_number is None else f"port {terms.port_number}"
    until = f"{terms.expires_at.astimezone(UTC):%d %b %Y %H:%M} UTC"
    attributes: list[SearchAttributePair[Any]] = [
        SearchAttributePair(CHARGER_ID, start.charger_id),
        SearchAttributePair(RESERVATION_ID, start.reservation_id),
        SearchAttributePair(RESERVATION_STATE, state.value),
        SearchAttributePair(EXPIRES_AT, terms.expires_at),
    ]
    if terms.port_id is not None:
        attributes.append(SearchAttributePair(PORT_ID, terms.port_id))
    if start.site_id is not None:
        attributes.append(SearchAttributePair(SITE_ID, start.site_id))
    return WithStartWorkflowOperation(
        "Reservation",
        start,
        id=workflow_id,
        task_queue=RESERVATIONS_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        search_attributes=TypedSearchAttributes(attributes),
        static_summary=f"{start.ocpp_identity}, {port}, until {until}",
        static_details=(
            f"Reservation **{start.reservation_id}** of {port} on charger **{start.ocpp_identity}** "
            f"(charger {start.charger_id}, port id {terms.port_id}), as first asked for until {until}."
        ),
    )


async def start_and_reserve(
    client: Client, operation: WithStartWorkflowOperation[Any, Any], request: ReserveRequest, update_id: str
) -> ReserveAnswer:
    """Send the request, starting the workflow unless it runs.

    Raises:
        WorkflowUpdateFailedError: The workflow ended before it answered.
        RPCError, RuntimeError: Temporal refused, or does not answer.
    """
    # The operation keeps a failed start too, and asyncio logs as lost what nobody retrieves. Its handle may
    # never come, as when Temporal cannot be reached: it is waited for as long as the call, and no longer.
    handle = asyncio.create_task(operation.workflow_handle())
    try:
        answer: ReserveAnswer = await client.execute_update_with_start_workflow(
            "reserve", request, start_workflow_operation=operation, id=update_id, result_type=ReserveAnswer
        )
        return answer
    finally:
        handle.cancel()
        await asyncio.gather(handle, return_exceptions=True)
