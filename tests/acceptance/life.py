"""The life of one simulated charger in a stack, and what the API says of its reservations."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any

from simulator.charger import SimulatedCharger
from simulator.personality import Personality, Version
from tests.acceptance.stack import Stack
from tests.patience import at_most

TAG = "CARD-1"
PATIENTLY = 60.0  # seconds; the machine may be busy with many at once
SETTLE = 1  # seconds; BERTH_SETTLE of the shared stack
VERSIONS: tuple[Version, ...] = ("1.6", "2.0.1")

_NUMBERS = count(1)


class Life:
    """One charger; reservations get numbers from 1 on. `holds` False: its table stays empty always."""

    def __init__(
        self, stack: Stack, charger: SimulatedCharger, about: dict[str, Any], holds: bool = True
    ) -> None:
        self.stack = stack
        self.charger = charger
        self.charger_id: int = about["id"]
        self._holds = holds
        self._ports = {port["portNumber"]: port["id"] for port in about["ports"]}
        self._number = 0

    @classmethod
    async def begin(cls, stack: Stack, version: Version = "1.6", **ways: Any) -> "Life":
        """A new charger of two ports, connected, that keeps to OCPP but for these ways of a Personality."""
        identity = f"CP-{next(_NUMBERS)}"
        charger = await stack.charger(
            identity,
            version=version,
            personality=Personality(name="made-up", description="Made up for a test.", **ways),
            reconnect_seconds=(0.2,),
            restart_seconds=0.2,
        )
        return cls(stack, charger, await stack.about(identity))

    def new_number(self) -> int:
        self._number += 1
        return self._number

    async def reserve(self, number: int, port: int | None = 1, **more: Any) -> dict[str, Any]:
        """POST a reservation of a port, None is any port; what it answers."""
        if port is None:
            more["chargerId"] = self.charger_id
        id_tag = more.pop("id_tag", TAG)
        port_id = None if port is None else self._ports[port]
        response = await self.stack.reserve(port_id, number, id_tag=id_tag, **more)
        assert response.status_code in (200, 202), response.text
        data: dict[str, Any] = response.json()["data"]
        return data

    async def begun(self, port: int | None = 1, seconds: float = 600, **more: Any) -> int:
        """A new reservation that is active; a short one is longer on a busy machine."""
        await self.stack.until_online(self.charger.identity)
        number = self.new_number()
        seconds = at_most(seconds) if seconds < 30 else seconds
        told = await self.reserve(number, port, seconds=seconds, **more)
        assert (told["status"], told["state"]) == ("Accepted", "active"), told
        await self.agrees(number, port)
        return number

    async def goes_offline(self) -> None:
        """The charger stays away until `comes_back`, and the API says so."""
        await self.charger.disconnect()
        await self.stack.until_online(self.charger.identity, False)

    async def comes_back(self) -> None:
        """The charger connects again, and the API says so."""
        await self.charger.reconnect()
        await self.stack.until_online(self.charger.identity)

    async def show(self, number: int) -> dict[str, Any]:
        return await self.stack.show(self.charger_id, number)

    async def is_in(self, number: int, state: str, within: float = PATIENTLY) -> dict[str, Any]:
        return await self.stack.until_state(self.charger_id, state, number, within=within)

    async def stays_in(self, number: int, state: str) -> None:
        """It comes to this state, and is in it still when everything has settled."""
        await self.is_in(number, state)
        settled_at = time.monotonic() + SETTLE + 2
        while time.monotonic() < settled_at:
            assert (await self.show(number))["state"] == state
            await asyncio.sleep(0.3)

    async def agrees(self, number: int, port: int | None = 1, id_tag: str = TAG) -> None:
        """GET says active, and the charger truly holds it until the same second."""
        port_id = None if port is None else self._ports[port]

        async def same() -> bool:
            shown = await self.show(number)
            expires_at = datetime.fromisoformat(shown["expiryDate"]).astimezone(UTC).replace(microsecond=0)
            held = self.charger.reservations.get(number)
            is_held = held == (port, id_tag, expires_at) or not self._holds
            return bool(shown["state"] == "active" and shown["portId"] == port_id and is_held)

        await self.stack.until(
            same, f"both say {number} at port {port}", PATIENTLY, lambda: self.charger.reservations
        )

    async def is_free(self) -> None:
        """The charger truly holds nothing."""
        await self.comes_true(lambda: not self.charger.reservations, "the charger is free")

    async def comes_true(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something at the charger."""

        async def holds() -> bool:
            return condition()

        await self.stack.until(holds, what, PATIENTLY, lambda: self.charger.reservations)

    async def is_told(self, number: int, event: str, detail: str = "") -> None:
        """The timeline says so."""

        async def told() -> bool:
            timeline = (await self.show(number))["timeline"]
            return any(entry["event"] == event and detail in entry["detail"] for entry in timeline)

        await self.stack.until(told, f"{event} {detail} of {number}", PATIENTLY)

    async def last_story(self) -> str:
        """The timeline of the last reservation."""
        shown = await self.show(self._number)
        return "\n".join(f"{one['at']} {one['event']} {one['detail']}" for one in shown["timeline"])

    @property
    def starts(self) -> list[dict[str, Any]]:
        """What the charger sent of transactions that begin, or go on."""
        if self.charger.version == "1.6":
            return self.charger.sent("StartTransaction")
        return [event for event in self.charger.sent("TransactionEvent") if event["eventType"] != "Ended"]

    @property
    def numbers_told(self) -> list[int | None]:
        """The number that each of `starts` named."""
        return [message.get("reservationId") for message in self.starts]

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

        await self.stack.until(seen, f"{commands}", PATIENTLY, lambda: self.commands(number))
        settled_at = time.monotonic() + SETTLE + 1
        while time.monotonic() < settled_at:
            assert self.commands(number) == list(commands)
            await asyncio.sleep(0.1)
