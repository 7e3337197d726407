"""Answers that never came: the truth is found out, and nothing is reserved twice."""

from datetime import timedelta
from itertools import pairwise

import pytest

from tests.workflows.world import (
    ACCEPTED,
    CANCELLED,
    OCCUPIED,
    SILENCE,
    SOCKET_DIED,
    UNKNOWN_ID,
    World,
)
from workflows.messages import (
    CancelReservationResult,
    CancelStatus,
    ChargerBooted,
    InDoubtDetail,
    ReservationState,
    ReserveNowResult,
    ReserveStatus,
)


async def in_doubt(world: World, *after: object) -> None:
    """Reserve, lose the answer, and let the charger say `after` when asked again."""
    world.charger.reserve_answers.extend([SILENCE, *after])  # type: ignore[list-item]  # a mixed script
    answer = await world.reserve(wait=timedelta(seconds=1))
    assert (answer.status, answer.state, answer.reason) == ("Pending", ReservationState.UNKNOWN, "NoResponse")


async def test_a_lost_answer_is_unknown_until_the_same_request_is_accepted(world: World) -> None:
    await in_doubt(world, ACCEPTED)
    await world.skip(seconds=10)
    await world.until(lambda s: s.state == ReservationState.ACTIVE)
    assert world.charger.frames == ["ReserveNow", "ReserveNow"]
    assert world.charger.reserved[0].terms == world.charger.reserved[1].terms


async def test_a_refusal_after_a_lost_answer_is_true_when_the_charger_knows_no_such_id(world: World) -> None:
    world.charger.cancel_answers.append(UNKNOWN_ID)
    await in_doubt(world, OCCUPIED)
    ended = await world.end()
    assert (ended.state, ended.status) == (ReservationState.REJECTED, ReserveStatus.OCCUPIED)
    assert world.charger.frames == ["ReserveNow", "ReserveNow", "CancelReservation"]


async def test_a_charger_without_replace_is_cancelled_and_asked_once_more(world: World) -> None:
    world.charger.cancel_answers.append(CANCELLED)
    await in_doubt(world, OCCUPIED, ACCEPTED)
    await world.skip(seconds=10)
    await world.until(lambda s: s.state == ReservationState.ACTIVE)
    assert world.charger.frames == ["ReserveNow", "ReserveNow", "CancelReservation", "ReserveNow"]


async def test_attempts_to_learn_the_truth_become_rare(world: World) -> None:
    world.charger.reserve_answers.extend([SILENCE] * 7)
    await world.reserve(world.terms(hours=8), wait=timedelta(seconds=1))
    await world.skip(hours=2)
    snapshot = await world.snapshot()
    lost_at = [entry.at for entry in snapshot.timeline if entry.event == "answer lost"]
    gaps = [(b - a).total_seconds() for a, b in pairwise(lost_at)]
    for gap, spacing in zip(gaps, [5, 30, 120, 600, 1800], strict=False):
        assert spacing <= gap < spacing + 4  # the clock runs on while the machine is busy
    assert len(gaps) >= 5


async def test_a_cancel_in_doubt_asks_only_to_cancel(world: World) -> None:
    await in_doubt(world)
    answer = await world.cancel()
    assert answer.status == CancelStatus.ACCEPTED
    assert world.charger.frames == ["ReserveNow", "CancelReservation"]
    assert (await world.handle.result()).state == ReservationState.CANCELLED


async def test_a_rejected_cancel_counts_as_done_when_the_first_one_was_in_doubt(world: World) -> None:
    await world.reserve()
    world.charger.cancel_answers.extend([SILENCE, UNKNOWN_ID])
    pending = await world.cancel(wait=timedelta(seconds=1))
    assert (pending.status, pending.state) == ("Pending", ReservationState.UNKNOWN)
    assert (await world.end()).state == ReservationState.CANCELLED


async def test_a_rejected_cancel_is_told_at_once_and_the_run_waits_for_a_transaction(world: World) -> None:
    await world.reserve()
    world.charger.cancel_answers.append(UNKNOWN_ID)
    answer = await world.cancel()
    assert (answer.status, answer.reason) == (CancelStatus.REJECTED, "UnknownReservation")
    ended = await world.end()
    assert (ended.state, ended.reason) == (ReservationState.REMOVED, "UnknownReservation")


async def test_a_charger_that_dies_of_reserve_now_is_not_crashed_for_ever(world: World) -> None:
    world.charger.reserve_answers.extend([SOCKET_DIED] * 9)
    await world.reserve(wait=timedelta(seconds=1))
    ended = await world.end()
    assert (ended.state, ended.reason) == (ReservationState.FAILED, "ChargerFailsOnCommand")
    assert len(world.charger.reserved) == 3


async def test_a_charger_that_dies_of_cancel_is_not_crashed_for_ever(world: World) -> None:
    await world.reserve()
    world.charger.cancel_answers.extend([SOCKET_DIED] * 9)
    answer = await world.cancel(wait=timedelta(seconds=1))
    assert answer.status == "Pending"
    ended = await world.end()
    assert (ended.state, ended.reason) == (ReservationState.FAILED, "ChargerFailsOnCommand")
    assert world.charger.frames == ["ReserveNow"] + ["CancelReservation"] * 3


async def test_a_gateway_that_dies_in_the_middle_of_a_call_leaves_a_doubt(world: World) -> None:
    world.charger.reserve_answers.append(InDoubtDetail(cause="gateway_lost"))
    await world.reserve(wait=timedelta(seconds=1))
    await world.skip(seconds=10)
    await world.until(lambda s: s.state == ReservationState.ACTIVE)


async def test_expiry_in_doubt_ends_with_a_cancel_when_the_charger_is_there(world: World) -> None:
    world.charger.reserve_answers.extend([SILENCE] * 30)
    await world.reserve(world.terms(hours=1), wait=timedelta(seconds=1))
    ended = await world.end()
    assert ended.state == ReservationState.EXPIRED
    assert world.charger.frames[-1] == "CancelReservation"
    assert ended.ended_at is not None
    assert ended.ended_at - world.opened_at < timedelta(hours=1, minutes=1)


@pytest.mark.parametrize("error", ["InternalError", "GenericError"])
async def test_trouble_in_the_charger_on_cancel_is_a_doubt(world: World, error: str) -> None:
    await world.reserve()
    world.charger.cancel_answers.extend([CancelReservationResult(error=error), CANCELLED])
    pending = await world.cancel(wait=timedelta(seconds=1))
    assert pending.status == "Pending"
    assert (await world.end()).state == ReservationState.CANCELLED
    assert world.charger.frames == ["ReserveNow", "CancelReservation", "CancelReservation"]


async def test_a_charger_that_is_not_booted_is_asked_again_after_its_boot(world: World) -> None:
    world.charger.reserve_answers.append(ReserveNowResult(error="SecurityError"))
    answer = await world.reserve(world.terms(hours=8))
    assert (answer.status, answer.reason) == ("Pending", "ChargerNotReady")
    await world.tell("charger_booted", ChargerBooted(at=await world.now()))
    await world.until(lambda s: s.state == ReservationState.ACTIVE)
    assert world.charger.frames == ["ReserveNow", "ReserveNow"]
