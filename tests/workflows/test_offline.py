"""Chargers that are away, and gateways that are gone."""

from datetime import timedelta
from itertools import pairwise

from tests.workflows.world import NOT_CONNECTED, World
from workflows.messages import ChargerConnected, ReservationState, ReserveStatus, Route


async def test_an_offline_charger_is_pending_at_once_and_served_hours_later(world: World) -> None:
    route, world.charger.route = world.charger.route, None
    answer = await world.reserve(world.terms(hours=8))
    assert (answer.status, answer.state, answer.reason) == (
        "Pending",
        ReservationState.SENDING,
        "ChargerOffline",
    )
    assert world.charger.frames == []

    await world.skip(hours=1)
    assert (await world.snapshot()).waiting_since is not None
    world.charger.route = route
    await world.skip(minutes=1)

    snapshot = await world.until(lambda s: s.state == ReservationState.ACTIVE)
    assert snapshot.waiting_since is None
    assert world.charger.waits > 50
    assert world.charger.frames == ["ReserveNow"]


async def test_a_charger_that_becomes_ready_is_served_at_once(world: World) -> None:
    route, world.charger.route = world.charger.route, None
    assert route is not None
    await world.reserve()
    await world.tell("charger_connected", ChargerConnected(at=await world.now(), route=route))
    await world.until(lambda s: s.state == ReservationState.ACTIVE)


async def test_a_charger_that_never_connects_is_never_sent_anything(world: World) -> None:
    world.charger.route = None
    await world.reserve(world.terms(hours=1))
    ended = await world.end()
    assert (ended.state, ended.reason) == (ReservationState.EXPIRED, "ChargerOffline")
    assert ended.ended_at is not None
    assert ended.ended_at - world.opened_at < timedelta(hours=1, seconds=5)
    assert world.charger.frames == []
    assert not world.charger.listeners


async def test_the_caller_may_hold_the_line_while_the_charger_is_offline(world: World) -> None:
    world.charger.route = None
    answer = await world.reserve(wait=timedelta(seconds=1), hold_while_offline=True)
    assert answer.status == "Pending"


async def test_the_policy_reject_turns_an_offline_charger_into_a_refusal(world: World) -> None:
    world.charger.route = None
    answer = await world.reserve(offline_policy="reject")
    assert (answer.status, answer.reason) == (ReserveStatus.REJECTED, "ChargerOffline")
    assert (await world.handle.result()).state == ReservationState.REJECTED


async def test_a_gateway_dead_at_schedule_time_is_routed_around(world: World) -> None:
    alive = world.charger.route
    assert alive is not None
    world.charger.route = Route(queue="gateway-gone", epoch=1)
    reserving = world.reserve()
    world.charger.route = alive.model_copy(update={"epoch": 2})
    answer = await reserving
    assert answer.status == ReserveStatus.ACCEPTED
    assert world.charger.frames == ["ReserveNow"]
    assert world.charger.reserved[0].epoch == 2


async def test_a_route_that_failed_is_tried_again_only_after_a_while(world: World) -> None:
    world.charger.reserve_answers.extend([NOT_CONNECTED, NOT_CONNECTED, NOT_CONNECTED])
    answer = await world.reserve(skipping=True)
    assert answer.status == ReserveStatus.ACCEPTED
    assert len(world.charger.reserved) == 4
    snapshot = await world.handle.result()
    sent_at = [entry.at for entry in snapshot.timeline if entry.event in ("not sent", "charger answered")]
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(sent_at)]
    assert len(gaps) == 3
    for gap, spacing in zip(gaps, [1, 2, 4], strict=True):
        assert spacing <= gap < spacing + 4  # the clock runs on while the machine is busy


async def test_a_route_that_fails_for_half_an_hour_is_still_tried(world: World) -> None:
    world.charger.reserve_answers.extend([NOT_CONNECTED] * 60)
    await world.reserve(world.terms(hours=8), wait=timedelta(seconds=1))
    for _ in range(10):  # a run that continues another takes all that is left of a skip with it
        await world.skip(minutes=10)
        if (await world.snapshot()).state == ReservationState.ACTIVE:
            break
    assert world.charger.frames == ["ReserveNow"]
