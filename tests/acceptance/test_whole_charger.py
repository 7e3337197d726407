"""Reservations of any port of a charger: 1.6 connector 0, 2.0.1 no EVSE."""

import pytest

from simulator.personality import Version
from tests.acceptance.life import TAG, VERSIONS, Life
from tests.acceptance.stack import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

both = pytest.mark.parametrize("version", VERSIONS)


@both
async def test_any_port_is_asked_for_and_used(shared_stack: Stack, version: Version) -> None:
    life = await Life.begin(shared_stack, version)
    number = await life.begun(port=None)
    (asked,) = life.charger.received("ReserveNow")
    assert asked.get("connectorId") == (0 if version == "1.6" else None)
    assert "evseId" not in asked
    assert await life.charger.start_charging(TAG, 2)
    await life.is_in(number, "used")
    assert life.numbers_told == [number]
    await life.is_free()


@both
async def test_any_port_is_used_by_its_token_without_the_number(
    shared_stack: Stack, version: Version
) -> None:
    life = await Life.begin(shared_stack, version, tells_reservation_id=False)
    number = await life.begun(port=None)
    assert await life.charger.start_charging(TAG, 2)
    assert "foreign" not in (await life.is_in(number, "used"))["evidence"]


@both
async def test_any_port_is_used_by_the_group(shared_stack: Stack, version: Version) -> None:
    body = {"idTag": "CARD-2", "parentIdTag": "FLEET-1"}
    assert (await shared_stack.http.put("/api/tokens", json=body)).status_code == 200
    life = await Life.begin(shared_stack, version)
    number = await life.begun(port=None, parentIdTag="FLEET-1")
    assert await life.charger.start_charging("CARD-2", 2)
    assert "foreign" not in (await life.is_in(number, "used"))["evidence"]


@both
async def test_a_stranger_at_one_port_leaves_the_other_and_is_no_violation(
    shared_stack: Stack, version: Version
) -> None:
    life = await Life.begin(shared_stack, version)
    number = await life.begun(port=None)
    assert await life.charger.start_charging("CARD-9", 1)
    await life.comes_true(lambda: life.numbers_told == [None], "the stranger charges")
    await life.stays_in(number, "active")
    await life.agrees(number, port=None)
    assert "violated" not in await life.last_story()
    assert not await life.charger.start_charging("CARD-9", 2)  # the last one is kept free
    assert await life.charger.start_charging(TAG, 2)
    await life.is_in(number, "used")


@both
async def test_any_port_is_given_free_on_cancel(shared_stack: Stack, version: Version) -> None:
    life = await Life.begin(shared_stack, version)
    number = await life.begun(port=None)
    cancelled = await shared_stack.cancel(life.charger_id, number)
    assert cancelled.json()["data"]["status"] == "Accepted"
    await life.is_in(number, "cancelled")
    await life.is_free()


@both
async def test_any_port_expires(shared_stack: Stack, version: Version) -> None:
    life = await Life.begin(shared_stack, version)
    number = await life.begun(port=None, seconds=2)
    await life.is_in(number, "expired")
    await life.is_free()


@both
async def test_what_no_port_shows_any_more_is_cancelled_after_expiry(
    shared_stack: Stack, version: Version
) -> None:
    life = await Life.begin(shared_stack, version, expiry_tick="never")
    number = await life.begun(port=None, seconds=2)
    await life.is_in(number, "expired")
    await life.is_free()
    assert life.commands(number) == ["ReserveNow", "CancelReservation"]


@both
async def test_a_charger_that_forgot_it_with_its_power_is_asked_again(
    shared_stack: Stack, version: Version
) -> None:
    life = await Life.begin(shared_stack, version, restart="forgets")
    number = await life.begun(port=None)
    await life.charger.reboot()
    await life.sees(number, "ReserveNow", "ReserveNow")
    await life.agrees(number, port=None)


@both
async def test_a_port_and_any_other_port_are_two_reservations_and_no_third_fits(
    shared_stack: Stack, version: Version
) -> None:
    life = await Life.begin(shared_stack, version)
    one = await life.begun(port=1)
    other, third = life.new_number(), life.new_number()
    assert (await life.reserve(other, None, id_tag="CARD-2"))["status"] == "Accepted"
    refused = await life.reserve(third, None, id_tag="CARD-3")
    assert (refused["status"], refused["state"]) == ("Occupied", "rejected")
    assert await life.charger.start_charging(TAG, 1)
    await life.is_in(one, "used")
    await life.stays_in(other, "active")


@both
async def test_a_charger_that_cannot_says_so_in_its_own_words(shared_stack: Stack, version: Version) -> None:
    life = await Life.begin(
        shared_stack, version, whole_charger="Rejected", reason_codes={"whole_charger": "UnsupportedRequest"}
    )
    number = life.new_number()
    refused = await life.reserve(number, None)
    assert (refused["status"], refused["state"]) == ("Rejected", "rejected")
    assert refused.get("reason") == ("UnsupportedRequest" if version == "2.0.1" else None)
    assert "portId" not in refused
    ended = await life.is_in(number, "rejected")
    assert (ended["status"], ended["evidence"]) == ("Rejected", "ReserveNow Rejected")
    assert await life.begun(port=1)


async def test_a_charger_that_takes_any_port_for_its_first_is_believed_about_the_use(
    shared_stack: Stack,
) -> None:
    life = await Life.begin(shared_stack, "2.0.1", whole_charger="first_port")
    number = life.new_number()
    assert (await life.reserve(number, None))["state"] == "active"
    assert await life.charger.start_charging(TAG, 1)
    await life.is_in(number, "used")


async def test_a_charger_whose_ports_all_fail_says_removed(shared_stack: Stack) -> None:
    life = await Life.begin(shared_stack, "2.0.1")
    number = await life.begun(port=None)
    await life.charger.fault(1)
    await life.sees(number, "ReserveNow")
    await life.agrees(number, port=None)
    await life.charger.fault(2)
    assert (await life.is_in(number, "removed"))["reason"] == "RemovedByCharger"


@both
async def test_any_port_used_by_a_member_while_offline_is_a_use_told_after_expiry(
    shared_stack: Stack, version: Version
) -> None:
    life = await Life.begin(shared_stack, version)
    number = await life.begun(port=None, seconds=4, parentIdTag="FLEET-1")
    life.charger.parents["CARD-8"] = "FLEET-1"  # known from a list of its own
    await life.goes_offline()
    assert await life.charger.start_charging("CARD-8", 2)
    await life.is_in(number, "expired")
    await life.comes_back()
    await life.is_in(number, "used")
    assert life.commands(number) == ["ReserveNow"]
