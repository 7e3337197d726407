"""The same API over few and over many stored reservations, side by side.

A few reservations are asked for and half of them cancelled, with chargers, gateway and everything. Each side
then has its own Temporal server on a copy of that one's file, in which they are multiplied (`stored.py`), and
its own API and worker. Chargers and gateway are gone by then: who only looks does not need them.
"""

import asyncio
import json
import random
from dataclasses import dataclass
from typing import Any

import httpx

from bench.load import load
from bench.paths import Fleet, start_berth, start_temporal
from bench.raw_caller import RawCaller, p50
from bench.stack import BERTH, KEY, Stack
from bench.stored import FIRST_NUMBER, STEP, duplicate, multiply
from berth.database import migrate_async
from berth.ports import free_port
from berth.temporal.task_queues import has_pollers
from workflows.names import RESERVATIONS_QUEUE

SEED = 50  # reservations that are really asked for; one in two of them ends
CHARGERS = Fleet(SEED // 2, 2)
PATH = "/api/ocpp/reservations"
LARGEST_PAGE = 500
UNREACHED = 10**9  # a rate limit that is counted and never met

Item = dict[str, Any]
"""An item of the list."""


@dataclass(frozen=True)
class Side:
    """One API, one worker and one Temporal server; what is stored there."""

    stored: int
    address: str  # of the Temporal server
    api_port: int
    api_process: int
    charger: str  # path of one
    live: list[str]  # paths of copies, in random order
    ended: list[str]
    later: str  # path of the list's page that begins after a tenth of all

    async def p50(self, paths: list[str]) -> float:
        """The median of the seconds that GETs of these paths take, one after the other."""
        return await p50(self.api_port, KEY, paths)


async def start_sides(stack: Stack, sizes: tuple[int, ...]) -> list[Side]:
    """A side of each size; copying 100 000 takes half a minute. Raises RuntimeError."""
    items = await _seed(stack)
    return [await _start_side(stack, size, items) for size in sizes]


async def start_api(stack: Stack, name: str, temporal_address: str, rate_limit: int) -> tuple[int, int]:
    """Start an API; its port and its process. Raises RuntimeError."""
    port = free_port()
    process = stack.start(
        name,
        [*BERTH, "api"],
        TEMPORAL_ADDRESS=temporal_address,
        BERTH_API_PORT=str(port),
        BERTH_RATE_LIMIT=str(rate_limit),
    )
    await stack.until_listening(port)
    return port, process


async def _seed(stack: Stack) -> list[Item]:
    """Leaves `seed.db` and the database in the stack; the seed's items of the list."""
    with Stack() as origin:
        temporal = await start_temporal(origin, "seed")
        await migrate_async(origin.database_url)
        path = await start_berth(origin, temporal, CHARGERS, first_number=FIRST_NUMBER)
        await load(path, SEED, 8)
        async with httpx.AsyncClient(headers=path.headers, timeout=45, trust_env=False) as http:
            items: list[Item] = []

            async def listed(live: int) -> bool:
                items[:] = (await http.get(path.url, params={"limit": SEED})).json()["data"]
                return len(items) == SEED and [item["state"] for item in items].count("active") == live

            await origin.until("the list", lambda: listed(SEED))
            for item in items[::2]:
                body = {name: item[name] for name in ("chargerId", "reservationId")}
                (await http.post(f"{path.url}/cancel", json=body)).raise_for_status()
            await origin.until("the list", lambda: listed(SEED // 2))
        for name in ("seed.db", "berth.db"):
            duplicate(origin.folder / name, stack.folder / name)
    return items


async def _start_side(stack: Stack, stored: int, items: list[Item]) -> Side:
    name, times = f"temporal-{stored}", stored // SEED
    duplicate(stack.folder / "seed.db", stack.folder / f"{name}.db")
    await asyncio.to_thread(multiply, stack.folder / f"{name}.db", times)
    temporal = await start_temporal(stack, name)
    port, api = await start_api(stack, f"api-{stored}", temporal.address, UNREACHED)
    stack.start(f"worker-{stored}", [*BERTH, "worker"], TEMPORAL_ADDRESS=temporal.address)
    await stack.until("the worker", lambda: has_pollers(temporal.client, RESERVATIONS_QUEUE))
    return Side(
        stored,
        temporal.address,
        port,
        api,
        f"/api/chargers/{items[0]['chargerId']}",
        _copies([item for item in items if item["state"] == "active"], times),
        _copies([item for item in items if item["state"] != "active"], times),
        await _later(port, stored // 10),
    )


def _copies(items: list[Item], times: int) -> list[str]:
    paths = [
        f"{PATH}/{item['chargerId']}/{item['reservationId'] + index * STEP}"
        for item in items
        for index in range(1, times)
    ]
    random.shuffle(paths)
    return paths


async def _later(port: int, after: int) -> str:
    """The path of the list's page after so many items; there is no way but from page to page."""
    caller = await RawCaller.connect(port, KEY)
    cursor, limit = "", min(after, LARGEST_PAGE)
    for _ in range(after // limit):
        answer = json.loads(await caller.get(f"{PATH}?limit={limit}{cursor}"))
        cursor = f"&nextPageCursor={answer['pagination']['nextPageCursor']}"
    caller.close()
    return f"{PATH}?limit=50{cursor}"
