"""How workflows reach a charger: a look at it, and one frame by the gateway that holds its socket."""

from datetime import timedelta
from typing import TypeVar

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    TimeoutError,
    TimeoutType,
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

# While the database is away: its return is noticed within seconds.
STATEMENT_WITHIN = timedelta(seconds=5)
DATABASE_AWAY = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=10)
)


async def look_at_charger(charger_id: int, port_number: int | None = None) -> PortView:
    """What the database knows of the charger and of that port; asked until it answers."""
    view: PortView = await workflow.execute_activity(
        "LookAtCharger",
        LookInput(charger_id=charger_id, port_number=port_number),
        result_type=PortView,
        start_to_close_timeout=STATEMENT_WITHIN,
        retry_policy=DATABASE_AWAY,
    )
    return view


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
