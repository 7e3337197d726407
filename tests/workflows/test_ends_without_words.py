"""Chargers that say nothing, too little, or the wrong thing."""

import asyncio
from datetime import timedelta

import pytest

from tests.workflows.test_use import charge
from tests.workflows.world import CANCELLED, OCCUPIED, SILENCE, UNKNOWN_ID, World
from workflows.messages import (
    CancelReservationResult,
    CancelStatus,
    ChargerBooted,
    ChargerConnected,
    PortStatusChanged,
    ReservationEnded,
    ReservationState,
    Route,
    TransactionEnded,
)


async def show(world: World, status: str) -> None:
    world.charger.status = status
    await world.tell("port_status", PortStatusChanged(at=await world.now(), port_number=1, status=status))


async def test_available_on_1_6_is_verified_by_the_same_reserve_now_after_the_settle_time(
    world: World,
) -> None:
    await world.reserve()
    await show(world, "Reserved")
    await show(world, "Available")
    await world.skip(seconds=50)
    assert world.charger.frames == ["ReserveNow"]
    await world.skip(seconds=20)
    snapshot = await world.until(lambda s: len(world.charger.frames) == 2)
    assert snapshot.state == ReservationState.ACTIVE


async def test_a_reservation_the_charger_lost_and_cannot_give_again_is_removed(world: World) -> None:
    await world.reserve()
    await show(world, "Available")
    world.charger.reserve_answers.append(OCCUPIED)
    world.charger.cancel_answers.append(UNKNOWN_ID)
    ended = await world.end()
    assert (ended.state, ended.reason) == (ReservationState.REMOVED, "LostByCharger")


async def test_reserved_again_within_the_settle_time_needs_no_frame(world: World) -> None:
    await world.reserve()
    await show(world, "Available")
    await world.skip(seconds=30)
    await show(world, "Reserved")
    await world.skip(minutes=10)
    assert world.charger.frames == ["ReserveNow"]


async def test_a_driver_who_badges_in_is_not_reserved_over(world: World) -> None:
    await world.reserve()
    await show(world, "Available")
    await world.skip(seconds=40)
    await charge(world, id_tag="RFID-1")
    assert (await world.handle.result()).state == ReservationState.USED
    assert world.charger.frames == ["ReserveNow"]


async def test_available_on_2_0_1_means_the_token_was_presented(world: World) -> None:
    world.charger.protocol = "ocpp2.0.1"
    await world.reserve()
    await show(world, "Reserved")
    await show(world, "Available")
    await world.skip(seconds=110)
    assert (await world.snapshot()).state == ReservationState.ACTIVE
    ended = await world.end()
    assert (ended.state, ended.reason) == (ReservationState.REMOVED, "ConsumedWithoutTransaction")
    assert world.charger.frames == ["ReserveNow"]


@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
async def test_a_charger_that_forgets_on_reboot_is_reserved_again(world: World, protocol: str) -> None:
    world.charger.protocol = protocol
    await world.reserve()
    await world.tell("charger_booted", ChargerBooted(at=await world.now()))
    await world.skip(seconds=70)
    await world.until(lambda s: len(world.charger.frames) == 2)
    assert (await world.snapshot()).state == ReservationState.ACTIVE


async def test_a_charger_that_remembers_after_reboot_is_left_alone(world: World) -> None:
    await world.reserve()
    await world.tell("charger_booted", ChargerBooted(at=await world.now()))
    await show(world, "Reserved")
    await world.skip(minutes=10)
    assert world.charger.frames == ["ReserveNow"]


@pytest.mark.parametrize("status", ["Faulted", "Unavailable"])
async def test_a_port_out_of_order_is_given_up_after_the_settle_time(world: World, status: str) -> None:
    await world.reserve()
    await show(world, status)
    ended = await world.end()
    assert (ended.state, ended.reason) == (ReservationState.REMOVED, f"Port{status}")
    assert world.charger.frames == ["ReserveNow", "CancelReservation"]


async def test_a_port_that_faults_and_comes_back_is_verified(world: World) -> None:
    await world.reserve()
    await show(world, "Faulted")
    await world.skip(seconds=30)
    await show(world, "Reserved")
    await world.skip(seconds=70)
    await world.until(lambda s: len(world.charger.frames) == 2)
    assert (await world.snapshot()).state == ReservationState.ACTIVE


async def test_removed_by_the_charger_comes_first_if_it_comes(world: World) -> None:
    await world.reserve()
    await show(world, "Faulted")
    await world.tell(
        "reservation_ended", ReservationEnded(at=await world.now(), reservation_id=7, status="Removed")
    )
    ended = await world.handle.result()
    assert (ended.state, ended.reason) == (ReservationState.REMOVED, "RemovedByCharger")
    assert world.charger.frames == ["ReserveNow"]


async def test_expired_by_the_charger_near_the_time_is_believed(world: World) -> None:
    await world.reserve(world.terms(hours=1))
    await world.skip(minutes=59, seconds=50)
    await world.tell(
        "reservation_ended", ReservationEnded(at=await world.now(), reservation_id=7, status="Expired")
    )
    ended = await world.handle.result()
    assert (ended.state, ended.evidence) == (ReservationState.EXPIRED, "ReservationStatusUpdate Expired")


async def test_expired_long_before_the_time_is_asked_again(world: World) -> None:
    await world.reserve(world.terms(hours=8))
    await world.tell(
        "reservation_ended", ReservationEnded(at=await world.now(), reservation_id=7, status="Expired")
    )
    await world.skip(seconds=70)
    await world.until(lambda s: len(world.charger.frames) == 2)
    assert (await world.snapshot()).state == ReservationState.ACTIVE


async def test_a_port_still_reserved_after_expiry_is_tidied_up(world: World) -> None:
    await world.reserve(world.terms(hours=1))
    await show(world, "Reserved")
    world.charger.cancel_answers.append(CANCELLED)
    ended = await world.end()
    assert ended.state == ReservationState.EXPIRED
    assert world.charger.frames == ["ReserveNow", "CancelReservation"]
    assert not world.charger.listeners


async def test_a_charge_made_offline_before_expiry_is_a_use_when_it_is_reported(world: World) -> None:
    await world.reserve(world.terms(hours=1))
    route, world.charger.route = world.charger.route, None
    await world.skip(hours=3)
    snapshot = await world.snapshot()
    assert snapshot.state == ReservationState.EXPIRED
    assert route is not None
    world.charger.route = route
    await world.tell("charger_connected", ChargerConnected(at=await world.now(), route=route))
    await charge(world, id_tag="RFID-1", started_at=world.opened_at + timedelta(minutes=40), offline=True)
    ended = await world.handle.result()
    assert ended.state == ReservationState.USED
    assert world.charger.frames == ["ReserveNow"]


async def test_a_charge_that_began_after_expiry_is_no_use(world: World) -> None:
    await world.reserve(world.terms(hours=1))
    world.charger.route = None
    await world.skip(hours=3)
    await charge(world, id_tag="RFID-1", started_at=world.opened_at + timedelta(hours=2), offline=True)
    assert (await world.snapshot()).state == ReservationState.EXPIRED


async def test_a_charger_that_stays_away_is_waited_for_one_day(world: World) -> None:
    await world.reserve(world.terms(hours=1))
    world.charger.route = None
    ended = await world.end()
    assert ended.state == ReservationState.EXPIRED
    assert timedelta(hours=25) < await world.now() - world.opened_at < timedelta(hours=25, minutes=5)


async def test_the_wait_after_expiry_ends_when_the_charger_was_ready_for_the_settle_time(
    world: World,
) -> None:
    await world.reserve(world.terms(hours=1))
    world.charger.route = None
    await world.skip(hours=3)
    world.charger.route = Route(queue=world.gateway_queue, epoch=2)
    world.charger.status = "Available"
    await world.tell("charger_connected", ChargerConnected(at=await world.now(), route=world.charger.route))
    assert (await world.end()).state == ReservationState.EXPIRED
    assert await world.now() - world.opened_at < timedelta(hours=3, minutes=5)
    assert world.charger.frames == ["ReserveNow"]


async def test_a_new_reserve_ends_the_wait_after_expiry(world: World) -> None:
    await world.reserve(world.terms(hours=1))
    route, world.charger.route = world.charger.route, None
    await world.skip(hours=3)
    world.charger.route = route
    again = await world.reserve(world.terms(hours=9))
    assert again.state == ReservationState.ACTIVE
    assert world.charger.frames == ["ReserveNow", "ReserveNow"]


async def test_a_new_reserve_during_the_wait_after_expiry_waits_for_the_charger(world: World) -> None:
    await world.reserve(world.terms(hours=1))
    world.go_offline()
    await world.skip(hours=3)
    again = await world.reserve(world.terms(hours=9))
    assert (again.status, again.state, again.reason) == (
        "Pending",
        ReservationState.SENDING,
        "ChargerOffline",
    )
    await world.come_online()
    await world.until(lambda s: s.state == ReservationState.ACTIVE)


async def test_an_undelivered_cancel_is_moot_at_expiry(world: World) -> None:
    await world.reserve(world.terms(hours=1))
    world.go_offline()
    assert (await world.cancel()).status == "Pending"
    ended = await world.end()
    assert ended.state == ReservationState.EXPIRED
    assert world.charger.frames == ["ReserveNow"]


@pytest.mark.parametrize("status", ["Available", "Faulted"])
async def test_a_status_that_overtakes_the_answer_to_a_cancel_does_not_hold_it_up(
    world: World, status: str
) -> None:
    await world.reserve()
    world.charger.gate.clear()
    cancelling = asyncio.create_task(world.cancel())
    await world.until_cancel_asked()
    await show(world, status)
    world.charger.gate.set()
    assert (await cancelling).status == CancelStatus.ACCEPTED
    assert (await world.handle.result()).state == ReservationState.CANCELLED


async def test_a_stranger_who_leaves_during_a_cancel_does_not_hold_it_up(world: World) -> None:
    await world.reserve()
    await charge(world, "99", id_tag="STRANGER")
    world.charger.gate.clear()
    cancelling = asyncio.create_task(world.cancel())
    await world.until_cancel_asked()
    await world.tell("transaction_ended", TransactionEnded(at=await world.now(), transaction_id="99"))
    world.charger.gate.set()
    assert (await cancelling).status == CancelStatus.ACCEPTED
    assert (await world.handle.result()).state == ReservationState.CANCELLED


async def test_a_charger_in_trouble_while_it_is_tidied_up_does_not_reopen_the_end(world: World) -> None:
    await world.reserve(world.terms(hours=1))
    await show(world, "Reserved")
    world.charger.cancel_answers.extend([CancelReservationResult(error="InternalError"), CANCELLED])
    ended = await world.end()
    assert ended.state == ReservationState.EXPIRED
    assert world.charger.frames == ["ReserveNow", "CancelReservation", "CancelReservation"]
    assert [entry.event for entry in ended.timeline].count("unknown") == 0


async def test_available_after_a_while_of_preparing_is_verified(world: World) -> None:
    await world.reserve()
    await show(world, "Available")
    await show(world, "Preparing")
    await world.skip(minutes=5)
    assert world.charger.frames == ["ReserveNow"]
    await show(world, "Available")
    await world.skip(seconds=70)
    await world.until(lambda s: len(world.charger.frames) == 2)


async def test_a_boot_explains_available_on_2_0_1(world: World) -> None:
    world.charger.protocol = "ocpp2.0.1"
    await world.reserve()
    await show(world, "Reserved")
    await show(world, "Available")
    await world.tell("charger_booted", ChargerBooted(at=await world.now()))
    await world.skip(minutes=5)
    await world.until(lambda s: len(world.charger.frames) == 2)
    assert (await world.snapshot()).state == ReservationState.ACTIVE


async def test_no_transaction_means_the_token_was_presented(world: World) -> None:
    await world.reserve()
    await world.tell(
        "reservation_ended",
        ReservationEnded(at=await world.now(), reservation_id=7, status="NoTransaction"),
    )
    ended = await world.handle.result()
    assert (ended.state, ended.reason) == (ReservationState.REMOVED, "ConsumedWithoutTransaction")


async def test_the_former_terms_may_expire_while_an_extension_waits(world: World) -> None:
    await world.reserve(world.terms(hours=1))
    world.go_offline()
    await world.reserve(world.terms(hours=5))
    await world.skip(hours=1)
    await world.tell(
        "reservation_ended", ReservationEnded(at=await world.now(), reservation_id=7, status="Expired")
    )
    await world.come_online()
    await world.until(lambda _: world.charger.holds == world.terms(hours=5))
    assert (await world.snapshot()).state == ReservationState.ACTIVE


async def test_a_shorter_expiry_that_never_reached_the_charger_is_tidied_up(world: World) -> None:
    await world.reserve(world.terms(hours=5))
    world.go_offline()
    await world.reserve(world.terms(hours=1))
    await world.skip(hours=2)
    assert (await world.snapshot()).state == ReservationState.EXPIRED
    await world.come_online()
    await world.end()
    assert world.charger.frames == ["ReserveNow", "CancelReservation"]


async def test_an_expiry_in_the_past_is_never_sent(world: World) -> None:
    world.charger.reserve_answers.extend([SILENCE, SILENCE])
    await world.reserve(world.terms(hours=20 / 3600), wait=timedelta(seconds=1))
    ended = await world.end()
    assert ended.state == ReservationState.EXPIRED
    assert world.charger.frames == ["ReserveNow", "ReserveNow", "CancelReservation"]


async def test_after_expiry_what_no_port_shows_is_cancelled(world: World) -> None:
    await world.reserve(world.terms(port=None, hours=1))
    world.charger.cancel_answers.append(CANCELLED)
    ended = await world.end()
    assert ended.state == ReservationState.EXPIRED
    assert world.charger.frames == ["ReserveNow", "CancelReservation"]
    assert not world.charger.listeners
