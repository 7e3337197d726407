"""The row by which a run hears of its charger's events."""

from temporalio import activity
from temporalio.exceptions import ApplicationError

from directory import LiveReservation
from workflows.messages import Listener, ReserveNowInput


def listening(request: Listener | ReserveNowInput) -> LiveReservation:
    """The row of the workflow this activity runs for, not accepted yet.

    Raises ApplicationError outside of a workflow.
    """
    workflow_id = activity.info().workflow_id
    if workflow_id is None:
        raise ApplicationError("only a workflow can listen to a charger", non_retryable=True)
    return LiveReservation(
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
