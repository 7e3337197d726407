"""The row by which a run gets its charger's events, and whether that run is still there."""

from datetime import timedelta

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from directory import EventSubscription
from workflows.messages import ReserveNowInput, Subscription

_DESCRIBED_WITHIN = timedelta(seconds=3)


def subscription_of(request: Subscription | ReserveNowInput) -> EventSubscription:
    """The row of the workflow this activity runs for, not accepted yet.

    Raises ApplicationError outside of a workflow.
    """
    workflow_id = activity.info().workflow_id
    if workflow_id is None:
        raise ApplicationError("only a workflow can subscribe to a charger", non_retryable=True)
    return EventSubscription(
        workflow_id=workflow_id,
        first_run_id=request.first_run_id,
        charger_id=request.charger_id,
        reservation_id=request.reservation_id,
        port_number=request.terms.port_number,
        id_tag=request.terms.id_tag,
        parent_id_tag=request.terms.parent_id_tag,
        accepted=False,
        expires_at=request.terms.expires_at,
    )


async def is_running(client: Client, workflow_id: str) -> bool:
    """Whether the workflow lives; one that was terminated left its row behind. Raises RPCError."""
    try:
        described = await client.get_workflow_handle(workflow_id).describe(rpc_timeout=_DESCRIBED_WITHIN)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return described.status is WorkflowExecutionStatus.RUNNING
