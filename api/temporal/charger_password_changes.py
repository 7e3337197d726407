"""Changes of chargers' passwords: a small workflow each, one at a time for a charger."""

from datetime import timedelta
from typing import Any

import structlog
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy

from api.errors import Failed
from api.temporal.short_workflows import STARTED_WITHIN, result_within
from api.temporal.temporal_errors import bounded, mapped
from workflows.messages import PasswordAnswer, PasswordChange
from workflows.names import CHARGER_ID, RESERVATIONS_QUEUE, change_password_workflow_id

log = structlog.get_logger(__name__)

_OUTCOME_UNKNOWN = "Temporal does not answer in time; the outcome is unknown: look at the charger, or repeat"


class PasswordChanges:
    """Starts the workflow, or finds the one that runs, and waits for the charger's answer."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def send(self, change: PasswordChange, wait: timedelta) -> PasswordAnswer | None:
        """The charger's answer; None when `wait` ended first (the change goes on). Raises Unavailable."""
        async with bounded(STARTED_WITHIN, _OUTCOME_UNKNOWN):
            handle = await self._start(change)
        try:
            with mapped(_OUTCOME_UNKNOWN, _OUTCOME_UNKNOWN):
                return await result_within(wait, handle.result())
        except WorkflowFailureError as error:
            log.error("password_change_failed", kind=type(error.cause).__name__)
            raise Failed("the password change's workflow failed to answer; repeat the change") from None

    async def _start(self, change: PasswordChange) -> WorkflowHandle[Any, PasswordAnswer]:
        return await self._client.start_workflow(
            "ChangePassword",
            change,
            id=change_password_workflow_id(change.charger_id),
            task_queue=RESERVATIONS_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            result_type=PasswordAnswer,
            search_attributes=TypedSearchAttributes([SearchAttributePair(CHARGER_ID, change.charger_id)]),
            static_summary=f"{change.ocpp_identity}, new password",
            static_details=(
                f"New password for charger **{change.ocpp_identity}** (charger {change.charger_id}); its "
                "gateway makes it up, and it stands nowhere here."
            ),
        )
