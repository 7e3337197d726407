"""Does what Berth says of each number agree with what its charger truly holds?"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from tests.acceptance.stack import Stack
from tests.chaos.callers import Page

ENDS = frozenset({"used", "expired", "cancelled", "removed", "rejected", "failed"})
AT_ONCE = 16
CALM = 4.0  # seconds for which all must agree: longer than the settle time and the grace of a kill test


@dataclass
class Verdict:
    """Numbers by what is wrong with them, each with its story."""

    lost: list[str] = field(default_factory=list)
    disagreeing: list[str] = field(default_factory=list)


class Judge:
    """Looks at all pages until they are settled, or time is up."""

    def __init__(self, stack: Stack, pages: list[Page]) -> None:
        self._stack = stack
        self._pages = pages
        self._port_numbers: dict[int, int] = {}
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def settled(self, within: float) -> Verdict:
        """The verdict as soon as nothing is wrong for a while, else the last one."""
        for identity in {page.charger.identity for page in self._pages}:
            for port in (await self._stack.about(identity))["ports"]:
                self._port_numbers[port["id"]] = port["portNumber"]
        deadline = time.monotonic() + within
        right_since: float | None = None
        doubtful = self._pages
        while True:
            verdict, wrong = await self._look(doubtful)
            if wrong:
                right_since, doubtful = None, wrong
            elif doubtful is not self._pages:
                doubtful = self._pages  # those that were right before may have moved since
                continue
            elif right_since is None:
                right_since = time.monotonic()
            elif time.monotonic() - right_since > CALM:
                return verdict
            if time.monotonic() > deadline:
                return (await self._look(self._pages))[0]
            await asyncio.sleep(0.5)

    async def _look(self, pages: list[Page]) -> tuple[Verdict, list[Page]]:
        verdict = Verdict()
        found = await asyncio.gather(*(self._wrong(page) for page in pages))
        wrong = [page for page, fault in zip(pages, found, strict=True) if fault is not None]
        for fault in found:
            if fault is not None:
                is_lost, story = fault
                (verdict.lost if is_lost else verdict.disagreeing).append(story)
        return verdict, wrong

    async def _wrong(self, page: Page) -> tuple[bool, str] | None:
        """Whether the number is lost or only disagrees, and its story; None when all is well."""
        async with self._gate:
            shown = await self._shown(page)
        held = page.charger.reservations.get(page.number)
        promised = page.promised is not None and page.promised_at > max(page.charger.faulted_at, default=0.0)
        if shown is None:
            is_lost, fault = page.answered, "404 although it was answered" if page.answered else None
            if not page.answered and held is not None:
                fault = "404 although the charger holds it"
        else:
            is_lost, fault = False, self._disagreement(shown, held)
            if fault is None and promised and held is None and not _is_over(page, shown):
                is_lost, fault = True, "promised, and not held"
            if fault is None and page.answered and shown["state"] == "failed":
                is_lost, fault = True, "answered, and never asked of the charger"
            if fault is None and page.used and shown["state"] != "used":
                is_lost, fault = True, "used, and not known to be"
        return None if fault is None else (is_lost, _story(page, shown, held, fault))

    def _disagreement(
        self, shown: dict[str, Any], held: tuple[int | None, str, datetime] | None
    ) -> str | None:
        state = shown["state"]
        if state == "active":
            terms = (
                self._port_numbers[shown["portId"]],
                shown["idTag"],
                datetime.fromisoformat(shown["expiryDate"]),
            )
            return None if terms == held else "active, and the charger holds something else"
        if state in ENDS:
            return None if held is None else "ended, and the charger holds it"
        return "not settled"

    async def _shown(self, page: Page) -> dict[str, Any] | None:
        path = f"/api/ocpp/reservations/{page.charger_id}/{page.number}"
        while True:
            try:
                response = await self._stack.http.get(path)
            except httpx.TransportError:
                continue
            if response.status_code == 503:
                continue
            if response.status_code == 404:
                return None
            assert response.status_code == 200, response.text
            data: dict[str, Any] = response.json()["data"]
            return data


def _is_over(page: Page, shown: dict[str, Any]) -> bool:
    """Whether the promise ended by its own terms."""
    return shown["state"] == "expired" and page.promised is not None and _is_past(page.promised.expires_at)


def _is_past(instant: datetime) -> bool:
    return instant <= datetime.now(instant.tzinfo)


def _story(page: Page, shown: dict[str, Any] | None, held: object, fault: str) -> str:
    lines = [f"{page.charger.identity} {page.number}: {fault}", f"  held by the charger: {held}"]
    lines += [f"  told: {word}" for word in page.told]
    if shown is not None:
        lines += [
            f"  {name}: {shown[name]}" for name in ("state", "reason", "evidence", "expiryDate", "idTag")
        ]
        lines += [f"  {item['at']} {item['event']} {item['detail']}" for item in shown["timeline"]]
    return "\n".join(lines)
