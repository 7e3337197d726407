"""Rounds of load on several paths, side by side and in turn, and how what they show compares.

What else the machine does hits all of them: what is compared are neighbouring rounds.
"""

import asyncio
import itertools
import math
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bench.load import Path, Round, load
from bench.table import Figure
from bench.usage import cpu_seconds

WARM_UP = 40
CONCURRENCY = 16
TIME_LIMIT = 70.0  # seconds for either kind of rounds; a busy machine gets fewer of them
FEWEST = 2  # rounds, however busy it is
STEP, QUIET, PATIENCE = 0.25, 0.1, 5.0  # seconds, of them at most that share on the CPU, and how long to wait


@dataclass(frozen=True)
class Plan:
    """How many rounds of how many reservations: one at a time, and CONCURRENCY at once."""

    latency_rounds: int
    latency_count: int
    rate_rounds: int
    rate_count: int


@dataclass(frozen=True)
class Ratio:
    """How two paths compare, in each pair of neighbouring rounds."""

    values: list[float]

    @classmethod
    def of(cls, ours: list[float], theirs: list[float]) -> "Ratio":
        """Round by round."""
        return cls([one / other for one, other in zip(ours, theirs, strict=True)])

    @property
    def median(self) -> float:
        """The one that counts."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return f"{self.median:.2f} × ({low:.2f} to {high:.2f})"


@dataclass
class Seen:
    """What the rounds of one path showed."""

    path: Path
    alone: list[Round] = field(default_factory=list)
    crowded: list[Round] = field(default_factory=list)
    cpu: Counter[str] = field(default_factory=Counter)  # seconds, by process, of the crowded rounds

    def p50_over(self, other: "Seen") -> Ratio:
        """How its latency compares with that of another path."""
        return Ratio.of([one.p50 for one in self.alone], [one.p50 for one in other.alone])

    def rate_over(self, other: "Seen") -> Ratio:
        """How its rate compares with that of another path."""
        return Ratio.of([one.rate for one in self.crowded], [one.rate for one in other.crowded])

    @property
    def answered_count(self) -> int:
        """Reservations that the charger answered in time."""
        return sum(len(one.latencies) - one.unanswered for one in self.alone + self.crowded)

    def latency(self) -> Figure:
        """Percentiles of the rounds alone."""
        latencies = [latency * 1000 for one in self.alone for latency in one.latencies]
        percentiles = statistics.quantiles(latencies, n=100, method="inclusive")
        value = f"p50 {percentiles[49]:.0f} ms, p99 {percentiles[98]:.0f} ms"
        return Figure(f"latency alone, {self.path.name}", value)

    def rate(self) -> Figure:
        """Reservations a second of the crowded rounds."""
        rates = [one.rate for one in self.crowded]
        unanswered = sum(one.unanswered for one in self.crowded)
        late = f", {unanswered} unanswered" if unanswered else ""
        value = f"{statistics.median(rates):.1f}/s ({min(rates):.1f} to {max(rates):.1f}){late}"
        return Figure(f"rate at {CONCURRENCY}, {self.path.name}", value)

    def cost(self) -> Figure:
        """CPU of a reservation: says where a difference comes from, whatever else the machine does."""
        each = self._cpu_of_one()
        parts = ", ".join(f"{name} {seconds * 1000:.1f}" for name, seconds in each.items())
        return Figure(f"CPU of one, {self.path.name}", f"{sum(each.values()) * 1000:.0f} ms: {parts}")

    def cost_over(self, other: "Seen") -> float:
        """How the CPU of a reservation compares with that of another path."""
        return sum(self._cpu_of_one().values()) / sum(other._cpu_of_one().values())

    def _cpu_of_one(self) -> dict[str, float]:
        count = sum(len(one.latencies) for one in self.crowded)
        return {name: seconds / count for name, seconds in self.cpu.items()}


async def in_turn(paths: Sequence[Path], plan: Plan) -> list[Seen]:
    """Load the paths in turn, each time beginning with the next; what each showed."""
    all_seen = [Seen(path) for path in paths]
    for seen in all_seen:
        await load(seen.path, WARM_UP, CONCURRENCY // 2)
        await _until_quiet(seen.path)
    for turn in _turns(all_seen, plan.latency_rounds):
        for seen in turn:
            seen.alone.append(await load(seen.path, plan.latency_count, 1))
            await _until_quiet(seen.path)
    for turn in _turns(all_seen, plan.rate_rounds):
        for seen in turn:
            seen.cpu.subtract(cpu_seconds(seen.path.processes))
            seen.crowded.append(await load(seen.path, plan.rate_count, CONCURRENCY))
            await _until_quiet(seen.path)
            seen.cpu.update(cpu_seconds(seen.path.processes))
    return all_seen


async def _until_quiet(path: Path) -> None:
    """Wait for what a path still does after a round: it must not burden the next one."""
    deadline = time.monotonic() + PATIENCE
    used, before = math.inf, cpu_seconds(path.processes).total()
    while used > QUIET * STEP and time.monotonic() < deadline:
        await asyncio.sleep(STEP)
        now = cpu_seconds(path.processes).total()
        used, before = now - before, now


def _turns(all_seen: list[Seen], count: int) -> Iterator[list[Seen]]:
    deadline = time.monotonic() + TIME_LIMIT
    for number in itertools.takewhile(lambda it: it < FEWEST or time.monotonic() < deadline, range(count)):
        first = number % len(all_seen)
        yield all_seen[first:] + all_seen[:first]
