"""What the model test found: each a story in a sentence, told again in the fewest words."""

from datetime import timedelta

from tests.core.situations import (
    NOW,
    Reserving,
)
from workflows.messages import (
    InDoubtDetail,
    TransactionStarted,
)
from workflows.reservation.steps import (
    SendReserveNow,
    WaitForCharger,
)

NOT_BOOTED = "SecurityError"


def test_the_wait_for_a_charger_that_died_of_a_frame_outlasts_the_spacing_of_attempts() -> None:
    """The spacing was over: the wait ended at once, and was begun again at once, for ever."""
    reserving = Reserving()
    reserving.reserve()
    reserving.answer(InDoubtDetail(cause="socket_closed", after=timedelta(seconds=20)))
    reserving.skip(seconds=6)
    reserving.look(route=None)
    step = reserving.step
    assert isinstance(step, WaitForCharger)
    assert step.until is not None
    assert step.until > reserving.now


def _start(**details: object) -> TransactionStarted:
    return TransactionStarted.model_validate({"at": NOW, "transaction_id": "17", "port_number": 1} | details)


def _event_id(reserving: Reserving) -> str:
    reserving.decide()
    step = reserving.step
    assert isinstance(step, SendReserveNow), f"due is {step}"
    return step.argument.event_id
