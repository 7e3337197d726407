"""Fixtures: a central system on a free port, and chargers that end with the test."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from simulator import Fleet, SimulatedCharger
from tests.simulator.central_system import CentralSystem, Link
from tests.simulator.until import until


@pytest.fixture
async def central() -> AsyncIterator[CentralSystem]:
    """A central system; what chargers said to it must have kept the official schemas."""
    async with CentralSystem() as central:
        yield central
    assert central.violations == []


@pytest.fixture
async def fleet(central: CentralSystem) -> AsyncIterator[Fleet]:
    """An empty fleet with short waits."""
    async with Fleet(central.url, reconnect_seconds=(0.02,), restart_seconds=0.02, keep_frames=1000) as fleet:
        yield fleet


class Bench:
    """One charger and its link."""

    def __init__(self, central: CentralSystem, charger: SimulatedCharger) -> None:
        self.central = central
        self.charger = charger

    @property
    def link(self) -> Link:
        return self.central.links[self.charger.identity]

    async def reserve(
        self,
        reservation_id: int = 1,
        port: int | None = 1,
        tag: str = "TAG-A",
        seconds: float = 600,
        parent: str | None = None,
        **more: Any,
    ) -> str:
        """Send ReserveNow; the status, or the code of the CALLERROR."""
        frame = await self.link.ask(
            "ReserveNow", self.reserve_payload(reservation_id, port, tag, seconds, parent, **more)
        )
        return str(frame[2]["status"] if frame[0] == 3 else frame[2])

    def reserve_payload(
        self,
        reservation_id: int = 1,
        port: int | None = 1,
        tag: str = "TAG-A",
        seconds: float = 600,
        parent: str | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """The payload of ReserveNow in the charger's version."""
        expiry = self.charger.clock().astimezone(UTC) + timedelta(seconds=seconds)
        date = wire(expiry)
        if self.charger.version == "1.6":
            payload: dict[str, Any] = {
                "connectorId": port or 0,
                "expiryDate": date,
                "idTag": tag,
                "reservationId": reservation_id,
            }
            if parent:
                payload["parentIdTag"] = parent
        else:
            payload = {
                "id": reservation_id,
                "expiryDateTime": date,
                "idToken": {"idToken": tag, "type": "Central"},
            }
            if port is not None:
                payload["evseId"] = port
            if parent:
                payload["groupIdToken"] = {"idToken": parent, "type": "Central"}
        return payload | more

    async def cancel(self, reservation_id: int = 1) -> str:
        """Send CancelReservation; the status, or the code of the CALLERROR."""
        frame = await self.link.ask("CancelReservation", {"reservationId": reservation_id})
        return str(frame[2]["status"] if frame[0] == 3 else frame[2])

    async def change_availability(self, port: int, operative: bool) -> str:
        """Send ChangeAvailability; the status."""
        word = "Operative" if operative else "Inoperative"
        payload: dict[str, Any] = {"connectorId": port, "type": word}
        if self.charger.version == "2.0.1":
            payload = {"evse": {"id": port}, "operationalStatus": word}
        return str((await self.link.call("ChangeAvailability", payload))["status"])

    async def shows(self, *statuses: str, port: int = 1) -> None:
        """Wait until the last statuses reported for a port are these."""
        await until(lambda: tuple(self.statuses(port)[-len(statuses) :]) == statuses)

    def statuses(self, port: int = 1) -> list[str]:
        return self.central.statuses(self.charger.identity, port)

    def calls(self, action: str) -> list[dict[str, Any]]:
        return self.central.calls(self.charger.identity, action)


def wire(instant: datetime) -> str:
    """An instant as the wire has it."""
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


BenchMaker = Callable[..., Any]


@pytest.fixture
def bench(central: CentralSystem, fleet: Fleet) -> BenchMaker:
    """Makes a booted charger with its link: `await bench(version="1.6", personality="sap16")`."""

    async def make(identity: str = "C1", **options: Any) -> Bench:
        charger = fleet.add(identity, **options)
        await until(lambda: charger.booted.is_set())
        return Bench(central, charger)

    return make
