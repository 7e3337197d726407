"""What webhooks are told of a reservation: each event once, under an id that follows from what happened."""

import asyncio
from datetime import timedelta

from tests.workflows.test_use import charge
from tests.workflows.world import OCCUPIED, SILENCE, UNKNOWN_ID, World
from workflows.messages import CancelStatus, ChargerBooted, ReservationState, ReserveStatus
from workflows.webhook_events import EventType, active_event_id, reservation_event_id


async def first_run_id(world: World) -> str:
    run_id = (await world.handle.describe()).raw_description.workflow_execution_info.first_run_id
    return str(run_id)


async def test_a_reservation_that_is_cancelled_tells_of_its_beginning_and_its_end(world: World) -> None:
    await world.reserve()
    await world.cancel()
    await world.handle.result()
    active, cancelled = world.charger.announced
    assert world.charger.events == ["reservation.active", "reservation.cancelled"]
    assert active.event_id == active_event_id(await first_run_id(world), 1, 1, world.terms())
    assert cancelled.event_id == reservation_event_id(
        await first_run_id(world), EventType.RESERVATION_CANCELLED, 1
    )
    assert (active.charger_id, active.reservation_id, active.port_id) == (1, 7, 11)
    assert (active.state, active.status) == (ReservationState.ACTIVE, ReserveStatus.ACCEPTED)
    assert active.expires_at == world.terms().expires_at
    assert (cancelled.state, cancelled.evidence) == ("cancelled", "CancelReservation Accepted")
    assert cancelled.expires_at == active.expires_at
    assert "RFID" not in active.body() + cancelled.body()


async def test_neither_the_beginning_nor_the_end_has_a_step_of_its_own_for_it(world: World) -> None:
    await world.reserve()
    await world.cancel()
    await world.handle.result()
    assert world.charger.events == ["reservation.active", "reservation.cancelled"]
    history = await world.handle.fetch_history()
    activities = [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert activities == ["ReserveNow", "CancelReservation", "Unsubscribe"], "and no Announce"


async def test_an_end_that_was_told_is_not_revoked_by_a_driver_who_comes_meanwhile(world: World) -> None:
    await world.reserve()
    world.charger.memory_gate.clear()
    cancelling = asyncio.create_task(world.cancel())
    await world.charger.telling.wait()
    await charge(world, id_tag="RFID-1")
    world.charger.memory_gate.set()
    assert (await cancelling).status == CancelStatus.ACCEPTED
    assert (await world.handle.result()).state is ReservationState.CANCELLED
    assert set(world.charger.events) == {"reservation.active", "reservation.cancelled"}
    assert len({one.event_id for one in world.charger.announced}) == 2


async def test_a_refusal_is_told(world: World) -> None:
    world.charger.reserve_answers.append(OCCUPIED)
    await world.reserve()
    await world.handle.result()
    (rejected,) = world.charger.announced
    assert (rejected.type, rejected.status) == ("reservation.rejected", ReserveStatus.OCCUPIED)
    assert rejected.port_id == 11


async def test_an_end_that_never_reached_the_charger_is_told(world: World) -> None:
    world.charger.route = None
    await world.reserve()
    await world.cancel()
    await world.handle.result()
    assert world.charger.events == ["reservation.cancelled"]


async def test_each_violation_is_told_at_once_and_has_an_id_of_its_own(world: World) -> None:
    await world.reserve()
    world.charger.announced.clear()
    for transaction_id in ("17", "18"):
        await charge(world, transaction_id, id_tag="STRANGER")
        await world.until(lambda snapshot: snapshot.violations == len(world.charger.announced))
    await world.until(lambda snapshot: snapshot.violations == 2)
    assert world.charger.events == ["reservation.violated"] * 2
    first, second = world.charger.announced
    assert first.event_id != second.event_id
    assert (first.state, first.transaction_id, second.transaction_id) == ("active", "17", "18")
    assert "foreign token" in (first.evidence or "")


async def test_an_expiry_is_told_at_once_and_a_late_use_after_it(world: World) -> None:
    await world.reserve()
    world.go_offline()
    await world.skip(hours=1, minutes=1)
    await world.until(lambda snapshot: snapshot.state is ReservationState.EXPIRED)
    assert world.charger.events[1:] == ["reservation.expired"], "the run goes on for a day"
    await world.come_online()
    began = world.terms().expires_at - timedelta(minutes=5)
    await charge(world, reservation_id=7, started_at=began)
    assert (await world.handle.result()).state is ReservationState.USED
    assert world.charger.events[1:] == ["reservation.expired", "reservation.used"]


async def test_a_number_that_is_used_again_counts_on(world: World) -> None:
    await world.reserve()
    world.charger.cancel_answers.append(UNKNOWN_ID)
    assert (await world.cancel()).status is CancelStatus.REJECTED
    assert (await world.reserve(world.terms(hours=2))).status is ReserveStatus.ACCEPTED
    await world.cancel()
    await world.handle.result()
    events = world.charger.announced
    assert world.charger.events == ["reservation.active", "reservation.active", "reservation.cancelled"]
    assert len({event.event_id for event in events}) == 3


async def test_a_failing_database_holds_up_neither_the_answer_nor_a_cancel_and_the_event_is_told_later(
    world: World,
) -> None:
    world.charger.announcing_fails = True
    assert (await world.reserve()).status is ReserveStatus.ACCEPTED
    assert world.charger.announced == []
    world.charger.announcing_fails = False
    await world.skip(minutes=1)
    assert world.charger.events == ["reservation.active"]
    await world.cancel()
    await world.handle.result()
    assert world.charger.events == ["reservation.active", "reservation.cancelled"]


async def test_a_lost_answer_and_the_one_that_comes_at_last_tell_of_one_beginning(world: World) -> None:
    await world.reserve()
    (request,) = world.charger.reserved
    world.charger.reserve_answers.append(SILENCE)
    world.charger.status = "Available"
    await world.tell("charger_booted", ChargerBooted(at=await world.now()))
    await world.skip(minutes=2)
    await world.until(lambda snapshot: snapshot.state is ReservationState.ACTIVE)
    ids = [one.event_id for one in world.charger.reserved]
    assert ids[:2] == [request.event_id, ""], "it was active when it was asked again"
    assert ids[2] not in ("", request.event_id), "unknown in between: this is another beginning"
    assert set(ids[2:]) == {ids[2]}
