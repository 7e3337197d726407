"""How much memory does a connected, idle charger take in the gateway?"""

import asyncio

from bench.house import BERTH, House
from bench.raw_charger import BOOT, RawCharger, call_frame
from bench.table import Figure
from bench.usage import resident_bytes
from directory import migrate_async
from launch.ports import free_port

WARM_UP = (
    100  # chargers that are connected before the first look: libraries, schemas and pools are loaded then
)
CHARGERS = 1000
AT_ONCE = 50
SETTLE = (
    4.0  # seconds for each charger to be ready (3 s without a boot), and for the message log to be written
)
TARGET = 30  # KiB

STATUS = call_frame("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"})


async def measure() -> list[Figure]:
    """Resident memory of the gateway before and after, divided by the chargers between."""
    with House() as house:
        await migrate_async(house.database_url)
        port = free_port()
        # No Temporal: an idle charger has no part of it.
        gateway = house.start(
            "gateway",
            [*BERTH, "gateway"],
            BERTH_GATEWAY_PORT=str(port),
            TEMPORAL_ADDRESS=f"127.0.0.1:{free_port()}",
        )
        await house.until_listening(port)
        async with asyncio.TaskGroup() as chargers:
            staying = await _connect(chargers, port, 0, WARM_UP)
            before = resident_bytes(gateway)
            staying += await _connect(chargers, port, WARM_UP, CHARGERS)
            after = resident_bytes(gateway)
            connected_count = sum(not task.done() for task in staying) - WARM_UP
            for task in staying:
                task.cancel()
    each = (after - before) / CHARGERS / 1024
    return [
        Figure(
            "idle chargers, still connected",
            f"{connected_count} of {CHARGERS}",
            "all",
            connected_count == CHARGERS,
        ),
        Figure("memory of each in the gateway", f"{each:.1f} KiB", f"≤ {TARGET} KiB", each <= TARGET),
    ]


async def _connect(
    chargers: asyncio.TaskGroup, port: int, start: int, count: int
) -> list[asyncio.Task[None]]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def connect(number: int) -> asyncio.Task[None]:
        async with gate:
            charger = await RawCharger.connect(port, f"IDLE-{number}")
            for frame in (BOOT, STATUS):
                await charger.call(frame)
            return chargers.create_task(charger.stay())

    staying = await asyncio.gather(*(connect(number) for number in range(start, start + count)))
    await asyncio.sleep(SETTLE)
    return staying
