"""Deleting what has had its time, once an hour. Any number of gateways may do it at once."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from berth.database import Database

log = structlog.get_logger(__name__)

MESSAGES_KEPT = timedelta(days=30)
WEBHOOK_DELIVERIES_KEPT = timedelta(days=30)
"""From their end."""
ANSWERS_KEPT = timedelta(days=1)
"""How long a repeated request finds the answer to its idempotency key."""

_EVERY = 3600.0  # seconds, more or less, so that gateways started together part
_FIRST_AFTER = 300.0  # so that one that restarts often does it too


async def run_housekeeping(
    database: Database, every: float = _EVERY, first_after: float = _FIRST_AFTER
) -> None:
    """Sweep again and again, for ever."""
    await asyncio.sleep(_jittered(first_after))
    while True:
        await sweep(database)
        await asyncio.sleep(_jittered(every))


async def sweep(database: Database) -> None:
    """Delete what is old, once; what fails is tried again with the next sweep."""
    await _delete("messages", lambda: database.messages.prune(MESSAGES_KEPT))
    await _delete("live_reservations", database.subscriptions.prune)
    await _delete("idempotency", lambda: database.idempotency.prune(ANSWERS_KEPT))
    await _delete("webhook_deliveries", lambda: database.deliveries.prune(WEBHOOK_DELIVERIES_KEPT))
    await _delete("gateways", database.links.prune)


async def _delete(what: str, prune: Callable[[], Awaitable[int]]) -> None:
    try:
        count = await prune()
    except Exception:
        log.exception("housekeeping_failed", what=what)
    else:
        if count:
            log.info("housekeeping_done", what=what, deleted_count=count)


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.7, 1.3)  # noqa: S311 - jitter
