"""How much does Berth add to the bare Temporal path?

Both paths run side by side on one Temporal server, each with its own processes and simulated chargers, and
are loaded in turn, so that whatever else the machine does hits both.
"""

from bench.paths import start_paths
from bench.rounds import Plan, in_turn
from bench.stack import Stack
from bench.table import Figure

PLAN = Plan(latency_rounds=15, latency_count=20, rate_rounds=4, rate_count=100)

P50_RATIO, RATE_RATIO = 1.25, 0.8


async def measure() -> list[Figure]:
    """Latency alone and rate at 16, of both paths, and how they compare."""
    with Stack() as stack:
        bare, berth = await in_turn(await start_paths(stack), PLAN)
    p50, rate = berth.p50_over(bare), berth.rate_over(bare)
    return [
        bare.latency(),
        berth.latency(),
        Figure("p50, Berth over bare", str(p50), f"≤ {P50_RATIO} ×", p50.median <= P50_RATIO),
        bare.rate(),
        berth.rate(),
        Figure("rate, Berth over bare", str(rate), f"≥ {RATE_RATIO} ×", rate.median >= RATE_RATIO),
        bare.cost(),
        berth.cost(),
    ]
