"""Many calls, late events, a database that is away: a reservation goes on, and its history stays clean."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from time import monotonic

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowExecutionStatus, WorkflowHistory

from tests.patience import at_most
from tests.workflows.record_histories import HISTORIES, STORIES
from tests.workflows.test_continue_as_new import run_ids
from tests.workflows.test_use import charge
from tests.workflows.world import QUICK, World
from workflows.messages import (
    CancelStatus,
    PortStatusChanged,
    ReservationStart,
    ReservationState,
    ReserveRequest,
    ReserveStatus,
)
from workflows.reservation.workflow import ReservationWorkflow

SECOND = timedelta(seconds=1)


def failed_tasks(history: WorkflowHistory) -> list[str]:
    """The causes of the workflow tasks that failed: red lines in the Temporal UI."""
    return [
        str(event.workflow_task_failed_event_attributes.cause)
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    ]


async def test_a_reservation_that_is_asked_for_again_and_again_goes_on_in_a_new_run(world: World) -> None:
    await world.reserve()
    first, present = await run_ids(world)
    for _ in range(40):
        answers = await asyncio.gather(*(world.reserve() for _ in range(5)))
        assert {answer.status for answer in answers} == {ReserveStatus.ACCEPTED}
        _, present = await run_ids(world)
        if present != first:
            break
    assert present != first, "its history would grow until Temporal takes no more"
    assert world.charger.frames == ["ReserveNow"]
    began = monotonic()
    assert (await world.cancel()).status == CancelStatus.ACCEPTED
    assert monotonic() - began < at_most(5)
    assert world.charger.frames == ["ReserveNow", "CancelReservation"]


async def test_so_does_one_whose_charger_is_away_while_callers_ask_and_cancel(world: World) -> None:
    world.go_offline()
    first = None
    for _ in range(60):
        answers = await asyncio.gather(
            *(world.reserve(hold_while_offline=True, wait=SECOND / 5) for _ in range(4))
        )
        assert {answer.status for answer in answers} == {"Pending"}
        begun, present = await run_ids(world)
        first = first or begun
        if present != begun:
            break
    assert present != first
    assert (await world.cancel()).status == CancelStatus.ACCEPTED
    assert world.charger.frames == []


async def test_one_that_is_extended_all_the_time_goes_on_with_its_last_terms(world: World) -> None:
    await world.reserve()
    first, _ = await run_ids(world)
    for minute in range(1, 60):
        answer = await world.reserve(world.terms(hours=1 + minute / 60))
        assert answer.status == ReserveStatus.ACCEPTED
        _, present = await run_ids(world)
        if present != first:
            break
    assert present != first
    assert (await world.snapshot()).terms == world.terms(hours=1 + minute / 60)


async def test_what_the_charger_reports_right_after_a_use_leaves_nothing_red_in_the_history(
    world: World,
) -> None:
    policy = QUICK.model_copy(update={"quiet": SECOND})
    await world.reserve(policy=policy)
    at = await world.now()

    async def report(number: int) -> None:
        await asyncio.sleep(number / 200)  # as a charger does: one after the other, while the run ends
        status = ("Charging", "SuspendedEV")[number % 2]
        await world.tell("port_status", PortStatusChanged(at=at, port_number=1, status=status))

    await asyncio.gather(charge(world, id_tag="RFID-1"), *(report(number) for number in range(40)))
    assert (await world.handle.result()).state == ReservationState.USED
    assert failed_tasks(await world.handle.fetch_history()) == []


def test_no_task_failed_in_the_history_of_any_end() -> None:
    for name in STORIES:
        history = WorkflowHistory.from_json(name, (HISTORIES / f"{name}.json").read_text())
        assert failed_tasks(history) == [], name


@asynccontextmanager
async def database_away(world: World) -> AsyncIterator[None]:
    """Whatever is asked of the database waits, until it is back."""
    world.charger.look_gate.clear()
    world.charger.memory_gate.clear()
    try:
        yield
    finally:
        world.charger.look_gate.set()
        world.charger.memory_gate.set()


async def test_while_the_database_is_away_reservations_that_expire_hold_up_nobody_else(world: World) -> None:
    await world.reserve(world.terms(hours=5))  # another one, to look at
    charger = world.charger
    at_once = QUICK.model_copy(update={"expiry_grace": timedelta(0)})
    start = ReservationStart(charger_id=1, ocpp_identity="CP-1", reservation_id=7, policy=at_once)
    request = ReserveRequest(terms=world.terms(hours=1), route=charger.route)
    with world.env.with_time_skipping_disabled():
        expiring = [
            await world.client.start_workflow(
                ReservationWorkflow.run,
                start,
                id=f"{world.workflow_id}-{number}",
                task_queue=world.queue,
                start_signal="reserve",
                start_signal_args=[request],
            )
            for number in range(120)
        ]
    await world.until_asked(121, within=60)
    for handle in expiring:
        left = request.terms.expires_at - await world.env.get_current_time(handle)
        await world.env.fast_forward(handle, left - 5 * SECOND)
    async with database_away(world):
        deadline = monotonic() + 15
        while monotonic() < deadline:
            began = monotonic()
            assert (await world.snapshot()).state == ReservationState.ACTIVE
            assert monotonic() - began < at_most(5), "a look at another reservation waits"
            await asyncio.sleep(0.2)
        assert charger.looks_waiting >= 120, "not all of them have expired"
    back_at = monotonic()
    assert (await world.reserve(world.terms(hours=6))).status == ReserveStatus.ACCEPTED
    assert monotonic() - back_at < at_most(15)
    for handle in expiring:
        ended = await asyncio.wait_for(handle.result(), back_at + at_most(30) - monotonic())
        assert ended.state == ReservationState.EXPIRED
    assert (await world.handle.describe()).status == WorkflowExecutionStatus.RUNNING
