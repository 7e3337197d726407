"""Cancel a number that no reservation of ours lives under: an operator must be able to clear any id.

It looks once, sends at most one CancelReservation and ends with the charger's answer (OCA test TC_052).
"""

from temporalio import workflow

from workflows.charger_call import cancel_reservation, look_at_charger
from workflows.messages import (
    CancelAnswer,
    CancelReservationInput,
    CancelReservationResult,
    CancelStatus,
    ForwardCancelInput,
    InDoubtDetail,
    NotSentDetail,
    ReservationState,
)


@workflow.defn(name="ForwardCancel")
class ForwardCancelWorkflow:
    """One CancelReservation for a number without a live reservation; the result is the caller's answer."""

    @workflow.run
    async def run(self, start: ForwardCancelInput) -> CancelAnswer:
        """Forward the cancel to the charger, if it is there."""
        view = await look_at_charger(start.charger_id)
        if view.route is None:
            return _rejected("ChargerOffline")
        answer = await cancel_reservation(
            CancelReservationInput(
                charger_id=start.charger_id,
                reservation_id=start.reservation_id,
                epoch=view.route.epoch,
                call_timeout=start.policy.call_timeout,
                write_within=start.policy.write_within,
                unless_live=True,
            ),
            view.route,
            start.policy,
            f"{start.ocpp_identity}, reservation {start.reservation_id}, which is not ours",
        )
        match answer:
            case NotSentDetail(cause="live"):
                return _rejected("ReservationStarted")
            case NotSentDetail():
                return _rejected("ChargerOffline")
            case InDoubtDetail():
                return _rejected("NoResponse")
            case CancelReservationResult(status=CancelStatus.ACCEPTED):
                return CancelAnswer(status=CancelStatus.ACCEPTED, state=ReservationState.CANCELLED)
            case CancelReservationResult(error=None):
                return _rejected("UnknownReservation")
            case CancelReservationResult(error=error):
                return _rejected(f"OcppError:{error}")


def _rejected(reason: str) -> CancelAnswer:
    return CancelAnswer(status=CancelStatus.REJECTED, state=ReservationState.FAILED, reason=reason)
