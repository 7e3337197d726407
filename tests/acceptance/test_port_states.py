"""What a port shows while it is reserved, and what a charger says while it is asked."""

import asyncio
from typing import Any

import pytest

from simulator.misbehaviour import Wrong
from simulator.personality import Version
from simulator.ports import PortStatus
from tests.acceptance.life import TAG, VERSIONS, Life
from tests.acceptance.stack import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

both = pytest.mark.parametrize("version", VERSIONS)
ASKED_AGAIN = ("ReserveNow", "ReserveNow")


async def go_wrong(life: Life, how: str) -> None:
    """Port 1 fails, or is taken out of service, and Berth knows."""
    await (life.charger.fault(1) if how == "Faulted" else life.charger.unavailable(1))
    await life.is_told(1, "port status", how)


async def go_right(life: Life, how: str) -> None:
    """Port 1 works again."""
    await (life.charger.recover(1) if how == "Faulted" else life.charger.available(1))


# --- out of order ----------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("how", ["Faulted", "Unavailable"])
@pytest.mark.parametrize("drops", [True, False], ids=["dropped-inside", "kept-inside"])
async def test_a_port_that_is_back_in_time_is_asked_again_for_its_reservation(
    shared_stack: Stack, version: Version, how: str, drops: bool
) -> None:
    life = await Life.begin(shared_stack, version, fault_drops_reservation=drops, removed_update=False)
    number = await life.begun()
    await go_wrong(life, how)
    await go_right(life, how)
    await life.sees(number, *ASKED_AGAIN)
    await life.agrees(number)


@both
@pytest.mark.parametrize("how", ["Faulted", "Unavailable"])
async def test_a_port_out_of_order_for_the_settle_time_ends_its_reservation(
    shared_stack: Stack, version: Version, how: str
) -> None:
    life = await Life.begin(shared_stack, version, fault_drops_reservation=False)
    number = await life.begun()
    await go_wrong(life, how)
    ended = await life.is_in(number, "removed")
    assert (ended["reason"], ended["evidence"]) == (f"Port{how}", "CancelReservation Accepted")
    await life.is_free()
    await go_right(life, how)
    await life.sees(number, "ReserveNow", "CancelReservation")
    assert await life.begun()


@pytest.mark.parametrize("how", ["Faulted", "Unavailable"])
async def test_a_charger_that_says_removed_needs_no_settle_time(shared_stack: Stack, how: str) -> None:
    life = await Life.begin(shared_stack, "2.0.1")
    number = await life.begun()
    await (life.charger.fault(1) if how == "Faulted" else life.charger.unavailable(1))
    ended = await life.is_in(number, "removed")
    assert (ended["reason"], ended["evidence"]) == ("RemovedByCharger", "ReservationStatusUpdate Removed")
    assert life.commands(number) == ["ReserveNow"]


@both
async def test_another_port_out_of_order_concerns_nobody(shared_stack: Stack, version: Version) -> None:
    life = await Life.begin(shared_stack, version)
    number = await life.begun(port=1)
    await life.charger.fault(2)
    await life.sees(number, "ReserveNow")
    await life.agrees(number)


async def test_a_fault_of_the_charger_itself_alone_proves_nothing(shared_stack: Stack) -> None:
    life = await Life.begin(shared_stack, "1.6")
    number = await life.begun()
    life.charger.report(0, PortStatus.FAULTED)
    life.charger.report(0, PortStatus.UNAVAILABLE)
    await life.sees(number, "ReserveNow")
    await life.agrees(number)


# --- status by NotifyEvent only --------------------------------------------------------------------------


async def by_events(stack: Stack, **ways: Any) -> Life:
    """A 2.0.1 charger that sends no StatusNotification."""
    return await Life.begin(stack, "2.0.1", status_report="NotifyEvent", **ways)


async def test_events_show_a_port_reserved_used_and_free(shared_stack: Stack) -> None:
    life = await by_events(shared_stack)
    identity = life.charger.identity
    number = await life.begun()
    await shared_stack.until_port_shows(identity, 1, "Reserved")
    assert await life.charger.start_charging(TAG, 1)
    await life.is_in(number, "used")
    await shared_stack.until_port_shows(identity, 1, "Occupied")
    await life.charger.stop_charging(1)
    await shared_stack.until_port_shows(identity, 1, "Available")
    assert life.charger.sent("StatusNotification") == []


async def test_events_that_show_available_mean_that_the_token_was_presented(shared_stack: Stack) -> None:
    life = await by_events(shared_stack)
    number = await life.begun()
    await shared_stack.until_port_shows(life.charger.identity, 1, "Reserved")
    assert await life.charger.swipe(TAG, 1)
    ended = await life.is_in(number, "removed")
    assert ended["reason"] == "ConsumedWithoutTransaction"
    assert life.commands(number) == ["ReserveNow"]


async def test_events_that_show_a_fault_end_the_reservation(shared_stack: Stack) -> None:
    life = await by_events(shared_stack, removed_update=False)
    number = await life.begun()
    await go_wrong(life, "Faulted")
    assert (await life.is_in(number, "removed"))["reason"] == "PortFaulted"


async def test_events_that_show_a_port_back_in_time_have_it_asked_again(shared_stack: Stack) -> None:
    life = await by_events(shared_stack, removed_update=False)
    number = await life.begun()
    await go_wrong(life, "Unavailable")
    await go_right(life, "Unavailable")
    await life.sees(number, *ASKED_AGAIN)
    await life.agrees(number)


@pytest.mark.parametrize("lets_go", [True, False])
async def test_events_tell_whether_an_expired_reservation_must_be_cancelled(
    shared_stack: Stack, lets_go: bool
) -> None:
    life = await by_events(shared_stack, expired_update=False, expiry_tick=0.0 if lets_go else "never")
    number = await life.begun(seconds=2)
    await shared_stack.until_port_shows(life.charger.identity, 1, "Reserved")
    await life.is_in(number, "expired")
    await life.is_free()
    await life.sees(number, "ReserveNow", *([] if lets_go else ["CancelReservation"]))


# --- calls that do not wait ------------------------------------------------------------------------------


@both
async def test_a_charger_that_does_not_wait_is_answered_while_it_is_asked(
    shared_stack: Stack, version: Version
) -> None:
    life = await Life.begin(shared_stack, version, pipelines_calls=True)
    charger = life.charger
    await charger.misbehave(Wrong.LATE, seconds=2)
    number = life.new_number()
    asked = asyncio.create_task(life.reserve(number))
    await life.comes_true(lambda: bool(charger.received("ReserveNow")), "the charger is asked")

    calls = [
        ("Heartbeat", {}),
        charger.dialect.authorize(TAG, "ISO14443"),
        *charger.dialect.statuses(charger.ports[2], charger.status(2), charger.clock()),
        ("DataTransfer", {"vendorId": "maker"}),
    ] * 5
    posted = [charger.post(action, payload) for action, payload in calls]
    answers = await asyncio.gather(*(one.answer for one in posted if one is not None))

    assert len(answers) == len(calls)
    assert [set(answer) for answer in answers[:4]] * 5 == [set(answer) for answer in answers]
    assert not asked.done()
    assert (await asked)["status"] == "Accepted"
    await life.agrees(number)


@both
async def test_a_use_that_overtakes_the_answer_to_reserve_now_is_a_use(
    shared_stack: Stack, version: Version
) -> None:
    life = await Life.begin(shared_stack, version, pipelines_calls=True)
    await life.charger.misbehave(Wrong.LATE, seconds=1)
    number = life.new_number()
    asked = asyncio.create_task(life.reserve(number))
    await life.comes_true(lambda: number in life.charger.reservations, "the charger holds it")
    assert await life.charger.start_charging(TAG, 1)
    await life.comes_true(lambda: life.numbers_told == [number], "the use is told")
    assert not asked.done()
    assert (await asked)["status"] == "Accepted"
    await life.is_in(number, "used")
