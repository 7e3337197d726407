"""Other content under the same number, and many callers at once."""

import asyncio
from datetime import timedelta

import pytest

from tests.workflows.world import (
    ACCEPTED,
    CANCELLED,
    NOT_CONNECTED,
    OCCUPIED,
    SILENCE,
    UNKNOWN_ID,
    World,
)
from workflows.messages import (
    CancelStatus,
    PortStatusChanged,
    ReservationState,
    ReserveNowResult,
    ReserveStatus,
    Route,
    TransactionStarted,
)


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


async def test_going_back_to_what_is_in_force_is_answered_at_once(world: World) -> None:
    await world.reserve(world.terms(hours=1))
    world.go_offline()
    assert (await world.reserve(world.terms(hours=5))).status == "Pending"
    back = await world.reserve(world.terms(hours=1), hold_while_offline=True)
    assert (back.status, back.holds) == (ReserveStatus.ACCEPTED, world.terms(hours=1))


async def test_a_change_is_asked_again_after_a_cancel_in_doubt_that_turns_out_done(world: World) -> None:
    await world.reserve(world.terms(hours=1))
    world.charger.reserve_answers.append(OCCUPIED)
    world.charger.cancel_answers.extend([SILENCE, UNKNOWN_ID])
    await world.reserve(world.terms(hours=5), wait=timedelta(seconds=1))
    await world.skip(seconds=10)
    await world.until(lambda s: s.state == ReservationState.ACTIVE)
    assert world.charger.holds == world.terms(hours=5)


async def test_a_change_refused_without_a_frame_leaves_the_reservation_alone(world: World) -> None:
    await world.reserve(world.terms())
    world.charger.reserve_answers.append(
        ReserveNowResult(status=ReserveStatus.REJECTED, reason="InvalidRequest", sent=False)
    )
    answer = await world.reserve(world.terms(tag="A-TOKEN-TOO-LONG-FOR-OCPP-1.6"))
    assert (answer.status, answer.reason) == (ReserveStatus.REJECTED, "InvalidRequest")
    assert (answer.state, answer.holds) == (ReservationState.ACTIVE, world.terms())
    assert world.charger.frames == ["ReserveNow"]


async def test_the_policy_reject_refuses_a_change_and_keeps_the_reservation(world: World) -> None:
    await world.reserve(world.terms(port=1))
    world.go_offline()
    answer = await world.reserve(world.terms(port=2), offline_policy="reject")
    assert (answer.status, answer.reason) == (ReserveStatus.REJECTED, "ChargerOffline")
    assert (answer.state, answer.holds) == (ReservationState.ACTIVE, world.terms(port=1))
    assert (await world.snapshot()).terms == world.terms(port=1)


async def test_a_refused_extension_of_an_expired_reservation_is_an_expiry(world: World) -> None:
    await world.reserve(world.terms(hours=1))
    world.go_offline()
    await world.reserve(world.terms(hours=5))
    await world.skip(hours=1, minutes=10)
    world.charger.reserve_answers.append(OCCUPIED)
    world.charger.cancel_answers.append(UNKNOWN_ID)
    await world.come_online()
    ended = await world.handle.result()
    assert (ended.state, ended.evidence) == (ReservationState.EXPIRED, "timer")
    assert world.charger.frames == ["ReserveNow", "ReserveNow", "CancelReservation"]


async def test_a_refused_move_is_told_as_the_charger_said_it_though_the_former_terms_ran_out(
    world: World,
) -> None:
    await world.reserve(world.terms(hours=1, port=1))
    world.go_offline()
    changing = asyncio.create_task(
        world.reserve(world.terms(hours=5, port=2), wait=timedelta(hours=9), hold_while_offline=True)
    )
    await world.until(lambda s: s.waiting_since is not None)
    await world.skip(hours=1, minutes=10)
    world.charger.reserve_answers.append(OCCUPIED)
    await world.come_online()
    answer = await changing
    assert (answer.status, answer.state) == (ReserveStatus.OCCUPIED, ReservationState.EXPIRED)


async def test_a_reserve_while_a_broken_port_is_given_up_starts_anew(world: World) -> None:
    await world.reserve(world.terms(hours=1))
    world.charger.status = "Faulted"
    await world.tell("port_status", PortStatusChanged(at=await world.now(), port_number=1, status="Faulted"))
    world.go_offline()
    await world.skip(seconds=50)
    world.charger.route = Route(queue=world.gateway_queue, epoch=1)
    await world.skip(seconds=20)
    await world.until(lambda s: s.waiting_since is not None or world.charger.cancels_asked > 0)
    asking = asyncio.create_task(world.reserve(world.terms(hours=2), hold_while_offline=True))
    await world.until_commands(1)
    await world.come_online()
    assert (await asking).state == ReservationState.ACTIVE
    assert world.charger.frames == ["ReserveNow", "CancelReservation", "ReserveNow"]
    events = [entry.event for entry in (await world.snapshot()).timeline]
    assert events.index("removed") < events.index("requested", 1)


async def test_while_a_change_is_in_doubt_the_former_token_may_use_the_reservation(world: World) -> None:
    await world.reserve(world.terms(tag="FORMER"))
    world.charger.reserve_answers.append(SILENCE)
    await world.reserve(world.terms(tag="LATTER"), wait=timedelta(seconds=1))
    await world.tell(
        "transaction_started",
        TransactionStarted(at=await world.now(), transaction_id="17", port_number=1, id_tag="FORMER"),
    )
    assert (await world.snapshot()).state == ReservationState.USED


async def test_a_move_that_waits_for_the_charger_listens_at_the_port_it_still_holds(world: World) -> None:
    await world.reserve(world.terms(port=1))
    world.go_offline()
    await world.reserve(world.terms(port=2))
    await world.until(lambda s: s.waiting_since is not None)
    assert {terms.port_number for terms in world.charger.listened_for} == {1}
    await world.come_online()
    await world.until(lambda s: world.charger.holds == world.terms(port=2))


async def test_a_move_cut_off_after_its_cancel_is_no_longer_active(world: World) -> None:
    await world.reserve(world.terms(port=1))
    world.charger.gate.clear()
    changing = asyncio.create_task(world.reserve(world.terms(port=2)))
    await world.until_cancel_asked()
    world.charger.reserve_answers.append(NOT_CONNECTED)
    world.charger.route = None
    world.charger.gate.set()
    answer = await changing
    assert (answer.status, answer.state) == ("Pending", ReservationState.SENDING)
    await world.come_online()
    await world.until(lambda s: s.state == ReservationState.ACTIVE)
