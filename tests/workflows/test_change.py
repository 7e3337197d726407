"""Other content under the same number, and many callers at once."""

import asyncio
from datetime import timedelta

import pytest

from tests.workflows.world import ACCEPTED, CANCELLED, OCCUPIED, UNKNOWN_ID, World
from workflows.messages import CancelStatus, ReservationState, ReserveStatus


async def test_a_new_expiry_on_the_same_port_replaces(world: World) -> None:
    await world.reserve(world.terms(hours=1))
    answer = await world.reserve(world.terms(hours=5))
    assert answer.status == ReserveStatus.ACCEPTED
    assert world.charger.frames == ["ReserveNow", "ReserveNow"]
    await world.skip(hours=3)
    ended = await world.end()
    assert ended.ended_at is not None
    assert ended.ended_at - world.opened_at > timedelta(hours=5)


async def test_another_port_is_cancelled_first(world: World) -> None:
    await world.reserve(world.terms(port=1))
    answer = await world.reserve(world.terms(port=2))
    assert answer.status == ReserveStatus.ACCEPTED
    assert world.charger.frames == ["ReserveNow", "CancelReservation", "ReserveNow"]
    assert world.charger.holds == world.terms(port=2)


async def test_after_a_refused_change_the_former_reservation_holds(world: World) -> None:
    before, after = world.terms(port=1), world.terms(port=2)
    await world.reserve(before)
    world.charger.reserve_answers.extend([OCCUPIED, ACCEPTED])
    answer = await world.reserve(after)
    assert (answer.status, answer.state) == (ReserveStatus.OCCUPIED, ReservationState.ACTIVE)
    assert answer.holds == before
    assert world.charger.holds == before
    assert (await world.snapshot()).terms == before


async def test_a_refused_change_that_cost_the_former_reservation_says_so(world: World) -> None:
    await world.reserve(world.terms(hours=1))
    world.charger.reserve_answers.extend([OCCUPIED, OCCUPIED])
    world.charger.cancel_answers.append(UNKNOWN_ID)
    answer = await world.reserve(world.terms(hours=5))
    assert (answer.status, answer.state, answer.holds) == (
        ReserveStatus.OCCUPIED,
        ReservationState.REMOVED,
        None,
    )
    assert (await world.handle.result()).reason == "ChangeRefused"


async def test_a_charger_without_replace_gets_the_change_all_the_same(world: World) -> None:
    await world.reserve(world.terms(hours=1))
    world.charger.reserve_answers.extend([OCCUPIED, ACCEPTED])
    world.charger.cancel_answers.append(CANCELLED)
    answer = await world.reserve(world.terms(hours=5))
    assert (answer.status, answer.holds) == (ReserveStatus.ACCEPTED, world.terms(hours=5))
    assert world.charger.frames == ["ReserveNow", "ReserveNow", "CancelReservation", "ReserveNow"]


async def test_a_reserve_overtaken_before_it_was_sent_is_superseded(world: World) -> None:
    world.charger.route = None
    first = asyncio.create_task(world.reserve(world.terms(hours=1), hold_while_offline=True))
    await world.until_started()
    second = await world.reserve(world.terms(hours=2))
    assert second.status == "Pending"
    overtaken = await first
    assert (overtaken.status, overtaken.reason) == (ReserveStatus.REJECTED, "Superseded")


async def test_a_reserve_behind_a_cancel_starts_anew(world: World) -> None:
    await world.reserve()
    world.charger.gate.clear()
    changing = asyncio.create_task(world.reserve(world.terms(hours=2)))
    await world.until_asked(2)
    cancelling = asyncio.create_task(world.cancel())
    await world.until_commands(1)
    anew = asyncio.create_task(world.reserve(world.terms(hours=3)))
    await world.until_commands(2)
    world.charger.gate.set()
    assert (await changing).status == ReserveStatus.ACCEPTED
    assert (await cancelling).status == CancelStatus.ACCEPTED
    assert (await anew).state == ReservationState.ACTIVE
    assert world.charger.frames == ["ReserveNow", "ReserveNow", "CancelReservation", "ReserveNow"]
    assert world.charger.holds == world.terms(hours=3)


@pytest.mark.parametrize("seed", range(3))
async def test_ten_callers_at_once_each_get_a_true_answer(world: World, seed: int) -> None:
    async def call(number: int) -> object:
        if (number + seed) % 3 == 0:
            return await world.cancel()
        return await world.reserve(world.terms(hours=1 + (number * seed) % 4))

    await world.reserve()
    answers = await asyncio.gather(*(call(number) for number in range(9)), return_exceptions=True)
    assert not [
        a for a in answers if isinstance(a, BaseException) and "already completed" not in str(a).lower()
    ]
    snapshot = await world.snapshot()
    assert snapshot.state in (ReservationState.ACTIVE, ReservationState.CANCELLED)
    assert (world.charger.holds == snapshot.terms) == (snapshot.state == ReservationState.ACTIVE)
