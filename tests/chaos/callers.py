"""Many callers who each live through one reservation after another, and write down what they were told."""

import asyncio
import itertools
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.acceptance.stack import Stack
from tests.chaos.watched import WatchedCharger

LONG, SHORT = 3600.0, 8.0  # seconds a reservation is asked for
ANSWERED_WITHIN = 300.0  # seconds a caller goes on asking
RETRY_AFTER = 0.5  # seconds


@dataclass(frozen=True)
class Wish:
    """What a caller asks for, as the charger should hold it."""

    port_number: int
    id_tag: str
    expires_at: datetime


@dataclass
class Page:
    """All that was asked and told under one number at one charger."""

    charger: WatchedCharger
    charger_id: int
    number: int
    answered: bool = False  # 200 or 202, at least once
    promised: Wish | None = None  # the last word was Accepted to this, and nobody ended it
    promised_at: float = 0.0
    used: bool = False  # its driver was let in, and nobody else ended it
    told: list[str] = field(default_factory=list)

    def note(self, word: str) -> None:
        """Write down what was told, once however often it is repeated."""
        if self.told[-1:] != [word]:
            self.told.append(word)

    def break_promise(self) -> None:
        """From now on nothing certain is expected of it."""
        self.promised, self.used = None, False


class Callers:
    """One caller at each port of each charger. Whoever is not answered asks again with the same number."""

    def __init__(self, stack: Stack, chargers: list[WatchedCharger], seed: str, wait: int) -> None:
        self.pages: list[Page] = []
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.unexpected: list[str] = []
        self._stack = stack
        self._chargers = chargers
        self._seed = seed
        self._prefer = {"Prefer": f"wait={wait}"}
        self._numbers = itertools.count(1)
        self._charger_ids: dict[str, int] = {}
        self._port_ids: dict[tuple[str, int], int] = {}
        self._is_over = False

    async def learn(self) -> None:
        """Ask the API for the ids of all chargers and ports."""
        for charger in self._chargers:
            about = await self._stack.about(charger.identity)
            self._charger_ids[charger.identity] = about["id"]
            for port in about["ports"]:
                self._port_ids[charger.identity, port["portNumber"]] = port["id"]

    async def run(self) -> None:
        """Live story after story until `stop`; returns when each of them is answered."""
        async with asyncio.TaskGroup() as callers:
            for charger in self._chargers:
                for port_number in charger.ports:
                    callers.create_task(self._live(charger, port_number))

    def stop(self) -> None:
        """Begin no new story."""
        self._is_over = True

    # --- stories -----------------------------------------------------------------------------------------

    async def _live(self, charger: WatchedCharger, port_number: int) -> None:
        chance = random.Random(f"{self._seed}/{charger.identity}/{port_number}")
        left: tuple[Page, Wish] | None = None
        while not self._is_over:
            if left is not None and chance.random() < 0.8:
                await self._cancel(left[0])
                left = None
            page = Page(charger, self._charger_ids[charger.identity], next(self._numbers))
            self.pages.append(page)
            last = await self._story(page, port_number, chance)
            left = left or (None if last is None else (page, last))
            await asyncio.sleep(chance.uniform(0, 0.5))

    async def _story(self, page: Page, port_number: int, chance: random.Random) -> Wish | None:
        """One number from its first request on; what may still be held of it, None when it is over."""
        plot = chance.choices(
            ["leave", "cancel", "regret", "change", "move", "again", "use", "expire", "reuse"],
            [10, 15, 10, 15, 10, 10, 15, 10, 10],
        )[0]
        wish = _wish(port_number, f"TAG-{page.number}", SHORT if plot == "expire" else LONG)
        if plot == "regret":
            await self._regret(page, wish, chance)
            return None
        await self._reserve(page, wish)
        await asyncio.sleep(chance.uniform(0, 0.5))
        match plot:
            case "cancel":
                await self._cancel(page)
                return None
            case "change":
                wish = _wish(port_number, chance.choice([wish.id_tag, f"NEW-{page.number}"]), LONG + 600)
                await self._reserve(page, wish)
            case "move":
                wish = _wish(3 - port_number, wish.id_tag, LONG)
                await self._reserve(page, wish)
            case "again":
                await asyncio.gather(self._reserve(page, wish), self._reserve(page, wish))
            case "use":
                return await self._use(page, wish, chance)
            case "reuse":
                await self._cancel(page)
                await self._reserve(page, wish)
            case "expire":
                return None
        return wish

    async def _regret(self, page: Page, wish: Wish, chance: random.Random) -> None:
        """Cancel while the request is under way: either may win."""

        async def soon_cancel() -> None:
            await asyncio.sleep(chance.uniform(0, 0.3))
            await self._cancel(page)

        await asyncio.gather(self._reserve(page, wish), soon_cancel())
        page.break_promise()
        await self._cancel(page)

    async def _use(self, page: Page, wish: Wish, chance: random.Random) -> Wish | None:
        charger, port_number = page.charger, wish.port_number
        if charger.reservations.get(page.number) != (wish.port_number, wish.id_tag, wish.expires_at):
            return wish
        await charger.plug_in(port_number)
        is_in = await charger.swipe(wish.id_tag, port_number)
        if is_in and page.number not in charger.reservations:
            page.promised, page.used = None, page.promised is not None
        await asyncio.sleep(chance.uniform(0, 0.5))
        await charger.unplug(port_number)
        page.note(f"the driver was {'' if is_in else 'not '}let in")
        return None if is_in else wish

    # --- requests ----------------------------------------------------------------------------------------

    async def _reserve(self, page: Page, wish: Wish) -> None:
        body = {
            "portId": self._port_ids[page.charger.identity, wish.port_number],
            "reservationId": page.number,
            "idTag": wish.id_tag,
            "expiryDate": wish.expires_at.isoformat(),
        }
        page.break_promise()
        told = await self._ask(page, "reserve", "/api/ocpp/reservations", body)
        if told.get("status") == "Accepted" and told.get("state") == "active":
            page.promised, page.promised_at = wish, time.monotonic()

    async def _cancel(self, page: Page) -> None:
        body = {"chargerId": page.charger_id, "reservationId": page.number}
        page.break_promise()
        await self._ask(page, "cancel", "/api/ocpp/reservations/cancel", body)

    async def _ask(self, page: Page, what: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """What was told; empty when nothing was within the time, or the expiry had passed by then."""
        deadline = time.monotonic() + ANSWERED_WITHIN
        while time.monotonic() < deadline:
            self.asked[what] += 1
            try:
                response = await self._stack.http.post(path, json=body, headers=self._prefer)
            except httpx.TransportError:
                page.note(f"{what}: no connection")
                await asyncio.sleep(RETRY_AFTER)
                continue
            if response.status_code == 503:
                page.note(f"{what}: 503 {response.json()['error']}")
                await asyncio.sleep(float(response.headers["Retry-After"]))
                continue
            if response.status_code in (200, 202):
                told: dict[str, Any] = response.json()["data"]
                self.answered[what] += 1
                page.answered = page.answered or what == "reserve"
                words = [str(told.get(name)) for name in ("status", "state", "reason")]
                page.note(f"{what}: {response.status_code} {' '.join(words)}")
                return told
            if "must be in the future" not in response.text:
                self.unexpected.append(f"{what}: {response.status_code} {response.text}")
            return {}
        story = "\n  ".join([f"{what} {page.number}: not answered in {ANSWERED_WITHIN:.0f} s", *page.told])
        self.unexpected.append(story)
        return {}


def _wish(port_number: int, id_tag: str, seconds: float) -> Wish:
    # On the wire there are whole seconds only.
    return Wish(port_number, id_tag, (datetime.now(UTC) + timedelta(seconds=seconds)).replace(microsecond=0))
