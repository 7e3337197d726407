"""Who uses a reservation, where, and when Berth hears of it."""

import asyncio
from typing import Any

import pytest

from simulator.personality import Version
from tests.acceptance.life import TAG, VERSIONS, Life
from tests.acceptance.stack import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

both = pytest.mark.parametrize("version", VERSIONS)

MEMBER, GROUP = "CARD-2", "FLEET-1"
STRANGER = "CARD-9"


async def list_token(stack: Stack, id_tag: str, parent_id_tag: str) -> None:
    body = {"idTag": id_tag, "parentIdTag": parent_id_tag}
    assert (await stack.http.put("/api/tokens", json=body)).status_code == 200


# --- whose token, at which port --------------------------------------------------------------------------


@both
async def test_the_reservations_number_at_another_port_is_a_use(
    shared_stack: Stack, version: Version
) -> None:
    life = await Life.begin(shared_stack, version, reservation_usable_elsewhere=True)
    number = await life.begun(port=1)
    assert await life.charger.start_charging(TAG, 2)
    ended = await life.is_in(number, "used")
    assert ended["evidence"].startswith("transaction")
    assert life.numbers_told == [number]


@both
async def test_its_token_at_another_port_without_the_number_is_no_use(
    shared_stack: Stack, version: Version
) -> None:
    life = await Life.begin(shared_stack, version)
    number = await life.begun(port=1)
    assert await life.charger.start_charging(TAG, 2)
    await life.comes_true(lambda: life.numbers_told == [None], "it charges at the other port")
    await life.stays_in(number, "active")
    await life.agrees(number)
    assert life.commands(number) == ["ReserveNow"]


@both
async def test_a_listed_token_of_the_group_uses_the_reservation(
    shared_stack: Stack, version: Version
) -> None:
    await list_token(shared_stack, MEMBER, GROUP)
    life = await Life.begin(shared_stack, version)
    number = await life.begun(parentIdTag=GROUP)
    assert await life.charger.start_charging(MEMBER, 1)
    ended = await life.is_in(number, "used")
    assert "foreign" not in ended["evidence"]
    assert life.numbers_told == [number]
    await life.is_free()


@both
async def test_a_listed_token_of_the_group_uses_it_also_without_the_number(
    shared_stack: Stack, version: Version
) -> None:
    await list_token(shared_stack, MEMBER, GROUP)
    life = await Life.begin(shared_stack, version, group_tag="starts_without_id")
    number = await life.begun(parentIdTag=GROUP)
    assert await life.charger.start_charging(MEMBER, 1)
    ended = await life.is_in(number, "used")
    assert "foreign" not in ended["evidence"]
    assert life.numbers_told == [None]


async def test_a_group_in_other_letters_is_the_same_group_to_a_charger_that_compares_exactly(
    shared_stack: Stack,
) -> None:
    await list_token(shared_stack, "CARD-3", GROUP.lower())
    life = await Life.begin(shared_stack, token_case_sensitive=True)
    number = await life.begun(parentIdTag=GROUP)
    assert await life.charger.start_charging("CARD-3", 1)
    assert "foreign" not in (await life.is_in(number, "used"))["evidence"]


@both
async def test_a_token_outside_the_group_is_let_in_nowhere(shared_stack: Stack, version: Version) -> None:
    await list_token(shared_stack, "CARD-4", "OTHER-FLEET")
    life = await Life.begin(shared_stack, version)
    number = await life.begun(parentIdTag=GROUP)
    assert not await life.charger.start_charging("CARD-4", 1)
    await life.stays_in(number, "active")
    await life.agrees(number)


@both
async def test_a_strangers_use_that_names_the_number_is_a_use_and_noted(
    shared_stack: Stack, version: Version
) -> None:
    life = await Life.begin(shared_stack, version, wrong_tag="starts_with_id")
    number = await life.begun()
    assert await life.charger.start_charging(STRANGER, 1)
    assert "by a foreign token" in (await life.is_in(number, "used"))["evidence"]


@both
async def test_a_strangers_use_without_the_number_is_a_violation_and_the_reservation_stays(
    shared_stack: Stack, version: Version
) -> None:
    life = await Life.begin(shared_stack, version, wrong_tag="starts_without_id")
    number = await life.begun()
    assert await life.charger.start_charging(STRANGER, 1)
    await life.is_told(number, "violated")
    assert STRANGER not in await life.last_story()
    await life.stays_in(number, "active")
    await life.charger.stop_charging(1)
    await life.stays_in(number, "active")
    await life.agrees(number)


# --- started from afar, or by the cable ------------------------------------------------------------------


@both
async def test_a_remote_start_uses_the_reservation(shared_stack: Stack, version: Version) -> None:
    life = await Life.begin(shared_stack, version)
    number = await life.begun()
    assert await life.charger.remote_start(TAG, 1)
    await life.is_in(number, "used")
    (start,) = life.starts
    assert start["reservationId"] == number
    if version == "2.0.1":
        assert (start["triggerReason"], start["idToken"]["type"]) == ("RemoteStart", "Central")


@both
async def test_a_remote_start_for_somebody_else_is_refused(shared_stack: Stack, version: Version) -> None:
    life = await Life.begin(shared_stack, version)
    number = await life.begun()
    assert not await life.charger.remote_start(STRANGER, 1)
    await life.stays_in(number, "active")
    await life.agrees(number)


@pytest.mark.parametrize("tells_number", [True, False], ids=["with-number", "without-number"])
@pytest.mark.parametrize("way", ["card", "remote"])
async def test_a_transaction_that_the_cable_began_is_a_use_once_it_has_its_token(
    shared_stack: Stack, way: str, tells_number: bool
) -> None:
    life = await Life.begin(
        shared_stack, "2.0.1", transaction_starts="plugged", tells_reservation_id=tells_number
    )
    number = await life.begun()
    start = life.charger.start_charging if way == "card" else life.charger.remote_start
    assert await start(TAG, 1)
    await life.is_in(number, "used")
    began, authorized = life.starts
    assert (began["eventType"], began["triggerReason"]) == ("Started", "CablePluggedIn")
    assert authorized["triggerReason"] == ("Authorized" if way == "card" else "RemoteStart")
    assert ("reservationId" in authorized) is tells_number


# --- told late, by clocks of all kinds -------------------------------------------------------------------


@both
async def test_a_use_while_offline_counts_when_it_is_told_before_expiry(
    shared_stack: Stack, version: Version
) -> None:
    life = await Life.begin(shared_stack, version)
    number = await life.begun()
    await life.goes_offline()
    assert await life.charger.start_charging(TAG, 1)
    await life.charger.stop_charging(1)  # begun and ended before anybody hears of it
    await life.comes_back()
    await life.is_in(number, "used")
    assert life.commands(number) == ["ReserveNow"]
    if version == "2.0.1":
        assert all(event["offline"] for event in life.charger.sent("TransactionEvent"))


async def test_a_use_while_offline_counts_when_it_is_told_after_expiry_in_any_spelling_of_time(
    shared_stack: Stack,
) -> None:
    async def is_used(version: Version, **ways: Any) -> None:
        life = await Life.begin(shared_stack, version, **ways)
        number = await life.begun(seconds=4)
        await life.goes_offline()
        assert await life.charger.start_charging(TAG, 1)
        await life.is_in(number, "expired")
        await life.charger.stop_charging(1)
        await life.comes_back()
        await life.is_in(number, "used")

    spellings: list[dict[str, Any]] = [
        {"time_zone": "utc"},
        {"time_zone": "local"},
        {"time_zone": "utc_untold"},
        {"time_zone": "local", "timestamps_with_milliseconds": False},
    ]
    async with asyncio.TaskGroup() as stories:
        for version in VERSIONS:
            for spelling in spellings:
                stories.create_task(is_used(version, **spelling), name=f"{version} {spelling}")


@both
async def test_a_charge_that_began_after_expiry_is_no_use_even_if_it_names_the_number(
    shared_stack: Stack, version: Version
) -> None:
    life = await Life.begin(shared_stack, version, expiry_tick="never")
    number = await life.begun(seconds=2)
    await life.goes_offline()
    await life.is_in(number, "expired")
    assert await life.charger.start_charging(TAG, 1)
    await life.comes_back()
    await life.comes_true(lambda: life.numbers_told == [number], "the charge is told")
    await life.stays_in(number, "expired")


@both
async def test_a_clock_on_local_time_that_names_no_zone_hides_no_use(
    shared_stack: Stack, version: Version
) -> None:
    life = await Life.begin(shared_stack, version, time_zone="local_untold")
    number = await life.begun()
    assert await life.charger.start_charging(TAG, 1)
    await life.is_in(number, "used")
