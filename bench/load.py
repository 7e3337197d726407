"""The load: reservations by HTTP, each with its own number and port, so many at a time."""

import asyncio
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

TIMEOUT = 45.0  # seconds; longer than Berth itself lets a caller wait


@dataclass(frozen=True)
class Path:
    """Where reservations are asked for; each of `bodies` is one, and is used once."""

    name: str
    url: str
    bodies: Iterator[dict[str, Any]]
    processes: dict[str, int]  # name and id of each that serves it
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Round:
    """What one round of load saw."""

    latencies: list[float]  # seconds
    elapsed: float  # seconds
    unanswered: int  # 202, 5xx or nothing: the charger's answer did not come in time

    @property
    def rate(self) -> float:
        """Reservations a second that the charger answered in time."""
        return (len(self.latencies) - self.unanswered) / self.elapsed

    @property
    def p50(self) -> float:
        """Seconds."""
        return statistics.median(self.latencies)


async def load(path: Path, count: int, concurrency: int) -> Round:
    """Make `count` reservations. Raises RuntimeError when one is refused."""
    limits = httpx.Limits(max_connections=concurrency)
    latencies: list[float] = []
    statuses: list[int] = []
    left = iter(range(count))
    async with httpx.AsyncClient(
        headers=path.headers, limits=limits, timeout=TIMEOUT, trust_env=False
    ) as http:

        async def ask() -> None:
            for _ in left:
                status, latency = await _reserve(http, path)
                statuses.append(status)
                latencies.append(latency)

        started = time.perf_counter()
        async with asyncio.TaskGroup() as callers:
            for _ in range(concurrency):
                callers.create_task(ask())
        return Round(latencies, time.perf_counter() - started, len(statuses) - statuses.count(200))


async def _reserve(http: httpx.AsyncClient, path: Path) -> tuple[int, float]:
    body = next(path.bodies)
    started = time.perf_counter()
    try:
        response = await http.post(path.url, json=body)
    except httpx.ReadTimeout:
        return httpx.codes.GATEWAY_TIMEOUT, TIMEOUT
    elapsed = time.perf_counter() - started
    is_late = response.status_code == 202 or response.is_server_error
    if not is_late and '"Accepted"' not in response.text:
        raise RuntimeError(f"{path.name} answered {response.status_code} {response.text[:500]}")
    return response.status_code, elapsed
