"""How much longer do reads of reservations take when a hundred times as many are stored?"""

import statistics
from collections.abc import Iterator

from bench.sides import PATH, Side
from bench.table import Figure

ROUNDS = 8
GETS, LISTS = 20, 5  # in a round, of each kind and on each side, one after the other

P50s = dict[str, float]
"""Seconds, by kind of read."""


async def growth(few: Side, many: Side) -> list[Figure]:
    """Each kind of read: the median of the ratios of neighbouring rounds, and both p50s."""
    reads = {side.stored: (iter(side.live), iter(side.ended)) for side in (few, many)}
    rounds = [
        [await _round(side, *reads[side.stored]) for side in (few, many)]
        for _ in range(1 + ROUNDS)  # the first one warms up
    ][1:]
    return [
        Figure(
            kind,
            f"{statistics.median(at_many[kind] / at_few[kind] for at_few, at_many in rounds):.2f} ×: "
            f"{_milliseconds(at_many[kind] for _, at_many in rounds)} of {many.stored}, "
            f"{_milliseconds(at_few[kind] for at_few, _ in rounds)} of {few.stored}",
        )
        for kind in rounds[0][0]
    ]


async def _round(side: Side, live: Iterator[str], ended: Iterator[str]) -> P50s:
    unseen = [next(live) for _ in range(GETS)]
    return {
        "GET a live reservation, replayed": await side.p50(unseen),
        "GET a live reservation, in memory": await side.p50(unseen),
        "GET an ended reservation": await side.p50([next(ended) for _ in range(GETS)]),
        "GET the list, first page": await side.p50([PATH] * LISTS),
        "GET the list, after a tenth of all": await side.p50([side.later] * LISTS),
    }


def _milliseconds(p50s: Iterator[float]) -> str:
    return f"{statistics.median(p50s) * 1000:.1f} ms"
