"""How workflows reach a charger: a look at it, and one frame by the gateway that holds its socket."""

import contextlib
from datetime import timedelta
from typing import TypeVar

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    TimeoutError,
    TimeoutType,
    is_cancelled_exception,
)

from workflows.messages import (
    IN_DOUBT,
    NOT_SENT,
    CancelReservationInput,
    CancelReservationResult,
    ChangePasswordInput,
    ChangePasswordResult,
    InDoubtDetail,
    LookInput,
    NotSentDetail,
    Policy,
    PortView,
    ReserveNowInput,
    ReserveNowResult,
    Route,
)

_Result = TypeVar("_Result")

# A repeat is the workflow's decision: it alone knows what the charger may hold by then.
_ONCE = RetryPolicy(maximum_attempts=1)
_MARGIN = timedelta(seconds=10)

_LOCAL_ATTEMPT = timedelta(seconds=1)  # a statement or two of the database

# The database is away: no workflow task waits for it, and its return is noticed within seconds.
STATEMENT_WITHIN = timedelta(seconds=5)
DATABASE_AWAY = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=10)
)


class DatabaseAway(Exception):
    """The database did not answer in the time of a local attempt."""


async def look_at_charger(charger_id: int, port_number: int | None = None) -> PortView:
    """What the database knows of the charger and of that port; asked until it answers."""
    look = LookInput(charger_id=charger_id, port_number=port_number)
    with contextlib.suppress(DatabaseAway):
        return await ask_locally("LookAtCharger", look, PortView)
    view: PortView = await workflow.execute_activity(
        "LookAtCharger",
        look,
        result_type=PortView,
        start_to_close_timeout=STATEMENT_WITHIN,
        retry_policy=DATABASE_AWAY,
        summary="the database does not answer",
    )
    return view


async def ask_locally(activity: str, argument: BaseModel, result_type: type[_Result]) -> _Result:
    """One short attempt of an activity in this very workflow task. Raises DatabaseAway.

    No more than one: all the while it holds the task, and with it a place that other workflows wait for.
    """
    try:
        result: _Result = await workflow.execute_local_activity(
            activity,
            argument,
            result_type=result_type,
            schedule_to_close_timeout=_LOCAL_ATTEMPT,
            retry_policy=_ONCE,
        )
    except FailureError as error:
        # Not ActivityError alone: a replay raises what that has for its cause (SDK 1.35).
        if is_cancelled_exception(error):
            raise
        raise DatabaseAway from error
    return result


async def reserve_now(
    argument: ReserveNowInput, route: Route, policy: Policy, summary: str
) -> ReserveNowResult | NotSentDetail | InDoubtDetail:
    """Send ReserveNow over `route`; NotSentDetail and InDoubtDetail say why there is no answer."""
    return await _call("ReserveNow", argument, ReserveNowResult, route, policy, summary)


async def cancel_reservation(
    argument: CancelReservationInput, route: Route, policy: Policy, summary: str
) -> CancelReservationResult | NotSentDetail | InDoubtDetail:
    """Send CancelReservation over `route`; NotSentDetail and InDoubtDetail say why there is no answer."""
    return await _call("CancelReservation", argument, CancelReservationResult, route, policy, summary)


async def change_password(
    argument: ChangePasswordInput, route: Route, policy: Policy, summary: str
) -> ChangePasswordResult | NotSentDetail | InDoubtDetail:
    """Change the password over `route`; NotSentDetail and InDoubtDetail say why there is no answer."""
    return await _call("ChangePassword", argument, ChangePasswordResult, route, policy, summary)


async def _call(
    activity: str, argument: BaseModel, result_type: type[_Result], route: Route, policy: Policy, summary: str
) -> _Result | NotSentDetail | InDoubtDetail:
    try:
        result: _Result = await workflow.execute_activity(
            activity,
            argument,
            result_type=result_type,
            task_queue=route.queue,
            schedule_to_start_timeout=policy.schedule_to_start,
            start_to_close_timeout=policy.write_within + policy.call_timeout + _MARGIN,
            heartbeat_timeout=policy.heartbeat_timeout,
            retry_policy=_ONCE,
            summary=summary,
        )
    except ActivityError as error:
        return _why(error.cause)
    return result


def _why(cause: BaseException | None) -> NotSentDetail | InDoubtDetail:
    if isinstance(cause, TimeoutError) and cause.type == TimeoutType.SCHEDULE_TO_START:
        return NotSentDetail(cause="not_connected")  # nobody polls this gateway's queue
    if isinstance(cause, ApplicationError) and cause.type == NOT_SENT:
        return NotSentDetail.model_validate(cause.details[0])
    if isinstance(cause, ApplicationError) and cause.type == IN_DOUBT:
        return InDoubtDetail.model_validate(cause.details[0])
    # The gateway died or failed at a moment we cannot know: the frame may be out.
    return InDoubtDetail(cause="gateway_lost")
