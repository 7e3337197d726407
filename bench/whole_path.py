"""How much does Berth add to the bare Temporal path?

Both paths run side by side on one Temporal server, each with its own processes and simulated chargers, and
are loaded in turn, so that whatever else the machine does hits both.
"""

import asyncio
import itertools
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.house import House
from bench.load import Path, Round, load
from bench.paths import start_paths
from bench.table import Figure
from bench.usage import cpu_seconds

WARM_UP = 40
LATENCY_ROUNDS, LATENCY_COUNT = 5, 20
RATE_ROUNDS, RATE_COUNT = 4, 100
CONCURRENCY = 16
TIME_LIMIT = 70.0  # seconds for either kind of rounds; a busy machine gets fewer of them
PAUSE = 1.0  # seconds between rounds: what one path still does must not burden the other

P50_RATIO, RATE_RATIO = 1.2, 0.85


@dataclass
class Seen:
    """What the rounds of one path showed."""

    path: Path
    alone: list[Round] = field(default_factory=list)
    crowded: list[Round] = field(default_factory=list)
    cpu: Counter[str] = field(default_factory=Counter)  # seconds, by process, of the crowded rounds


async def measure() -> list[Figure]:
    """Latency alone and rate at 16, of both paths, and how they compare."""
    with House() as house:
        bare, berth = (Seen(path) for path in await start_paths(house))
        for seen in (bare, berth):
            await load(seen.path, WARM_UP, CONCURRENCY // 2)
            await asyncio.sleep(PAUSE)
        for _ in _rounds(LATENCY_ROUNDS):
            for seen in (bare, berth):
                seen.alone.append(await load(seen.path, LATENCY_COUNT, 1))
                await asyncio.sleep(PAUSE)
        for _ in _rounds(RATE_ROUNDS):
            for seen in (bare, berth):
                seen.cpu.subtract(cpu_seconds(seen.path.processes))
                seen.crowded.append(await load(seen.path, RATE_COUNT, CONCURRENCY))
                await asyncio.sleep(PAUSE)
                seen.cpu.update(cpu_seconds(seen.path.processes))
    return [*_latency(bare, berth), *_rate(bare, berth), *_cost(bare, berth)]


def _rounds(count: int) -> Iterator[int]:
    deadline = time.monotonic() + TIME_LIMIT
    return itertools.takewhile(lambda _: time.monotonic() < deadline, range(count))


def _latency(bare: Seen, berth: Seen) -> list[Figure]:
    ratio = statistics.median(
        theirs.p50 / plain.p50 for plain, theirs in zip(bare.alone, berth.alone, strict=True)
    )
    return [
        Figure("latency alone, bare path", _percentiles(bare.alone)),
        Figure("latency alone, Berth", _percentiles(berth.alone)),
        Figure("p50, Berth over bare", f"{ratio:.2f} ×", f"≤ {P50_RATIO} ×", ratio <= P50_RATIO),
    ]


def _rate(bare: Seen, berth: Seen) -> list[Figure]:
    ratio = statistics.median(
        theirs.rate / plain.rate for plain, theirs in zip(bare.crowded, berth.crowded, strict=True)
    )
    return [
        Figure(f"rate at {CONCURRENCY}, bare path", _rates(bare.crowded)),
        Figure(f"rate at {CONCURRENCY}, Berth", _rates(berth.crowded)),
        Figure("rate, Berth over bare", f"{ratio:.2f} ×", f"≥ {RATE_RATIO} ×", ratio >= RATE_RATIO),
    ]


def _cost(bare: Seen, berth: Seen) -> list[Figure]:
    """CPU of a reservation: says where the difference comes from, whatever else the machine does."""
    return [
        Figure(f"CPU of one, {name}", _cpu(seen)) for name, seen in (("bare path", bare), ("Berth", berth))
    ]


def _percentiles(rounds: list[Round]) -> str:
    latencies = [latency * 1000 for its_round in rounds for latency in its_round.latencies]
    percentiles = statistics.quantiles(latencies, n=100, method="inclusive")
    return f"p50 {percentiles[49]:.0f} ms, p99 {percentiles[98]:.0f} ms"


def _rates(rounds: list[Round]) -> str:
    rates = [its_round.rate for its_round in rounds]
    unanswered = sum(its_round.unanswered for its_round in rounds)
    late = f", {unanswered} unanswered" if unanswered else ""
    return f"{statistics.median(rates):.1f}/s ({min(rates):.1f} to {max(rates):.1f}){late}"


def _cpu(seen: Seen) -> str:
    count = sum(len(its_round.latencies) for its_round in seen.crowded)
    each = {name: seconds * 1000 / count for name, seconds in seen.cpu.items()}
    parts = ", ".join(f"{name} {milliseconds:.1f}" for name, milliseconds in each.items())
    return f"{sum(each.values()):.0f} ms: {parts}"
