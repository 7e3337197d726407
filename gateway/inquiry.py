"""Asking chargers what they can do: some seconds after they are there, and never in a command's way.

What they say is for people and programs to look at; no command asks it before it goes out.
"""

import asyncio
import random
from datetime import timedelta

import structlog

from berth.charger_link import InDoubt, NotSent
from berth.database import Capabilities, Database
from gateway.registry import Registry
from gateway.session import ChargerSession

log = structlog.get_logger(__name__)

INQUIRE_AFTER = timedelta(seconds=5)
"""From a charger's readiness or boot; reservations that waited for it have gone out by then."""

_SPREAD = 5.0  # times as long at most: after a restart thousands of chargers come at once
_ATTEMPTS = 5


class Inquirer:
    """Asks the chargers of this gateway, each at most once an hour, or when its firmware is new."""

    def __init__(
        self, database: Database, registry: Registry, inquire_after: timedelta = INQUIRE_AFTER
    ) -> None:
        self._database = database
        self._registry = registry
        self._inquire_after = inquire_after.total_seconds()
        self._under_way: dict[int, asyncio.Task[None]] = {}

    def ask_soon(self, charger_id: int) -> None:
        """Ask this charger when its time has come and its line is free; returns at once."""
        if charger_id not in self._under_way:
            self._under_way[charger_id] = asyncio.create_task(self._ask(charger_id))

    async def stop(self) -> None:
        """Ask nobody any more."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, charger_id: int) -> None:
        try:
            for _ in range(_ATTEMPTS):
                await asyncio.sleep(self._inquire_after * random.uniform(1, _SPREAD))  # noqa: S311 - jitter
                session = self._registry.of(charger_id)
                if session is None or await self._has_settled(session):
                    return
        except Exception:
            # In practice the database; the charger's next boot or connection begins anew.
            log.exception("capabilities_not_asked", charger_id=charger_id)
        finally:
            del self._under_way[charger_id]

    async def _has_settled(self, session: ChargerSession) -> bool:
        """Whether there is nothing more to ask of this charger."""
        if not session.is_ready:
            return False
        if not await self._database.capabilities.is_due(session.charger_id):
            return True
        try:
            said = await session.inquire()
        except NotSent:  # commands go first, or the socket is gone
            return False
        except InDoubt:
            said = Capabilities()
        await self._database.capabilities.said(session.charger_id, said)
        log.info(
            "capabilities_asked",
            charger_id=session.charger_id,
            reservations=said.reservations,
            whole_charger=said.whole_charger,
        )
        return True
