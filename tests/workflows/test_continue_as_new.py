"""Reservations whose history grows long go on in a new run, and nothing is lost on the way."""

import asyncio
from datetime import timedelta

from temporalio.client import WorkflowExecutionStatus

from tests.workflows.world import SILENCE, World
from workflows.messages import CancelStatus, ReservationState, ReserveStatus, Terms, TransactionStarted

SECOND = timedelta(seconds=1)


async def run_ids(world: World) -> tuple[str, str]:
    """The ids of the first run and of the present one."""
    info = (await world.handle.describe()).raw_description.workflow_execution_info
    return info.first_run_id, info.execution.run_id


async def skip_until_continued(world: World) -> None:
    """Let the doubt go on until the reservation lives in a new run."""
    for _ in range(48):
        first, present = await run_ids(world)
        if present != first:
            return
        await world.skip(hours=1)
    raise AssertionError("it never continued as new")


async def reserve_in_doubt(world: World) -> Terms:
    """Reserve for four days at a charger that never answers."""
    world.charger.reserve_answers.extend([SILENCE] * 300)
    terms = world.terms(hours=96)
    await world.reserve(terms, wait=SECOND)
    return terms


async def test_a_reservation_in_doubt_for_days_takes_its_story_along(world: World) -> None:
    terms = await reserve_in_doubt(world)
    first, _ = await run_ids(world)
    await skip_until_continued(world)

    snapshot = await world.snapshot()
    assert (snapshot.state, snapshot.terms) == (ReservationState.UNKNOWN, terms)
    assert snapshot.timeline[0].event == "requested"
    told = [entry.at for entry in snapshot.timeline]
    assert told == sorted(told)
    lost = [entry for entry in snapshot.timeline if entry.event == "answer lost"]
    assert len(lost) == len(world.charger.reserved)
    assert [line.partition("Z ")[2] for line in await world.shown_details()] == [
        f"{entry.event} {entry.detail}".rstrip() for entry in snapshot.timeline[-20:]
    ]
    assert set(world.charger.listeners) == {first}

    world.charger.reserve_answers.clear()
    await world.skip(hours=1)
    assert (await world.snapshot()).state == ReservationState.ACTIVE
    ended = await world.end()
    assert ended.state == ReservationState.EXPIRED
    assert ended.ended_at is not None
    assert timedelta(0) < ended.ended_at - terms.expires_at < timedelta(minutes=1)
    assert not world.charger.listeners


async def test_events_reach_the_new_run_under_the_name_of_the_first(world: World) -> None:
    await reserve_in_doubt(world)
    first, _ = await run_ids(world)
    stranger = TransactionStarted(
        at=await world.now(),
        first_run_id=first,
        event_id=5,
        transaction_id="1",
        port_number=1,
        id_tag="STRANGER",
    )
    await world.tell("transaction_started", stranger)
    await skip_until_continued(world)
    _, present = await run_ids(world)

    await world.tell("transaction_started", stranger)
    used = TransactionStarted(
        at=await world.now(),
        first_run_id=present,
        event_id=6,
        transaction_id="2",
        port_number=1,
        id_tag="RFID-1",
    )
    await world.tell("transaction_started", used)
    snapshot = await world.snapshot()
    assert (snapshot.state, snapshot.violations) == (ReservationState.UNKNOWN, 1)

    await world.tell("transaction_started", used.model_copy(update={"first_run_id": first}))
    used_up = await world.snapshot()
    assert (used_up.state, used_up.transaction_id) == (ReservationState.USED, "2")


async def test_a_cancel_in_doubt_goes_on_and_a_reserve_waits_behind_it(world: World) -> None:
    await world.reserve(world.terms(hours=96))
    world.charger.cancel_answers.extend([SILENCE] * 300)
    assert (await world.cancel(wait=SECOND)).status == "Pending"
    await skip_until_continued(world)

    anew = asyncio.create_task(world.reserve(world.terms(hours=90), wait=timedelta(hours=2)))
    await world.until_commands(1)
    world.charger.cancel_answers.clear()
    await world.skip(hours=1)
    assert (await anew).status == ReserveStatus.ACCEPTED
    assert world.charger.frames[-2:] == ["CancelReservation", "ReserveNow"]
    events = [entry.event for entry in (await world.snapshot()).timeline]
    assert events.index("cancelled") < events.index("requested", 1)
    assert (await world.cancel()).status == CancelStatus.ACCEPTED


async def test_a_charger_that_flaps_for_days_does_not_fill_one_history(world: World) -> None:
    world.go_offline()
    await world.reserve(world.terms(hours=96), wait=SECOND)
    for _ in range(60):
        await world.come_online()
        world.go_offline()
        await world.until(lambda s: s.waiting_since is not None)
    first, present = await run_ids(world)
    assert first != present
    assert (await world.handle.describe()).status == WorkflowExecutionStatus.RUNNING
    await world.come_online()
    await world.until(lambda s: s.state == ReservationState.ACTIVE)
    assert world.charger.frames == ["ReserveNow"]
