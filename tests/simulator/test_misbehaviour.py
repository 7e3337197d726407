"""Wrongs on demand."""

import asyncio

import pytest

from simulator import Wrong
from tests.simulator.conftest import Bench, BenchMaker
from tests.simulator.until import until


async def send_unanswered(b: Bench) -> "asyncio.Task[str]":
    """Send ReserveNow without waiting for what may never come."""
    task: asyncio.Task[str] = asyncio.create_task(b.reserve(1))
    await until(lambda: b.charger.received("ReserveNow"))
    return task


@pytest.mark.parametrize(("wrong", "holds"), [("drop_before", False), ("drop_unanswered", True)])
async def test_the_socket_dies_instead_of_the_answer(bench: BenchMaker, wrong: str, holds: bool) -> None:
    b = await bench()
    await b.charger.misbehave(Wrong(wrong))
    task = await send_unanswered(b)
    await until(lambda: b.central.connections == 2 and b.charger.booted.is_set())
    assert (1 in b.charger.reservations) is holds
    task.cancel()


async def test_the_socket_dies_after_the_answer(bench: BenchMaker) -> None:
    b = await bench()
    await b.charger.misbehave(Wrong.DROP_AFTER)
    assert await b.reserve(1) == "Accepted"
    await until(lambda: b.central.connections == 2)


@pytest.mark.parametrize(("wrong", "holds"), [("ignore", False), ("no_answer", True)])
async def test_a_command_is_left_without_answer(bench: BenchMaker, wrong: str, holds: bool) -> None:
    b = await bench()
    await b.charger.misbehave(Wrong(wrong))
    task = await send_unanswered(b)
    assert await b.cancel(99) == "Rejected"
    assert (1 in b.charger.reservations) is holds
    assert not task.done()
    task.cancel()


async def test_an_answer_comes_late_and_others_meanwhile(bench: BenchMaker) -> None:
    b = await bench()
    await b.charger.misbehave(Wrong.LATE, seconds=0.2)
    task = await send_unanswered(b)
    assert await b.cancel(1) == "Accepted"
    assert await task == "Accepted"


@pytest.mark.parametrize("code", ["InternalError", "SecurityError", "FormationViolation"])
async def test_any_call_error_can_be_the_answer(bench: BenchMaker, code: str) -> None:
    b = await bench()
    await b.charger.misbehave(Wrong.CALL_ERROR, code=code)
    assert await b.reserve(1) == code
    assert b.charger.reservations == {}
    assert await b.reserve(1) == "Accepted"


async def test_garbage_can_be_the_answer(bench: BenchMaker) -> None:
    b = await bench()
    await b.charger.misbehave(Wrong.GARBAGE, text="not json {")
    task = await send_unanswered(b)
    await until(lambda: b.central.garbage)
    assert b.central.garbage == ["not json {"]
    task.cancel()


async def test_a_false_status_and_a_double_answer(bench: BenchMaker) -> None:
    b = await bench()
    await b.charger.misbehave(Wrong.STATUS, status="Faulted")
    await b.charger.misbehave(Wrong.TWICE)
    assert await b.reserve(1) == "Faulted"
    assert await b.reserve(1) == "Accepted"
    await until(lambda: b.link.order().count("rx answer Accepted") == 2)


async def test_a_silent_charger_says_nothing_and_keeps_its_socket(bench: BenchMaker) -> None:
    b = await bench()
    await b.charger.silence()
    task = await send_unanswered(b)
    await b.charger.fault(2)
    await b.charger.silence(False)
    assert b.charger.reservations == {}
    assert b.central.connections == 1
    task.cancel()


async def test_misbehaviour_is_for_the_action_named(bench: BenchMaker) -> None:
    b = await bench()
    await b.charger.misbehave(Wrong.CALL_ERROR, action="CancelReservation")
    assert await b.reserve(1) == "Accepted"
    assert await b.cancel(1) == "InternalError"
    await b.charger.misbehave(Wrong.CALL_ERROR)
    await b.charger.behave()
    assert await b.reserve(2, port=2) == "Accepted"
