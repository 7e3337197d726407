"""The whole life of a reservation on every make of charger, all of them chargers of one real stack."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
import pytest_asyncio

from simulator.charger import SimulatedCharger
from simulator.personality import Version, load_personality, personality_names
from tests.acceptance.life import TAG, Life
from tests.acceptance.stack import Stack


@dataclass(frozen=True)
class Make:
    """What is to be expected of a make; the defaults are those of a charger that keeps to OCPP."""

    reserve: str = "active"
    """State after a first reserve; "rejected" needs no further chapter."""
    holds: bool = True
    """False: it says Accepted and its table stays empty, so there is nothing to agree with."""
    cancel: str = "cancelled"
    """State after a cancel."""
    frames_of_change: tuple[str, ...] = ("ReserveNow",)
    """What it takes to give the same number another expiry on the same port."""
    answer_to_second: str = "Occupied"
    """Its answer to another number, for another token, on the reserved port; Berth must ask by force."""
    keeps_first: bool = True
    """False: the second reservation overwrote the first, and the charger tells nobody (GET lies)."""
    cancel_of_first: str = "cancelled"
    """State of the first after a cancel of it."""
    tidied: bool | None = False
    """Whether an expired reservation needs a CancelReservation of ours; None: it depends on its tick."""
    asked_again_after_outage: bool = False
    """It forgets with the socket: the same ReserveNow goes out again."""
    frames_after_restart: tuple[str, ...] = ()
    """What it takes to have the reservation again after a restart."""
    stranger: Literal["refused", "violates", "uses"] = "refused"
    """What becomes of it when somebody else charges at its port."""
    frames_after_stranger: tuple[str, ...] = ()
    """What it takes to be sure that the reservation outlived the stranger."""
    use_told_late: str | None = "used"
    """State when its driver charged while the charger was offline, and Berth hears of it after expiry. None:
    the charger ends with its socket, so nobody charges there."""
    fault: str = "removed"
    """State after the reserved port has failed for the settle time."""


KEEPS_TO_OCPP = Make()
UNKNOWING = Make(reserve="rejected")
REFUSES_REPEAT = ("ReserveNow", "CancelReservation", "ReserveNow")
SHIV3 = Make(
    frames_of_change=REFUSES_REPEAT,
    tidied=True,
    asked_again_after_outage=True,
    frames_after_restart=("ReserveNow",),
    stranger="uses",  # it puts the reservation's number into a stranger's transaction
    use_told_late="expired",  # it tells the time of the telling, not of the start
)
MAKES: dict[tuple[str, Version], Make] = {
    ("libocpp201", "2.0.1"): Make(frames_after_restart=("ReserveNow",)),
    ("microocpp16", "1.6"): KEEPS_TO_OCPP,
    ("no-reservations", "1.6"): UNKNOWING,
    ("no-reservations", "2.0.1"): UNKNOWING,
    ("openocpp16", "1.6"): Make(answer_to_second="Rejected", tidied=None),
    ("sap16", "1.6"): Make(
        frames_of_change=REFUSES_REPEAT,
        answer_to_second="Accepted",
        keeps_first=False,
        cancel_of_first="removed",
        tidied=True,
        frames_after_restart=REFUSES_REPEAT,
        stranger="violates",
    ),
    ("shiv3_16", "1.6"): SHIV3,
    ("shiv3_201", "2.0.1"): SHIV3,
    ("silent-expirer", "1.6"): Make(tidied=True),
    ("silent-expirer", "2.0.1"): Make(tidied=True),
    ("specification", "1.6"): KEEPS_TO_OCPP,
    ("specification", "2.0.1"): KEEPS_TO_OCPP,
    ("stays-reserved", "1.6"): Make(tidied=True),
    ("stays-reserved", "2.0.1"): Make(tidied=True),
    ("vcp16", "1.6"): Make(
        holds=False,
        answer_to_second="Accepted",
        keeps_first=False,
        cancel_of_first="removed",
        frames_after_restart=("ReserveNow",),
        stranger="violates",
        frames_after_stranger=("ReserveNow",),
        use_told_late=None,
    ),
    ("vcp201", "2.0.1"): Make(
        holds=False,
        cancel="failed",
        answer_to_second="Accepted",
        keeps_first=False,
        cancel_of_first="failed",
        frames_after_restart=("ReserveNow",),
        stranger="violates",
        frames_after_stranger=("ReserveNow",),
        use_told_late=None,
        fault="failed",
    ),
}


def test_every_make_in_every_version_has_its_expectation() -> None:
    spoken = {(name, version) for name in personality_names() for version in load_personality(name).versions}
    assert set(MAKES) == spoken


class LifeOfAMake(Life):
    """One charger of that make, and what is expected of it."""

    def __init__(self, stack: Stack, charger: SimulatedCharger, about: dict[str, Any], make: Make) -> None:
        super().__init__(stack, charger, about, holds=make.holds)
        self.make = make
        self.is_away = False

    async def cancelled(self, number: int) -> None:
        await self.stack.cancel(self.charger_id, number)
        await self.is_in(number, self.make.cancel)
        await self.is_free()

    async def keep_running(self) -> None:
        """Start its process again whenever it ends, as an operating system would."""
        while True:
            if not self.charger.connected and not self.is_away:
                await self.charger.reboot()
            await asyncio.sleep(0.2)


# --- chapters --------------------------------------------------------------------------------------------


async def reserving_the_same_again_sends_no_second_frame(life: LifeOfAMake) -> None:
    number = life.new_number()
    expires_at = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
    for _ in range(2):
        told = await life.reserve(number, expiryDate=expires_at)
        assert (told["status"], told["state"]) == ("Accepted", "active"), told
    await life.agrees(number)
    assert life.commands(number) == ["ReserveNow"]
    await life.cancelled(number)


async def a_changed_expiry_is_what_the_charger_holds(life: LifeOfAMake) -> None:
    number = await life.begun()
    told = await life.reserve(number, seconds=1200)
    assert (told["status"], told["state"]) == ("Accepted", "active"), told
    await life.agrees(number)
    assert life.commands(number) == ["ReserveNow", *life.make.frames_of_change]
    await life.cancelled(number)


async def a_reservation_moves_to_another_port(life: LifeOfAMake) -> None:
    number = await life.begun()
    told = await life.reserve(number, port=2)
    if life.make.cancel == "failed":  # moving begins with a cancel
        await life.is_in(number, "failed")
        return
    assert (told["status"], told["state"]) == ("Accepted", "active"), told
    await life.agrees(number, port=2)
    assert life.commands(number) == ["ReserveNow", "CancelReservation", "ReserveNow"]
    assert list(life.charger.reservations) == ([number] if life.make.holds else [])
    await life.cancelled(number)


async def a_second_reservation_of_the_port_needs_force(life: LifeOfAMake) -> None:
    first = await life.begun()
    second = life.new_number()
    refused = await life.reserve(second, id_tag="CARD-2")
    assert (refused["status"], refused["reason"]) == ("Occupied", "ReservedByOther")
    assert life.commands(second) == []
    forced = await life.reserve(second, id_tag="CARD-2", force=True)
    assert forced["status"] == life.make.answer_to_second
    if life.make.keeps_first:
        await life.agrees(first)
    else:
        assert first not in life.charger.reservations
        await life.agrees(second, id_tag="CARD-2")
    await life.stack.cancel(life.charger_id, first)
    await life.is_in(first, life.make.cancel_of_first)
    if not life.make.keeps_first:
        await life.cancelled(second)
    await life.is_free()


async def its_driver_uses_it(life: LifeOfAMake) -> None:
    number = await life.begun()
    assert await life.charger.start_charging(TAG, 1)
    ended = await life.is_in(number, "used")
    assert "transaction" in ended["evidence"]
    await life.is_free()
    await life.charger.stop_charging(1)


async def a_stranger_charges_at_its_port(life: LifeOfAMake) -> None:
    number = await life.begun()
    started = await life.charger.start_charging("STRANGER", 1)
    assert started == (life.make.stranger != "refused")
    if life.make.stranger == "uses":
        assert "foreign token" in (await life.is_in(number, "used"))["evidence"]
        await life.charger.stop_charging(1)
        return
    if life.make.stranger == "violates":
        await life.is_told(number, "violated")
        assert (await life.stack.show(life.charger_id, number))["state"] == "active"
    await life.charger.stop_charging(1)
    await life.sees(number, "ReserveNow", *life.make.frames_after_stranger)
    await life.agrees(number)
    await life.cancelled(number)


async def a_use_while_offline_is_told_after_expiry(life: LifeOfAMake) -> None:
    if life.make.use_told_late is None:
        return
    number = await life.begun(seconds=3)
    await life.charger.disconnect()
    assert await life.charger.start_charging(TAG, 1)
    await life.is_in(number, "expired")
    await life.charger.reconnect()
    await life.stack.until_online(life.charger.identity)
    await life.stays_in(number, life.make.use_told_late)
    await life.is_free()
    await life.charger.stop_charging(1)


async def it_expires_and_the_port_is_free(life: LifeOfAMake) -> None:
    number = await life.begun(seconds=3)
    await life.is_in(number, "expired")
    await life.is_free()
    if life.make.tidied:
        await life.sees(number, "ReserveNow", "CancelReservation")
    elif life.make.tidied is False:
        assert life.commands(number) == ["ReserveNow"]


async def dying_of_a_cancel_is_not_for_ever(life: LifeOfAMake) -> None:
    number = await life.begun()
    await life.stack.cancel(life.charger_id, number)
    ended = await life.is_in(number, life.make.cancel)
    if life.make.cancel == "failed":
        assert ended["reason"] == "ChargerFailsOnCommand"
        await life.stack.until_online(life.charger.identity)
        await life.sees(number, "ReserveNow", *["CancelReservation"] * 3)
    await life.is_free()


async def it_survives_an_outage_and_a_restart(life: LifeOfAMake) -> None:
    number = await life.begun()
    expected = ["ReserveNow"]
    life.is_away = True
    await life.charger.disconnect()
    await life.stack.until_online(life.charger.identity, False)
    await life.charger.reconnect()
    await life.stack.until_online(life.charger.identity)
    life.is_away = False
    expected += ["ReserveNow"] if life.make.asked_again_after_outage else []
    await life.sees(number, *expected)
    await life.agrees(number)

    await life.charger.reboot()
    expected += life.make.frames_after_restart
    await life.sees(number, *expected)
    await life.agrees(number)
    await life.cancelled(number)


async def a_failed_port_ends_it(life: LifeOfAMake) -> None:
    number = await life.begun(port=2)
    await life.charger.fault(2)
    await life.is_in(number, life.make.fault)
    await life.is_free()
    await life.charger.recover(2)


async def after_all_of_it_the_charger_takes_another(life: LifeOfAMake) -> None:
    number = await life.begun()
    await life.cancelled(number)


CHAPTERS: list[Callable[[LifeOfAMake], Awaitable[None]]] = [
    reserving_the_same_again_sends_no_second_frame,
    a_changed_expiry_is_what_the_charger_holds,
    a_reservation_moves_to_another_port,
    a_second_reservation_of_the_port_needs_force,
    dying_of_a_cancel_is_not_for_ever,
    its_driver_uses_it,
    a_stranger_charges_at_its_port,
    a_use_while_offline_is_told_after_expiry,
    it_expires_and_the_port_is_free,
    it_survives_an_outage_and_a_restart,
    a_failed_port_ends_it,
    after_all_of_it_the_charger_takes_another,
]


async def a_charger_without_reservations_is_told_apart(life: LifeOfAMake) -> None:
    number = life.new_number()
    told = await life.reserve(number)
    assert (told["status"], told["state"]) == ("Rejected", "rejected")
    assert told["reason"] == "ReservationUnsupported"
    assert (await life.is_in(number, "rejected"))["reason"] == "ReservationUnsupported"
    assert life.charger.reservations == {}


# --- all of them at once ---------------------------------------------------------------------------------


async def live(stack: Stack, name: str, version: Version, make: Make) -> None:
    """A charger of that make lives through all chapters."""
    identity = f"{name}-{version}"
    charger = await stack.charger(
        identity,
        personality=name,
        version=version,
        reconnect_seconds=(0.2,),
        restart_seconds=0.2,
        keep_frames=1000,
    )
    life = LifeOfAMake(stack, charger, await stack.about(identity), make)
    is_supervised = not charger.personality.reconnects
    keeper = asyncio.create_task(life.keep_running()) if is_supervised else None
    chapters = CHAPTERS if make.reserve == "active" else [a_charger_without_reservations_is_told_apart]
    try:
        for chapter in chapters:
            try:
                await chapter(life)
            except Exception as error:
                error.add_note(f"{identity}, in the chapter: {chapter.__name__.replace('_', ' ')}")
                error.add_note(await life.last_story())
                raise
    finally:
        if keeper is not None:
            keeper.cancel()


Lives = dict[tuple[str, Version], asyncio.Task[None]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lives(shared_stack: Stack) -> AsyncIterator[Lives]:
    """Every make as a charger of one stack, all at once."""
    lives = {key: asyncio.create_task(live(shared_stack, *key, make)) for key, make in MAKES.items()}
    yield lives
    for task in lives.values():
        task.cancel()
    await asyncio.gather(*lives.values(), return_exceptions=True)


@pytest.mark.timeout(300)
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("key", MAKES, ids=lambda key: "-".join(key))
async def test_a_reservation_lives_its_whole_life_on(lives: Lives, key: tuple[str, Version]) -> None:
    await lives[key]
