"""The whole life of a reservation on every make of charger, all of them chargers of one real house."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio

from simulator.charger import SimulatedCharger
from simulator.personality import Version, load_personality, personality_names
from tests.acceptance.house import House
from tests.conftest import KEPT

TAG = "CARD-1"
PATIENTLY = 60.0  # seconds; the machine is busy with all of them at once
SETTLE = 1


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


class Life:
    """One charger of the house, and what the API says of its reservations."""

    def __init__(self, house: House, charger: SimulatedCharger, make: Make, about: dict[str, Any]) -> None:
        self.house = house
        self.charger = charger
        self.make = make
        self.charger_id: int = about["id"]
        self.is_away = False
        self._ports = {port["portNumber"]: port["id"] for port in about["ports"]}
        self._number = 0

    def new_number(self) -> int:
        self._number += 1
        return self._number

    async def reserve(self, number: int, port: int = 1, **more: Any) -> dict[str, Any]:
        response = await self.house.reserve(self._ports[port], number, id_tag=more.pop("id_tag", TAG), **more)
        assert response.status_code in (200, 202), response.text
        data: dict[str, Any] = response.json()["data"]
        return data

    async def begun(self, port: int = 1, seconds: float = 600) -> int:
        """A new reservation that is active."""
        await self.house.until_online(self.charger.identity)
        number = self.new_number()
        told = await self.reserve(number, port, seconds=seconds)
        assert (told["status"], told["state"]) == ("Accepted", "active"), told
        await self.agrees(number, port)
        return number

    async def cancelled(self, number: int) -> None:
        await self.house.cancel(self.charger_id, number)
        await self.is_in(number, self.make.cancel)
        await self.is_free()

    async def is_in(self, number: int, state: str) -> dict[str, Any]:
        return await self.house.until_state(self.charger_id, state, number, within=PATIENTLY)

    async def stays_in(self, number: int, state: str) -> None:
        """It comes to this state, and is in it still when everything has settled."""
        await self.is_in(number, state)
        settled_at = time.monotonic() + SETTLE + 2
        while time.monotonic() < settled_at:
            assert (await self.house.show(self.charger_id, number))["state"] == state
            await asyncio.sleep(0.3)

    async def agrees(self, number: int, port: int = 1, id_tag: str = TAG) -> None:
        """GET says active, and the charger truly holds it until the same second."""

        async def same() -> bool:
            shown = await self.house.show(self.charger_id, number)
            expires_at = datetime.fromisoformat(shown["expiryDate"]).astimezone(UTC).replace(microsecond=0)
            held = self.charger.reservations.get(number)
            is_held = held == (port, id_tag, expires_at) or not self.make.holds
            return bool(shown["state"] == "active" and shown["portId"] == self._ports[port] and is_held)

        await self.house.until(
            same, f"both say {number} at port {port}", PATIENTLY, lambda: self.charger.reservations
        )

    async def is_free(self) -> None:
        """The charger truly holds nothing."""

        async def empty() -> bool:
            return not self.charger.reservations

        await self.house.until(empty, "the charger is free", PATIENTLY, lambda: self.charger.reservations)

    async def is_told(self, number: int, event: str) -> None:
        """The timeline says so."""

        async def told() -> bool:
            shown = await self.house.show(self.charger_id, number)
            return any(entry["event"] == event for entry in shown["timeline"])

        await self.house.until(told, f"{event} of {number}", PATIENTLY)

    async def last_story(self) -> str:
        """The timeline of the last reservation."""
        shown = await self.house.show(self.charger_id, self._number)
        return "\n".join(f"{one['at']} {one['event']} {one['detail']}" for one in shown["timeline"])

    def commands(self, number: int) -> list[str]:
        """What Berth has sent for this reservation, in order; a command that was sent again counts again."""
        frames = [record.frame for record in self.charger.frames if record.direction == "in"]
        return [
            frame[2]
            for frame in frames
            if frame[0] == 2 and number in (frame[3].get("reservationId"), frame[3].get("id"))
        ]

    async def sees(self, number: int, *commands: str) -> None:
        """Berth sends exactly these, and no more while it settles."""

        async def seen() -> bool:
            return len(self.commands(number)) >= len(commands)

        await self.house.until(seen, f"{commands}", PATIENTLY, lambda: self.commands(number))
        settled_at = time.monotonic() + SETTLE + 1
        while time.monotonic() < settled_at:
            assert self.commands(number) == list(commands)
            await asyncio.sleep(0.1)

    async def keep_running(self) -> None:
        """Start its process again whenever it ends, as an operating system would."""
        while True:
            if not self.charger.connected and not self.is_away:
                await self.charger.reboot()
            await asyncio.sleep(0.2)


# --- chapters --------------------------------------------------------------------------------------------


async def reserving_the_same_again_sends_no_second_frame(life: Life) -> None:
    number = life.new_number()
    expires_at = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
    for _ in range(2):
        told = await life.reserve(number, expiryDate=expires_at)
        assert (told["status"], told["state"]) == ("Accepted", "active"), told
    await life.agrees(number)
    assert life.commands(number) == ["ReserveNow"]
    await life.cancelled(number)


async def a_changed_expiry_is_what_the_charger_holds(life: Life) -> None:
    number = await life.begun()
    told = await life.reserve(number, seconds=1200)
    assert (told["status"], told["state"]) == ("Accepted", "active"), told
    await life.agrees(number)
    assert life.commands(number) == ["ReserveNow", *life.make.frames_of_change]
    await life.cancelled(number)


async def a_reservation_moves_to_another_port(life: Life) -> None:
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


async def a_second_reservation_of_the_port_needs_force(life: Life) -> None:
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
    await life.house.cancel(life.charger_id, first)
    await life.is_in(first, life.make.cancel_of_first)
    if not life.make.keeps_first:
        await life.cancelled(second)
    await life.is_free()


async def its_driver_uses_it(life: Life) -> None:
    number = await life.begun()
    assert await life.charger.start_charging(TAG, 1)
    ended = await life.is_in(number, "used")
    assert "transaction" in ended["evidence"]
    await life.is_free()
    await life.charger.stop_charging(1)


async def a_stranger_charges_at_its_port(life: Life) -> None:
    number = await life.begun()
    started = await life.charger.start_charging("STRANGER", 1)
    assert started == (life.make.stranger != "refused")
    if life.make.stranger == "uses":
        assert "foreign token" in (await life.is_in(number, "used"))["evidence"]
        await life.charger.stop_charging(1)
        return
    if life.make.stranger == "violates":
        await life.is_told(number, "violated")
        assert (await life.house.show(life.charger_id, number))["state"] == "active"
    await life.charger.stop_charging(1)
    await life.sees(number, "ReserveNow", *life.make.frames_after_stranger)
    await life.agrees(number)
    await life.cancelled(number)


async def a_use_while_offline_is_told_after_expiry(life: Life) -> None:
    if life.make.use_told_late is None:
        return
    number = await life.begun(seconds=3)
    await life.charger.disconnect()
    assert await life.charger.start_charging(TAG, 1)
    await life.is_in(number, "expired")
    await life.charger.reconnect()
    await life.house.until_online(life.charger.identity)
    await life.stays_in(number, life.make.use_told_late)
    await life.is_free()
    await life.charger.stop_charging(1)


async def it_expires_and_the_port_is_free(life: Life) -> None:
    number = await life.begun(seconds=3)
    await life.is_in(number, "expired")
    await life.is_free()
    if life.make.tidied:
        await life.sees(number, "ReserveNow", "CancelReservation")
    elif life.make.tidied is False:
        assert life.commands(number) == ["ReserveNow"]


async def dying_of_a_cancel_is_not_for_ever(life: Life) -> None:
    number = await life.begun()
    await life.house.cancel(life.charger_id, number)
    ended = await life.is_in(number, life.make.cancel)
    if life.make.cancel == "failed":
        assert ended["reason"] == "ChargerFailsOnCommand"
        await life.house.until_online(life.charger.identity)
        await life.sees(number, "ReserveNow", *["CancelReservation"] * 3)
    await life.is_free()


async def it_survives_an_outage_and_a_restart(life: Life) -> None:
    number = await life.begun()
    expected = ["ReserveNow"]
    life.is_away = True
    await life.charger.disconnect()
    await life.house.until_online(life.charger.identity, False)
    await life.charger.reconnect()
    await life.house.until_online(life.charger.identity)
    life.is_away = False
    expected += ["ReserveNow"] if life.make.asked_again_after_outage else []
    await life.sees(number, *expected)
    await life.agrees(number)

    await life.charger.reboot()
    expected += life.make.frames_after_restart
    await life.sees(number, *expected)
    await life.agrees(number)
    await life.cancelled(number)


async def a_failed_port_ends_it(life: Life) -> None:
    number = await life.begun(port=2)
    await life.charger.fault(2)
    await life.is_in(number, life.make.fault)
    await life.is_free()
    await life.charger.recover(2)


async def after_all_of_it_the_charger_takes_another(life: Life) -> None:
    number = await life.begun()
    await life.cancelled(number)


CHAPTERS: list[Callable[[Life], Awaitable[None]]] = [
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


async def a_charger_without_reservations_is_told_apart(life: Life) -> None:
    number = life.new_number()
    told = await life.reserve(number)
    assert (told["status"], told["state"]) == ("Rejected", "rejected")
    assert told["reason"] == "ReservationUnsupported"
    assert (await life.is_in(number, "rejected"))["reason"] == "ReservationUnsupported"
    assert life.charger.reservations == {}


# --- all of them at once ---------------------------------------------------------------------------------


async def live(house: House, name: str, version: Version, make: Make) -> None:
    """A charger of that make lives through all chapters."""
    identity = f"{name}-{version}"
    charger = await house.charger(
        identity,
        personality=name,
        version=version,
        reconnect_seconds=(0.2,),
        restart_seconds=0.2,
        keep_frames=1000,
    )
    life = Life(house, charger, make, await house.about(identity))
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
async def lives(tmp_path_factory: pytest.TempPathFactory, temporal_cli: Path) -> AsyncIterator[Lives]:
    """Every make as a charger of one house, all at once."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("BERTH_", "TEMPORAL_")) and name not in KEPT:
                patch.delenv(name)
        house = House(
            tmp_path_factory.mktemp("makes"),
            temporal_cli,
            BERTH_SETTLE=str(SETTLE),
            BERTH_EXPIRY_GRACE="1",
            BERTH_CONNECTION_TIMEOUT="1",
            BERTH_OCPP_CALL_TIMEOUT="10",
            BERTH_RATE_LIMIT="0",
        )
    async with house:
        lives = {key: asyncio.create_task(live(house, *key, make)) for key, make in MAKES.items()}
        yield lives
        for task in lives.values():
            task.cancel()
        await asyncio.gather(*lives.values(), return_exceptions=True)


@pytest.mark.timeout(300)
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("key", MAKES, ids=lambda key: "-".join(key))
async def test_a_reservation_lives_its_whole_life_on(lives: Lives, key: tuple[str, Version]) -> None:
    await lives[key]
