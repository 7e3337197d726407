"""What does encryption cost a reservation?

Berth as it comes and Berth with more switched on run side by side on one Temporal server, each in a namespace
and with a directory, processes and simulated chargers of its own, and are loaded in turn.
"""

from contextlib import ExitStack

from bench.house import House
from bench.load import Path
from bench.paths import Fleet, start_berth, start_namespaces
from bench.rounds import Plan, in_turn
from bench.table import Figure
from directory import migrate_async
from workflows.payload_codec import fresh_key

FLEET = Fleet(20, 20)
PLAN = Plan(latency_rounds=10, latency_count=12, rate_rounds=3, rate_count=60)
P50_RATIO = 1.1

PLAIN = "plain"


async def measure() -> list[Figure]:
    """Latency alone and rate at 16 of each side, and how they compare with the plain one's."""
    with ExitStack() as houses:
        plain, *others = await in_turn(await _start_sides(houses), PLAN)
    figures = [plain.latency(), plain.rate(), plain.cost()]
    for seen in others:
        p50, name = seen.p50_over(plain), seen.path.name
        figures += [
            seen.latency(),
            Figure(f"p50, {name} over {PLAIN}", f"{p50:.2f} ×", f"≤ {P50_RATIO:.2f} ×", p50 <= P50_RATIO),
            seen.rate(),
            Figure(f"rate, {name} over {PLAIN}", f"{seen.rate_over(plain):.2f} ×"),
            seen.cost(),
        ]
    return figures


async def _start_sides(houses: ExitStack) -> list[Path]:
    """The plain one is the first."""
    sides = {PLAIN: {}, "encrypted": {"BERTH_PAYLOAD_KEY": fresh_key().in_setting()}}
    namespaces = await start_namespaces(houses.enter_context(House()), "temporal", list(sides))
    paths = []
    for temporal, (name, settings) in zip(namespaces, sides.items(), strict=True):
        house = houses.enter_context(House())
        await migrate_async(house.database_url)
        paths.append(await start_berth(house, temporal, FLEET, name=name, settings=settings))
    return paths
