"""Cancels of numbers that no reservation lives under: an operator must be able to clear any id of a charger.

A small workflow of its own sends them, so that they are seen in the audit and cannot overtake a live one.
"""

from datetime import timedelta
from typing import Any

import structlog
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy

from api.errors import Failed
from api.temporal.short_workflows import STARTED_WITHIN, result_within
from api.temporal.temporal_errors import bounded, mapped
from workflows.messages import CancelAnswer, ForwardCancelInput
from workflows.names import CHARGER_ID, RESERVATION_ID, RESERVATIONS_QUEUE, forward_cancel_workflow_id

log = structlog.get_logger(__name__)

_OUTCOME_UNKNOWN = "Temporal does not answer in time; the outcome is unknown: repeat the cancel"


class ForwardedCancels:
    """Starts the workflow, or finds the one that runs, and waits for the charger's answer."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def send(self, cancel: ForwardCancelInput, wait: timedelta) -> CancelAnswer | None:
        """The charger's answer; None when `wait` ended first (the cancel goes on). Raises Unavailable."""
        async with bounded(STARTED_WITHIN, _OUTCOME_UNKNOWN):
            handle = await self._start(cancel)
        try:
            with mapped(_OUTCOME_UNKNOWN, _OUTCOME_UNKNOWN):
                return await result_within(wait, handle.result())
        except WorkflowFailureError as error:
            log.error("forwarded_cancel_failed", kind=type(error.cause).__name__)
            raise Failed("the cancel's workflow failed to answer; repeat the cancel") from None

    async def _start(self, cancel: ForwardCancelInput) -> WorkflowHandle[Any, CancelAnswer]:
        number = f"reservation {cancel.reservation_id}"
        return await self._client.start_workflow(
            "ForwardCancel",
            cancel,
            id=forward_cancel_workflow_id(cancel.charger_id, cancel.reservation_id),
            task_queue=RESERVATIONS_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            result_type=CancelAnswer,
            search_attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(CHARGER_ID, cancel.charger_id),
                    SearchAttributePair(RESERVATION_ID, cancel.reservation_id),
                ]
            ),
            static_summary=f"{cancel.ocpp_identity}, cancel {number}",
            static_details=(
                f"Cancel of {number} on charger **{cancel.ocpp_identity}** (charger {cancel.charger_id}), "
                "which no live reservation has."
            ),
        )
