"""Many chargers at one stack, and what a caller does with all of them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from simulator.charger import SimulatedCharger
from simulator.fleet import Fleet
from tests.acceptance.stack import Stack

AT_ONCE = 24
ID_TAG = "STORM"


@dataclass(frozen=True)
class Place:
    """A port, as the API knows it."""

    charger: SimulatedCharger
    charger_id: int
    port_id: int
    port_number: int


class Crowd:
    """Chargers of both versions, connected to a stack; they come back half a second after they lost it."""

    def __init__(self, stack: Stack, fleet: Fleet) -> None:
        self._stack = stack
        self._fleet = fleet
        self._gate = asyncio.Semaphore(AT_ONCE)

    @property
    def chargers(self) -> list[SimulatedCharger]:
        return list(self._fleet.chargers.values())

    async def shown(self) -> list[dict[str, Any]]:
        """All chargers as the API shows them."""
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            response = await self._stack.http.get("/api/chargers", params={"limit": "500", **cursor})
            assert response.status_code == 200, response.text
            page = response.json()
            found += page["data"]
            if not page["pagination"]["hasNextPage"]:
                return found
            cursor = {"nextPageCursor": page["pagination"]["nextPageCursor"]}

    async def until_routed(self, since: datetime, within: float) -> None:
        """Wait until each charger takes commands on a socket that was opened after `since`."""
        count = 0

        async def all_are() -> bool:
            nonlocal count
            states = [charger["connectionStatus"] for charger in await self.shown()]
            count = sum(
                state["status"] == "Connected" and datetime.fromisoformat(state["timestamp"]) > since
                for state in states
                if state is not None
            )
            return count == len(self.chargers)

        await self._stack.until(all_are, "all chargers are routed", within, lambda: count)

    async def places(self, port_number: int) -> list[Place]:
        """The ports of that number, of all chargers."""
        return [
            Place(self._fleet[charger["ocppId"]], charger["id"], port["id"], port["portNumber"])
            for charger in await self.shown()
            for port in charger["ports"]
            if port["portNumber"] == port_number
        ]

    async def reserve(self, places: Iterable[Place], expires_at: datetime, wait: int = 20) -> list[str]:
        """Reserve all of them, under the number of the port; the statuses that were answered."""
        return list(await asyncio.gather(*(self._reserve(place, expires_at, wait) for place in places)))

    async def hold(self, places: list[Place], expires_at: datetime) -> None:
        """Reserve all of them, and wait until each is active: on a busy machine some are told Pending."""
        told = await self.reserve(places, expires_at)
        assert set(told) <= {"Accepted", "Pending"}, told
        await self.until_all(
            places, "active", lambda shown: bool(shown["state"] == "active"), 60 + len(places) / 10
        )

    async def until_all(
        self,
        places: Iterable[Place],
        what: str,
        is_right: Callable[[dict[str, Any]], bool],
        within: float,
    ) -> list[tuple[Place, dict[str, Any]]]:
        """Wait until what GET says of each reservation is right; that, in the order it became so."""
        left = list(places)
        found: list[tuple[Place, dict[str, Any]]] = []
        states: Counter[str] = Counter()

        async def all_are() -> bool:
            seen = list(zip(left, await asyncio.gather(*(self._look(one) for one in left)), strict=True))
            found.extend((place, shown) for place, shown in seen if is_right(shown))
            left[:] = [place for place, shown in seen if not is_right(shown)]
            states.clear()
            states.update(f"{shown['state']} {shown['reason']}" for _, shown in seen if not is_right(shown))
            return not left

        await self._stack.until(all_are, f"all are {what}", within, lambda: states)
        return found

    async def _reserve(self, place: Place, expires_at: datetime, wait: int) -> str:
        body = {
            "portId": place.port_id,
            "reservationId": place.port_id,
            "idTag": ID_TAG,
            "expiryDate": expires_at.isoformat(),
        }
        async with self._gate:
            while True:  # 503 means: ask again with the same number
                response = await self._stack.http.post(
                    "/api/ocpp/reservations", json=body, headers={"Prefer": f"wait={wait}"}
                )
                if response.status_code != 503:
                    assert response.status_code in (200, 202), response.text
                    return str(response.json()["data"]["status"])

    async def _look(self, place: Place) -> dict[str, Any]:
        path = f"/api/ocpp/reservations/{place.charger_id}/{place.port_id}"
        async with self._gate:
            while True:
                response = await self._stack.http.get(path)
                if response.status_code != 503:
                    assert response.status_code == 200, response.text
                    data: dict[str, Any] = response.json()["data"]
                    return data


@asynccontextmanager
async def crowd(stack: Stack, count: int, ports: int) -> AsyncIterator[Crowd]:
    """So many chargers, connected and routed."""
    began = datetime.now(UTC)
    fleet = Fleet(
        stack.gateway_url, ports=ports, keep_frames=0, reconnect_seconds=(0.5,), heartbeat_seconds=3600
    )
    for number in range(count):
        fleet.add(f"STORM-{number}", version="1.6" if number % 2 else "2.0.1")
    async with fleet:
        await fleet.wait_until_booted(60 + count / 10)
        everyone = Crowd(stack, fleet)
        await everyone.until_routed(began, 60)
        yield everyone
