"""Give a charger a new password: one command, and the charger's answer is the result.

The gateway that holds its socket makes the password up; it is in no message of Temporal's.
"""

from temporalio import workflow

from workflows.charger_call import change_password, look_at_charger
from workflows.messages import (
    PENDING,
    ChangePasswordInput,
    ChangePasswordResult,
    InDoubtDetail,
    NotSentDetail,
    PasswordAnswer,
    PasswordChange,
    PasswordStatus,
)


@workflow.defn(name="ChangePassword")
class ChangePasswordWorkflow:
    """One change of one charger's password; the result is the caller's answer."""

    @workflow.run
    async def run(self, start: PasswordChange) -> PasswordAnswer:
        """Have the charger's gateway change it, if the charger is there."""
        view = await look_at_charger(start.charger_id)
        if view.route is None:
            return _rejected("ChargerOffline")
        answer = await change_password(
            ChangePasswordInput(
                charger_id=start.charger_id,
                epoch=view.route.epoch,
                call_timeout=start.policy.call_timeout,
                write_within=start.policy.write_within,
            ),
            view.route,
            start.policy,
            f"{start.ocpp_identity}, new password",
        )
        match answer:
            case NotSentDetail():
                return _rejected("ChargerOffline")
            case InDoubtDetail():
                return PasswordAnswer(status=PENDING, reason="NoResponse")
            case ChangePasswordResult(status=PasswordStatus() as status, reason=reason):
                return PasswordAnswer(status=status, reason=reason)
            case ChangePasswordResult(reason=reason):
                return PasswordAnswer(status=PENDING, reason=reason)


def _rejected(reason: str) -> PasswordAnswer:
    return PasswordAnswer(status=PasswordStatus.REJECTED, reason=reason)
