"""How many events wait in the database, for the metrics: looked up now and then, never by a scrape."""

import asyncio
import math

import structlog

from berth.database import Database
from gateway.gateway_metrics import EVENTS_OLDEST_AGE, EVENTS_UNDELIVERED

log = structlog.get_logger(__name__)

LOOK_EVERY = 15.0  # seconds, as often as Prometheus asks by default


async def report_backlog(database: Database, every: float = LOOK_EVERY) -> None:
    """Keep the gauges of undelivered events up to date, for ever; NaN while the database fails."""
    while True:
        try:
            backlog = await database.events.backlog()
        except Exception:
            log.exception("backlog_unknown")
            EVENTS_UNDELIVERED.set(math.nan)
            EVENTS_OLDEST_AGE.set(math.nan)
        else:
            EVENTS_UNDELIVERED.set(backlog.count)
            EVENTS_OLDEST_AGE.set(backlog.oldest_age.total_seconds())
        await asyncio.sleep(every)
