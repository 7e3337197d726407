"""How many calls does the API reject in a second, beside those it answers?"""

import asyncio
import statistics
import time

from bench.raw_caller import RawCaller
from bench.sides import Side, start_api
from bench.stack import KEY, Stack
from bench.table import Figure
from bench.usage import cpu_seconds

CALLERS = 16  # each waits for its answer before the next call
ROUNDS, SECONDS = 4, 1.0  # of each kind in turn; all of it within the minute that a limit counts
WRONG_KEY = "wrong-wrong-wrong-wrong-wrong-wrong"


async def rejections(stack: Stack, side: Side) -> list[Figure]:
    """Calls a second and the API's CPU of each: answered, with a wrong key, over the limit of the key."""
    limited_port, limited = await start_api(stack, "api-limited", side.address, rate_limit=1)
    caller = await RawCaller.connect(limited_port, KEY)
    await caller.get(side.charger)  # the one call that its key has
    caller.close()
    kinds = {
        "answered": (side.api_port, side.api_process, KEY, 200),
        "with a wrong key (401)": (side.api_port, side.api_process, WRONG_KEY, 401),
        "over the limit (429)": (limited_port, limited, KEY, 429),
    }
    rounds = [[await _round(side.charger, *asked) for asked in kinds.values()] for _ in range(ROUNDS)]
    return [
        Figure(
            f"GET a charger, {kind}",
            f"{statistics.median(rate for rate, _ in seen):.0f}/s, "
            f"{statistics.median(cpu for _, cpu in seen) * 1e6:.0f} µs of CPU each",
        )
        for kind, seen in zip(kinds, zip(*rounds, strict=True), strict=True)
    ]


async def _round(path: str, port: int, process: int, key: str, status: int) -> tuple[float, float]:
    """Calls a second, and seconds of the API's CPU for each."""
    callers = [await RawCaller.connect(port, key) for _ in range(CALLERS)]
    started, cpu_before = time.perf_counter(), cpu_seconds({"api": process})["api"]

    async def ask(caller: RawCaller) -> int:
        count = 0
        while time.perf_counter() < started + SECONDS:
            await caller.get(path, status)
            count += 1
        return count

    count = sum(await asyncio.gather(*(ask(caller) for caller in callers)))
    elapsed, cpu = time.perf_counter() - started, cpu_seconds({"api": process})["api"] - cpu_before
    for caller in callers:
        caller.close()
    return count / elapsed, cpu / count
