"""A new password for a charger: one command, and the charger's word."""

import pytest

from tests.workflows.world import NOT_CONNECTED, SILENCE, SOCKET_DIED, Answer, World
from workflows.messages import (
    PENDING,
    ChangePasswordResult,
    PasswordAnswer,
    PasswordChange,
    PasswordStatus,
)


async def change(world: World) -> PasswordAnswer:
    answer: PasswordAnswer = await world.client.execute_workflow(
        "ChangePassword",
        PasswordChange(charger_id=1, ocpp_identity="CP-1"),
        id=f"charger-password-{world.workflow_id}",
        task_queue=world.queue,
        result_type=PasswordAnswer,
    )
    return answer


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        (ChangePasswordResult(status=PasswordStatus.ACCEPTED), "Accepted", None),
        (ChangePasswordResult(status=PasswordStatus.REBOOT_REQUIRED), "RebootRequired", None),
        (
            ChangePasswordResult(status=PasswordStatus.REJECTED, reason="NotSupported"),
            "Rejected",
            "NotSupported",
        ),
        (ChangePasswordResult(reason="InvalidResponse"), PENDING, "InvalidResponse"),
        (SILENCE, PENDING, "NoResponse"),
        (SOCKET_DIED, PENDING, "NoResponse"),
        (NOT_CONNECTED, "Rejected", "ChargerOffline"),
    ],
)
async def test_the_chargers_word_is_the_answer(
    world: World, said: Answer, status: str, reason: str | None
) -> None:
    world.charger.password_answer = said
    answer = await change(world)
    assert (answer.status, answer.reason) == (status, reason)
    assert world.charger.frames == ["ChangePassword"], "asked once, whatever became of it"


async def test_a_charger_that_is_away_is_not_waited_for(world: World) -> None:
    world.charger.route = None
    answer = await change(world)
    assert (answer.status, answer.reason) == ("Rejected", "ChargerOffline")
    assert world.charger.frames == []
