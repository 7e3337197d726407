"""The life of a reservation on a charger that behaves."""

import asyncio
from datetime import timedelta

import pytest
from temporalio.client import WorkflowExecutionStatus

from tests.workflows.world import World
from workflows.messages import (
    CancelStatus,
    ReservationStart,
    ReservationState,
    ReserveNowResult,
    ReserveStatus,
)
from workflows.names import RESERVATION_STATE
from workflows.reservation.workflow import ReservationWorkflow


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


async def test_the_temporal_ui_shows_the_story(world: World) -> None:
    terms = world.terms(hours=72)
    await world.reserve(terms)
    asked, *_, active = await world.shown_details()
    asked_at = (await world.snapshot()).timeline[0].at
    assert asked == f"- {asked_at:%Y-%m-%d %H:%M:%S}Z requested until {terms.expires_at:%Y-%m-%d %H:%M:%S}Z"
    assert active.endswith("Z active")


async def test_a_cancel_by_signal_reaches_the_charger(world: World) -> None:
    await world.reserve()
    await world.handle.signal("cancel")
    ended = await world.handle.result()
    assert ended.state == ReservationState.CANCELLED
    assert world.charger.frames == ["ReserveNow", "CancelReservation"]


async def test_a_native_cancellation_is_a_cancel_like_any_other(world: World) -> None:
    await world.reserve()
    await world.handle.cancel()
    ended = await world.handle.result()
    assert ended.state == ReservationState.CANCELLED
    assert world.charger.frames == ["ReserveNow", "CancelReservation"]


@pytest.mark.parametrize("way", ["update", "signal", "native"])
async def test_a_cancel_during_reserve_now_waits_for_its_answer(world: World, way: str) -> None:
    world.charger.gate.clear()
    reserving = asyncio.create_task(world.reserve())
    await asyncio.wait_for(world.charger.thinking.wait(), 60)

    if way == "update":
        cancelling = asyncio.create_task(world.cancel())
        await world.until(lambda s: True)
    elif way == "signal":
        await world.handle.signal("cancel")
    else:
        await world.handle.cancel()
    assert world.charger.frames == []
    world.charger.gate.set()

    assert (await reserving).status == ReserveStatus.ACCEPTED
    ended = await world.handle.result()
    assert ended.state == ReservationState.CANCELLED
    assert world.charger.frames == ["ReserveNow", "CancelReservation"]
    if way == "update":
        assert (await cancelling).status == CancelStatus.ACCEPTED


async def test_a_cancel_before_anything_was_sent_needs_no_frame(world: World) -> None:
    world.charger.route = None
    answer = await world.reserve()
    assert answer.status == "Pending"
    assert answer.reason == "ChargerOffline"

    cancelled = await world.cancel()

    assert cancelled.status == CancelStatus.ACCEPTED
    snapshot = await world.handle.result()
    assert (snapshot.state, snapshot.terms) == (ReservationState.CANCELLED, world.terms())
    assert world.charger.frames == []
    assert not world.charger.listeners


@pytest.mark.parametrize("status", [s for s in ReserveStatus if s is not ReserveStatus.ACCEPTED])
async def test_a_refusal_is_told_as_the_charger_said_it(world: World, status: ReserveStatus) -> None:
    world.charger.reserve_answers.append(ReserveNowResult(status=status, reason="UnknownEvse"))
    answer = await world.reserve()
    assert (answer.status, answer.state, answer.reason) == (status, ReservationState.REJECTED, "UnknownEvse")
    snapshot = await world.handle.result()
    assert (snapshot.status, snapshot.terms) == (status, world.terms())
    assert world.charger.frames == ["ReserveNow"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("NotImplemented", "ReservationUnsupported"),
        ("PropertyConstraintViolation", "OcppError:PropertyConstraintViolation"),
    ],
)
async def test_a_charger_that_cannot_reserve_is_a_rejection(world: World, error: str, reason: str) -> None:
    world.charger.reserve_answers.append(ReserveNowResult(error=error))
    answer = await world.reserve()
    assert (answer.status, answer.reason) == (ReserveStatus.REJECTED, reason)
    assert world.charger.frames == ["ReserveNow"]


@pytest.mark.parametrize("error", ["InternalError", "GenericError", "InvalidResponse", "Nonsense"])
async def test_an_answer_that_may_hide_a_reservation_is_followed_by_a_cancel(
    world: World, error: str
) -> None:
    world.charger.reserve_answers.append(ReserveNowResult(error=error))
    answer = await world.reserve()
    assert answer.status == ReserveStatus.REJECTED
    assert answer.state == ReservationState.REJECTED
    assert world.charger.frames == ["ReserveNow", "CancelReservation"]


async def test_a_finished_number_may_be_used_again(world: World) -> None:
    await world.reserve()
    await world.cancel()
    await world.handle.result()
    again = await world.reserve()
    assert again.status == ReserveStatus.ACCEPTED
    assert world.charger.frames == ["ReserveNow", "CancelReservation", "ReserveNow"]


async def test_a_reserve_that_meets_the_last_step_of_a_run_is_served_at_once(world: World) -> None:
    await world.reserve()
    world.charger.memory_gate.clear()
    await world.cancel()
    await world.charger.telling.wait()
    answer = await asyncio.wait_for(world.reserve(world.terms(hours=2)), 60)
    assert answer.status == ReserveStatus.ACCEPTED
    assert world.charger.frames == ["ReserveNow", "CancelReservation", "ReserveNow"]
    world.charger.memory_gate.set()  # the former use of the number is unsubscribed late
    assert (await world.snapshot()).state == ReservationState.ACTIVE
    assert world.charger.listeners


async def test_the_same_request_again_is_answered_without_a_frame(world: World) -> None:
    terms = world.terms()
    await world.reserve(terms)
    again = await world.reserve(terms)
    assert again.status == ReserveStatus.ACCEPTED
    assert world.charger.frames == ["ReserveNow"]


async def test_a_run_that_was_never_asked_for_anything_ends(world: World) -> None:
    with world.env.with_time_skipping_disabled():
        await world.client.start_workflow(
            ReservationWorkflow.run,
            ReservationStart(charger_id=1, ocpp_identity="CP-1", reservation_id=7),
            id=world.workflow_id,
            task_queue=world.queue,
        )
    ended = await world.end()
    assert (ended.state, ended.reason) == (ReservationState.FAILED, "NeverRequested")
