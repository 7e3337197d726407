"""The life of a reservation on a charger that behaves."""

from datetime import timedelta

from temporalio.client import WorkflowExecutionStatus

from tests.workflows.world import World
from workflows.messages import CancelStatus, ReservationState, ReserveStatus
from workflows.names import RESERVATION_STATE


async def test_an_accepted_reservation_sleeps_three_days_and_expires(world: World) -> None:
    answer = await world.reserve(world.terms(hours=72))
    assert answer.status == ReserveStatus.ACCEPTED
    assert answer.state == ReservationState.ACTIVE

    ended = await world.end()

    assert ended.state == ReservationState.EXPIRED
    assert ended.evidence == "timer"
    assert ended.ended_at is not None
    late = ended.ended_at - world.opened_at - timedelta(hours=72)
    assert timedelta(seconds=30) <= late < timedelta(seconds=35)
    assert world.charger.frames == ["ReserveNow"]
    assert not world.charger.listeners


async def test_a_cancel_by_update_is_answered_with_the_chargers_word(world: World) -> None:
    await world.reserve()
    await world.skip(minutes=30)

    answer = await world.cancel()

    assert answer.status == CancelStatus.ACCEPTED
    ended = await world.handle.result()
    assert ended.state == ReservationState.CANCELLED
    assert world.charger.frames == ["ReserveNow", "CancelReservation"]


async def test_the_state_is_a_search_attribute(world: World) -> None:
    await world.reserve()
    description = await world.handle.describe()
    assert description.typed_search_attributes[RESERVATION_STATE] == "active"
    assert description.status == WorkflowExecutionStatus.RUNNING
