"""What do encryption, tracing and a webhook cost a reservation?

Berth as it comes and Berth with one thing more switched on run side by side on one Temporal server, each in a
namespace and with a database, processes and simulated chargers of its own, and are loaded in turn.
"""

import asyncio
from contextlib import ExitStack
from functools import partial

import httpx

from bench.load import Path
from bench.paths import Fleet, start_berth, start_namespaces
from bench.rounds import Plan, Seen, in_turn
from bench.sink import Sink, start_sink
from bench.stack import Stack
from bench.table import Figure
from berth.database import migrate_async
from berth.payload_keys import fresh_key

FLEET = Fleet(20, 20)
PLAN = Plan(latency_rounds=18, latency_count=5, rate_rounds=3, rate_count=60)
P50_RATIO = 1.1

PLAIN = "plain"
EXPORT_EVERY = "200"  # milliseconds; by default 5 s, when other sides would bear what this one exports


async def measure() -> list[Figure]:
    """Latency alone and rate at 16 of each side, and how they compare with the plain one's."""
    with ExitStack() as houses:
        common = houses.enter_context(Stack())
        collector, receiver = [await start_sink(common, name) for name in ("collector", "receiver")]
        sides = {
            PLAIN: {},
            "encrypted": {"BERTH_PAYLOAD_KEY": fresh_key().in_setting()},
            "traced": {
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
                "OTEL_BSP_SCHEDULE_DELAY": EXPORT_EVERY,
            },
            "webhook": {"BERTH_WEBHOOK_PRIVATE_TARGETS": "true"},
        }
        *paths, told = await _start(houses, common, sides)
        await _add_webhook(told, receiver)
        plain, *others = await in_turn([*paths, told], PLAN)
        # What was switched on must have worked.
        await common.until("the spans", partial(collector.has, PLAN.latency_rounds))
        await common.until("the events", partial(receiver.has, others[-1].answered_count))
    figures = [plain.latency(), plain.rate(), plain.cost()]
    for seen in others:
        figures += _compared(seen, plain)
    return figures


async def _start(houses: ExitStack, common: Stack, sides: dict[str, dict[str, str]]) -> list[Path]:
    namespaces = await start_namespaces(common, "temporal", list(sides))
    own = [houses.enter_context(Stack()) for _ in sides]
    for stack in own:
        await migrate_async(stack.database_url)
    starting = (
        start_berth(stack, temporal, FLEET, name=name, settings=settings)
        for stack, temporal, (name, settings) in zip(own, namespaces, sides.items(), strict=True)
    )
    return await asyncio.gather(*starting)


async def _add_webhook(path: Path, receiver: Sink) -> None:
    """One that receives every event."""
    async with httpx.AsyncClient(headers=path.headers, trust_env=False) as http:
        url = httpx.URL(path.url).copy_with(path="/api/webhooks")
        (await http.post(url, json={"url": receiver.url})).raise_for_status()


def _compared(seen: Seen, plain: Seen) -> list[Figure]:
    p50, name = seen.p50_over(plain), seen.path.name
    return [
        seen.latency(),
        Figure(f"p50, {name} over {PLAIN}", str(p50), f"≤ {P50_RATIO:.2f} ×", p50.median <= P50_RATIO),
        seen.rate(),
        Figure(f"rate, {name} over {PLAIN}", str(seen.rate_over(plain))),
        seen.cost(),
        Figure(f"CPU, {name} over {PLAIN}", f"{seen.cost_over(plain):.2f} ×"),
    ]
