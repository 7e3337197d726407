"""How much waits in this gateway, in one log line now and then: every queue is bounded, none is hidden.

How many events wait in the database is looked up now and then for the metrics, never by a scrape.
"""

import asyncio
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import structlog

from berth.database import Database
from gateway.gateway_metrics import EVENTS_OLDEST_AGE, EVENTS_UNDELIVERED

log = structlog.get_logger(__name__)

_LOOK_EVERY = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Load:
    """What there is and what waits at one instant."""

    charger_count: int
    calls_waiting: int
    """CALLs of chargers whose turn has not come, of all sockets."""
    deliveries_waiting: int
    """Chargers whose events are on their way to workflows."""
    messages_waiting: int
    """Exchanges the message log has not written yet."""
    messages_dropped: int
    """Exchanges it gave up since the process started."""

    def peak(self, other: "Load") -> "Load":
        """The greater of each."""
        ours, theirs = asdict(self), asdict(other)
        return Load(**{name: max(ours[name], theirs[name]) for name in ours})


async def report_load(look: Callable[[], Load], every: float) -> None:
    """Log `gateway_load`, the peaks of the last `every` seconds, for ever; nothing when it is 0."""
    while every > 0:
        peak = look()
        for _ in range(max(1, round(every / _LOOK_EVERY))):
            await asyncio.sleep(min(every, _LOOK_EVERY))
            peak = peak.peak(look())
        log.info("gateway_load", **asdict(peak))


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
