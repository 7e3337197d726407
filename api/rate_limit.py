"""So many requests a minute per API key; the minute begins with the first of them."""

import asyncio
import time
from datetime import timedelta
from math import ceil

import structlog
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from api.errors import TooMany
from berth.settings import Settings

log = structlog.get_logger(__name__)

STORE_WITHIN = timedelta(milliseconds=250)
"""A store that is slower than this is as good as away: it must not hold up reservations."""

STORE_RESTS = timedelta(seconds=10)
"""How long a store that failed is left alone; this process counts for itself meanwhile."""


class RateLimit:
    """Counts the requests of each key, in a store that API processes share or in this process alone."""

    def __init__(self, settings: Settings) -> None:
        self._limit = RateLimitItemPerMinute(settings.rate_limit) if settings.rate_limit else None
        self._own = FixedWindowRateLimiter(MemoryStorage())
        self._pool = None
        self._shared = None
        self._shared_rests_until = 0.0
        if settings.rate_limit_store is not None:
            url = settings.rate_limit_store.get_secret_value()
            self._pool = ConnectionPool.from_url(url, retry=Retry(NoBackoff(), 0))
            self._shared = FixedWindowRateLimiter(_redis(url, self._pool))

    async def count(self, key_id: int) -> None:
        """Count one request of the key. Raises TooMany."""
        if self._limit is None:
            return
        if self._shared is not None and time.monotonic() >= self._shared_rests_until:
            try:
                async with asyncio.timeout(STORE_WITHIN.total_seconds()):
                    await _count(self._shared, self._limit, key_id)
            except (RedisError, OSError) as error:  # a TimeoutError is an OSError
                self._shared_rests_until = time.monotonic() + STORE_RESTS.total_seconds()
                log.warning("rate_limit_store_away", error=type(error).__name__)
            else:
                return
        await _count(self._own, self._limit, key_id)

    async def close(self) -> None:
        """Close the connections to the store."""
        if self._pool is not None:
            await self._pool.aclose()


async def _count(limiter: FixedWindowRateLimiter, limit: RateLimitItemPerMinute, key_id: int) -> None:
    if await limiter.hit(limit, str(key_id)):
        return
    ends_at, _ = await limiter.get_window_stats(limit, str(key_id))
    raise TooMany(
        f"too many requests: this API key may make {limit.amount} a minute",
        retry_after=max(1, ceil(ends_at - time.time())),
    )


def _redis(url: str, pool: ConnectionPool) -> RedisStorage:
    return RedisStorage(
        f"async+{url}",
        implementation="redispy",
        key_prefix="berth",
        connection_pool=pool,  # type: ignore[arg-type]  # documented; its annotation knows plain values only
    )
