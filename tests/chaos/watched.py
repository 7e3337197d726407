"""A simulated charger that notices what must never happen to it."""

import asyncio
import random
import time
from collections import Counter
from typing import Any

from simulator.charger import SimulatedCharger
from simulator.commands import Handler, Reply
from simulator.wire import Payload


class WatchedCharger(SimulatedCharger):
    """It thinks for a moment before and after it does what ReserveNow and CancelReservation ask.

    `doubled` tells of each number it held twice, and of each command that came while another one with the
    same number and different content was open. `faulted_at` are the instants (monotonic) of its faults.
    """

    def __init__(self, identity: str, url: str, *, chance: random.Random, thinks: float, **options: Any):
        super().__init__(identity, url, **options)
        self.doubled: list[str] = []
        self.faulted_at: list[float] = []
        self._chance = chance
        self._thinks = thinks
        self._open: list[tuple[int, Payload]] = []
        slow = {name: self._slowly(self.handlers[name]) for name in ("ReserveNow", "CancelReservation")}
        self.handlers = {**self.handlers, **slow}

    def reservations_changed(self) -> None:
        """Also looks for a number that is held twice."""
        super().reservations_changed()
        counts = Counter(held.reservation_id for held in self.table.held)
        twice = [number for number, count in counts.items() if count > 1]
        if twice:
            self.doubled.append(f"{self.identity} holds {twice} twice")

    async def fault(self, port: int) -> None:
        """Also remembers when."""
        self.faulted_at.append(time.monotonic())
        await super().fault(port)

    def _slowly(self, handler: Handler) -> Handler:
        async def answer(charger: SimulatedCharger, payload: Payload) -> Reply | None:
            mine = (int(payload.get("id") or payload["reservationId"]), payload)
            for other in self._open:
                if other[0] == mine[0] and other != mine:
                    self.doubled.append(f"{self.identity} was asked {payload} while {other[1]} was open")
            self._open.append(mine)
            try:
                await asyncio.sleep(self._chance.uniform(0, self._thinks))
                reply = await handler(charger, payload)
                await asyncio.sleep(self._chance.uniform(0, self._thinks))
            finally:  # also when the socket dies under it
                self._open.remove(mine)
            return reply

        return answer
