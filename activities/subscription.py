"""The row by which a run gets its charger's events, and whether that run is still there."""

from datetime import timedelta

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from berth.database import EventSubscription, NewEvent
from workflows.messages import Event, ReserveNowInput, Subscription

PORT_RESERVED_BY_OTHER = "port_reserved_by_other"
"""The signal of a `PortReservedByOther`."""

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
        generation=request.generation if isinstance(request, ReserveNowInput) else 0,
    )


def new_event(subscription: EventSubscription, signal: str, event: Event, epoch: int) -> NewEvent:
    """The event as it is stored for this subscriber; `epoch` is that of the socket it came over."""
    # A frame goes out after its row is committed: what the charger reports later carries its generation.
    addressed = {
        "first_run_id": subscription.first_run_id,
        "generation": subscription.known_generation,
        "epoch": epoch,
    }
    return NewEvent(
        subscription.charger_id,
        subscription.workflow_id,
        signal,
        event.model_copy(update=addressed).model_dump_json(),
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
