"""Watching for gateways that died, from a seat that is itself sure to be awake.

After a sleep of this process or an outage of the database every gateway looks silent: they are given the
time to answer.
"""

import asyncio
import time

import structlog

from berth.database import HEARTBEAT_LIFETIME, Database
from webhooks.charger_presence import ChargerPresence

log = structlog.get_logger(__name__)

_LOOK_EVERY = 5.0


async def watch_for_losses(
    database: Database,
    presence: ChargerPresence,
    every: float = _LOOK_EVERY,
    steady_for: float = HEARTBEAT_LIFETIME.total_seconds(),
) -> None:
    """Tell of lost chargers, for ever; only while the database has answered for `steady_for` seconds."""
    steady_since = answered_at = time.time()  # not the monotonic clock, which stands still in a sleep
    while True:
        await asyncio.sleep(every)
        try:
            await database.ping()
            now = time.time()
            if not 0 <= now - answered_at < 2 * every:
                steady_since = now
            answered_at = now
            if now - steady_since >= steady_for:
                await presence.look_for_lost()
        except Exception as error:
            log.warning("lost_chargers_not_told", error=repr(error))
            steady_since = time.time()
