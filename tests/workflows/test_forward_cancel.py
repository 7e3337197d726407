"""Numbers that no reservation of ours lives under can be cleared all the same."""

import pytest

from tests.workflows.world import CANCELLED, NOT_CONNECTED, SILENCE, UNKNOWN_ID, Answer, World
from workflows.messages import (
    CancelAnswer,
    CancelReservationResult,
    CancelStatus,
    ForwardCancelInput,
    NotSentDetail,
)


async def forward(world: World) -> CancelAnswer:
    answer: CancelAnswer = await world.client.execute_workflow(
        "ForwardCancel",
        ForwardCancelInput(charger_id=1, ocpp_identity="CP-1", reservation_id=99999),
        id=f"forward-cancel-{world.workflow_id}",
        task_queue=world.queue,
        result_type=CancelAnswer,
    )
    return answer


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        (CANCELLED, CancelStatus.ACCEPTED, None),
        (UNKNOWN_ID, CancelStatus.REJECTED, "UnknownReservation"),
        (CancelReservationResult(error="NotImplemented"), CancelStatus.REJECTED, "OcppError:NotImplemented"),
        (SILENCE, CancelStatus.REJECTED, "NoResponse"),
        (NOT_CONNECTED, CancelStatus.REJECTED, "ChargerOffline"),
        (NotSentDetail(cause="live"), CancelStatus.REJECTED, "ReservationStarted"),
    ],
)
async def test_the_chargers_word_is_the_answer(
    world: World, said: Answer, status: CancelStatus, reason: str | None
) -> None:
    world.charger.cancel_answers.append(said)
    answer = await forward(world)
    assert (answer.status, answer.reason) == (status, reason)


async def test_a_charger_that_is_away_is_not_waited_for(world: World) -> None:
    world.charger.route = None
    answer = await forward(world)
    assert (answer.status, answer.reason) == (CancelStatus.REJECTED, "ChargerOffline")
    assert world.charger.frames == []
