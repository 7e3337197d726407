"""The API's only word with Temporal: reserve, cancel and look, each bounded in time.

Every failure ends as an answer: Pending when Temporal holds the request, Unavailable when it does not answer,
and the sentence says whether nothing was started or the outcome is unknown.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from uuid import uuid4

import structlog
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import UpdateWorkflowExecutionLifecycleStage as Stage
from temporalio.api.update.v1 import UpdateRef, WaitPolicy
from temporalio.api.workflowservice.v1 import (
    PollWorkflowExecutionUpdateRequest,
    PollWorkflowExecutionUpdateResponse,
)
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from api.errors import Failed, Unavailable
from api.temporal.reservation_start import start_and_reserve, start_operation
from api.temporal.temporal_errors import bounded, is_missing, mapped
from workflows.messages import (
    PENDING,
    CancelAnswer,
    CancelRequest,
    CancelStatus,
    ReservationStart,
    ReservationState,
    ReserveAnswer,
    ReserveRequest,
    Snapshot,
)
from workflows.names import (
    RESERVATION_STATE,
    reservation_workflow_id,
)

log = structlog.get_logger(__name__)

T = TypeVar("T")

# Together under the 5 s within which a caller is answered while Temporal is unreachable.
ACCEPTED_WITHIN = timedelta(seconds=4)
LOOK_WITHIN = timedelta(milliseconds=500)
SIGNAL_WITHIN = timedelta(milliseconds=400)

MEET_WITHIN = timedelta(seconds=2)
READ_WITHIN = timedelta(seconds=4.5)
ANSWER_MARGIN = timedelta(seconds=5)  # the update keeps its own time; this is for a worker that died
RESENDS = 3  # of an update that met a closing run

NOT_TAKEN_UP = "NotTakenUp"
"""Reason of a Pending answer: Temporal has the request, no worker has seen it yet."""

UNKNOWN_RESERVATION = "UnknownReservation"
"""Reason of a Rejected cancel: no reservation lives under this number."""

_NOTHING_STARTED = "Temporal does not answer; nothing was started"
_NOTHING_CANCELLED = "Temporal does not answer; nothing was cancelled"
_OUTCOME_UNKNOWN = (
    "Temporal does not answer in time; the outcome is unknown: repeat with the same reservationId"
)
_ENDING_EACH_TIME = "the reservation was ending each time it was asked; repeat the request"
_NOT_READ = "the reservation cannot be read now: Temporal or the workers do not answer; it goes on by itself"

_ENDED_BY_FORCE = {
    WorkflowExecutionStatus.TERMINATED: "WorkflowTerminated",
    WorkflowExecutionStatus.FAILED: "WorkflowFailed",
    WorkflowExecutionStatus.TIMED_OUT: "WorkflowTimedOut",
    WorkflowExecutionStatus.CANCELED: "WorkflowCanceled",
}


@dataclass(frozen=True, slots=True)
class ReservationView:
    """A reservation as it stands, and the run in Temporal that says so."""

    snapshot: Snapshot
    workflow_id: str
    run_id: str
    namespace: str


class _RunClosed(Exception):
    """The update met a run that was ending, or there is none."""


class _StillOpen(Exception):
    """Temporal holds the update, but its answer did not come in time."""

    def __init__(self, accepted: bool, state: ReservationState | None) -> None:
        self.accepted = accepted
        self.state = state  # None: no such workflow runs


class Reservations:
    """Reservations, as their workflows know them."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def reserve(
        self, start: ReservationStart, request: ReserveRequest, asking: str | None = None
    ) -> ReserveAnswer:
        """Ask for a reservation, starting its workflow unless it runs; Pending when `wait` ended first.

        Who says the same `asking` again meets the earlier request instead of asking anew, unless that one was
        answered Pending. Raises Unavailable.
        """
        workflow_id = reservation_workflow_id(start.charger_id, start.reservation_id)
        asked = 0

        def send(update_id: str) -> Coroutine[Any, Any, ReserveAnswer]:
            operation = start_operation(workflow_id, start, request)
            return start_and_reserve(self._client, operation, request, update_id)

        for _ in range(1 + RESENDS):
            # A new one each time: the old one's failure would be its answer for ever.
            update_id = str(uuid4())
            if asking is not None:
                asked, met = await self._meet(workflow_id, asking, asked)
                if met is not None:
                    return met
                update_id = _update_id(asking, asked)
            try:
                return await self._update(send, workflow_id, request.wait, _NOTHING_STARTED, update_id)
            except _RunClosed:
                asked += 1
            except _StillOpen as open_:
                if open_.state is None:
                    raise Unavailable(_NOTHING_STARTED) from None
                if open_.accepted:
                    return ReserveAnswer(status=PENDING, state=open_.state)
                # Until a worker accepts it an update is in the server's memory only.
                handle = self._client.get_workflow_handle(workflow_id)
                if await self._signal(handle, SIGNAL_WITHIN, "reserve", request):
                    return ReserveAnswer(
                        status=PENDING, state=open_.state, reason=NOT_TAKEN_UP, is_taken_up=False
                    )
        raise Unavailable(_ENDING_EACH_TIME)

    async def cancel(
        self, charger_id: int, reservation_id: int, request: CancelRequest
    ) -> CancelAnswer | None:
        """Cancel a reservation; Pending when `wait` ended first, None when there never was one.

        One that ended is Accepted when it was cancelled, else Rejected. Raises Unavailable.
        """
        workflow_id = reservation_workflow_id(charger_id, reservation_id)
        handle = self._client.get_workflow_handle(workflow_id)

        def send(update_id: str) -> Coroutine[Any, Any, CancelAnswer]:
            return handle.execute_update("cancel", request, id=update_id, result_type=CancelAnswer)

        for _ in range(1 + RESENDS):
            try:
                return await self._update(send, workflow_id, request.wait, _NOTHING_CANCELLED, str(uuid4()))
            except _RunClosed:
                pass  # or there is none; the next lines find out
            except _StillOpen as open_:
                if open_.state is not None and (
                    open_.accepted or await self._signal(handle, SIGNAL_WITHIN, "cancel", request)
                ):
                    return CancelAnswer(status=PENDING, state=open_.state)
            async with bounded(READ_WITHIN, _OUTCOME_UNKNOWN):
                description = await self._describe(workflow_id)
                if description is None:
                    return None
                if description.status != WorkflowExecutionStatus.RUNNING:
                    return _cancel_of_ended(await self._end(description))
        raise Unavailable(_ENDING_EACH_TIME)

    async def withdraw(self, charger_id: int, reservation_id: int) -> None:
        """Have a reservation cancelled without waiting; done once Temporal has it. Raises Unavailable."""
        workflow_id = reservation_workflow_id(charger_id, reservation_id)
        await self._signal(self._client.get_workflow_handle(workflow_id), READ_WITHIN, "cancel")

    async def look(self, charger_id: int, reservation_id: int) -> ReservationView | None:
        """The reservation as it stands now, None when there is none. Raises Unavailable."""
        async with bounded(READ_WITHIN, _NOT_READ):
            return await self._sight(charger_id, reservation_id)

    async def is_reachable(self, within: timedelta) -> bool:
        """Whether Temporal says that it serves."""
        try:
            async with bounded(within, _NOTHING_STARTED):
                return await self._client.service_client.check_health()
        except Unavailable:
            return False

    async def _update(
        self,
        send: Callable[[str], Coroutine[Any, Any, T]],
        workflow_id: str,
        wait: timedelta,
        unconnected: str,
        update_id: str,
    ) -> T:
        update = asyncio.create_task(send(update_id))
        try:
            if not await _ends(update, within=ACCEPTED_WITHIN):
                accepted, state = await self._progress(workflow_id, update_id)
                rest = wait + ANSWER_MARGIN - ACCEPTED_WITHIN if accepted else timedelta(0)
                if not await _ends(update, within=rest):
                    raise _StillOpen(accepted, state)
            with mapped(unconnected, _OUTCOME_UNKNOWN):
                return _outcome(update, workflow_id)
        finally:
            if update.cancel():
                # Its end is awaited, or asyncio would log an exception that nobody asked for.
                await asyncio.gather(update, return_exceptions=True)

    async def _meet(self, workflow_id: str, asking: str, asked: int) -> tuple[int, ReserveAnswer | None]:
        """How often `asking` was said and is over, from `asked` on; or the final answer it has."""
        async with bounded(MEET_WITHIN, _OUTCOME_UNKNOWN):
            while found := await self._find_update(workflow_id, _update_id(asking, asked)):
                if not found.HasField("outcome"):
                    break
                if found.outcome.HasField("success"):
                    payloads = found.outcome.success.payloads
                    (met,) = await self._client.data_converter.decode(payloads, [ReserveAnswer])
                    if met.status != PENDING:
                        return asked, met
                asked += 1
        return asked, None

    async def _progress(self, workflow_id: str, update_id: str) -> tuple[bool, ReservationState | None]:
        """Whether the update is accepted, and the state of the running reservation."""
        async with bounded(LOOK_WITHIN, _OUTCOME_UNKNOWN):
            return await asyncio.gather(self._is_accepted(workflow_id, update_id), self._state(workflow_id))

    async def _is_accepted(self, workflow_id: str, update_id: str) -> bool:
        """Whether a worker has taken up the update."""
        found = await self._find_update(workflow_id, update_id)
        return found is not None and found.stage >= Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED

    async def _find_update(
        self, workflow_id: str, update_id: str
    ) -> PollWorkflowExecutionUpdateResponse | None:
        """What became of an update; the server answers this without waiting."""
        ask = PollWorkflowExecutionUpdateRequest(
            namespace=self._client.namespace,
            update_ref=UpdateRef(
                workflow_execution=WorkflowExecution(workflow_id=workflow_id), update_id=update_id
            ),
            wait_policy=WaitPolicy(lifecycle_stage=Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ADMITTED),
        )
        try:
            return await self._client.workflow_service.poll_workflow_execution_update(ask)
        except RPCError as error:
            if is_missing(error):
                return None
            raise

    async def _state(self, workflow_id: str) -> ReservationState | None:
        """The state of the running reservation, None when none runs."""
        description = await self._describe(workflow_id)
        if description is None or description.status != WorkflowExecutionStatus.RUNNING:
            return None
        state = description.typed_search_attributes.get(RESERVATION_STATE)
        return ReservationState(state) if state else ReservationState.REQUESTED

    async def _describe(self, workflow_id: str) -> WorkflowExecutionDescription | None:
        try:
            return await self._client.get_workflow_handle(workflow_id).describe()
        except RPCError as error:
            if is_missing(error):
                return None
            raise

    async def _sight(self, charger_id: int, reservation_id: int) -> ReservationView | None:
        workflow_id = reservation_workflow_id(charger_id, reservation_id)
        description = await self._describe(workflow_id)
        if description is None:
            return None
        snapshot = await self._snapshot(description, charger_id, reservation_id)
        return ReservationView(snapshot, workflow_id, description.run_id, self._client.namespace)

    async def _snapshot(
        self, description: WorkflowExecutionDescription, charger_id: int, reservation_id: int
    ) -> Snapshot:
        run = self._client.get_workflow_handle(
            description.id, run_id=description.run_id, result_type=Snapshot
        )
        if description.status == WorkflowExecutionStatus.COMPLETED:
            snapshot: Snapshot = await run.result()  # needs no worker
            return snapshot
        try:
            snapshot = await run.query("snapshot", result_type=Snapshot)
        except RPCError as error:
            if description.status not in _ENDED_BY_FORCE or error.status != RPCStatusCode.FAILED_PRECONDITION:
                raise
            snapshot = Snapshot(  # it ended before a worker had seen it
                charger_id=charger_id,
                reservation_id=reservation_id,
                state=ReservationState.FAILED,
                terms=None,
            )
        if description.status not in _ENDED_BY_FORCE:
            return snapshot
        return snapshot.model_copy(
            update={
                "state": ReservationState.FAILED,
                "reason": _ENDED_BY_FORCE[description.status],
                "evidence": "Temporal",
                "ended_at": description.close_time,
            }
        )

    async def _end(self, description: WorkflowExecutionDescription) -> ReservationState:
        if description.status != WorkflowExecutionStatus.COMPLETED:
            return ReservationState.FAILED
        run = self._client.get_workflow_handle(
            description.id, run_id=description.run_id, result_type=Snapshot
        )
        snapshot: Snapshot = await run.result()
        return snapshot.state

    async def _signal(
        self,
        handle: WorkflowHandle[Any, Any],
        within: timedelta,
        name: str,
        *arguments: ReserveRequest | CancelRequest,
    ) -> bool:
        """Durable at once, needs no worker; False when no such workflow runs."""
        async with bounded(within, _OUTCOME_UNKNOWN):
            try:
                await handle.signal(name, args=arguments)
            except RPCError as error:
                if is_missing(error):
                    return False
                raise
        return True


def _update_id(asking: str, asked: int) -> str:
    return f"{asking}-{asked}"


def _cancel_of_ended(state: ReservationState) -> CancelAnswer:
    if state == ReservationState.CANCELLED:
        return CancelAnswer(status=CancelStatus.ACCEPTED, state=state, was_live=False)
    return CancelAnswer(status=CancelStatus.REJECTED, state=state, reason=UNKNOWN_RESERVATION, was_live=False)


async def _ends(update: asyncio.Task[Any], within: timedelta) -> bool:
    # Not asyncio.timeout: it would cancel the update, and the SDK raises its own error then.
    done, _ = await asyncio.wait({update}, timeout=within.total_seconds())
    return bool(done)


def _outcome(update: asyncio.Task[T], workflow_id: str) -> T:
    try:
        return update.result()
    except WorkflowUpdateFailedError as error:
        kind = error.cause.type if isinstance(error.cause, ApplicationError) else type(error.cause).__name__
        if kind == "AcceptedUpdateCompletedWorkflow":
            raise _RunClosed from None
        # Its message may quote the request, token included: only its kind is logged.
        log.error("update_failed", workflow_id=workflow_id, kind=kind)
        raise Failed(f"the reservation's workflow failed to answer ({kind})") from None
    except RPCError as error:
        if is_missing(error):
            raise _RunClosed from None
        raise
