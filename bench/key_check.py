"""How long does the database take to tell whose key it is, with few and with many keys?"""

import itertools
import statistics
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack

from bench.sides import Side
from bench.stack import Stack
from bench.table import Figure
from berth.database import Database, migrate_async

FEW, MANY = 10, 10_000  # keys
ROUNDS, CHECKS = 7, 1000  # the keys in turn
GETS = 500


async def key_check(stack: Stack, side: Side) -> list[Figure]:
    """One check with few and with many keys, as a share of the cheapest GET that has one."""
    get = await side.p50([side.charger] * GETS)
    figures = [Figure("GET a charger, p50 alone", f"{get * 1000:.2f} ms")]
    for count, seconds in zip((FEW, MANY), await _checks(stack), strict=True):
        share = f"{seconds / get:.0%} of that"
        figures.append(Figure(f"  check of its key among {count}", f"{seconds * 1e6:.0f} µs, {share}"))
    return figures


async def _checks(stack: Stack) -> list[float]:
    """Seconds of one check, with few and with many keys: medians of rounds that take turns."""
    async with AsyncExitStack() as opened:
        databases: list[tuple[Database, Iterator[str]]] = []
        for count in (FEW, MANY):
            url = f"sqlite:///{stack.folder}/keys-{count}.db"
            await migrate_async(url)
            database = await opened.enter_async_context(await Database.open(url))
            keys = [(await database.keys.create(f"key {number}", ["read"]))[0] for number in range(count)]
            databases.append((database, itertools.cycle(keys)))
        rounds = [[await _check(database, keys) for database, keys in databases] for _ in range(ROUNDS)]
    return [statistics.median(seconds) for seconds in zip(*rounds, strict=True)]


async def _check(database: Database, keys: Iterator[str]) -> float:
    asked = list(itertools.islice(keys, CHECKS))
    started = time.perf_counter()
    for key in asked:
        if await database.keys.authenticate(key) is None:
            raise RuntimeError("a key that was just made is unknown")
    return (time.perf_counter() - started) / CHECKS
