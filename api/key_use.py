"""When API keys were last used: collected for a moment, then written together."""

import asyncio
import time
from datetime import timedelta

import structlog

from berth.database import Database, UnreachableError

log = structlog.get_logger(__name__)

NOTED_EVERY = timedelta(minutes=1)
"""How exact it is."""

WRITTEN_WITHIN = timedelta(seconds=5)


class KeyUse:
    """The keys that this process has seen; one write for all of them every few seconds at most."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noted_at: dict[int, float] = {}
        self._waiting: set[int] = set()
        self._writing: asyncio.Task[None] | None = None

    def note(self, key_id: int) -> None:
        """The key was used now; costs nothing when it was noted within the minute."""
        now = time.monotonic()
        noted_at = self._noted_at.get(key_id)
        if noted_at is not None and now - noted_at < NOTED_EVERY.total_seconds():
            return
        self._noted_at[key_id] = now
        self._waiting.add(key_id)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_later())

    async def close(self) -> None:
        """Write what waits."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        await self._write()

    async def _write_later(self) -> None:
        await asyncio.sleep(WRITTEN_WITHIN.total_seconds())
        await self._write()

    async def _write(self) -> None:
        key_ids, self._waiting = self._waiting, set()
        try:
            await self._database.keys.touch(key_ids)
        except UnreachableError:
            log.warning("key_use_not_written", keys=len(key_ids))
