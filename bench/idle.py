"""How much memory does a connected, idle charger take in the gateway, without and with TLS?"""

import asyncio
import ssl
from dataclasses import dataclass

from bench.certificates import Authority, client_context, gateway_settings, p256
from bench.raw_charger import BOOT, RawCharger, call_frame
from bench.stack import BERTH, Stack
from bench.table import Figure
from bench.usage import resident_bytes
from berth.database import migrate_async
from berth.ports import free_port

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


@dataclass(frozen=True)
class Seen:
    """What one gateway showed."""

    connected_count: int  # of CHARGERS, at the end
    memory: float  # KiB, of each


async def measure() -> list[Figure]:
    """Resident memory of a gateway, and of one with TLS: what it grows by, divided by the chargers."""
    with Stack() as stack:
        await migrate_async(stack.database_url)
        pair = Authority.fresh().certify(stack.folder, "gateway", p256())
        plain, encrypted = await asyncio.gather(
            _idle_chargers(stack, "plain", {}, None),
            _idle_chargers(stack, "tls", gateway_settings(pair), client_context()),
        )
    connected_count = plain.connected_count + encrypted.connected_count
    return [
        Figure(
            "idle chargers, still connected",
            f"{connected_count} of {2 * CHARGERS}, half by TLS",
            "all",
            connected_count == 2 * CHARGERS,
        ),
        Figure(
            "memory of each in the gateway",
            f"{plain.memory:.1f} KiB",
            f"≤ {TARGET} KiB",
            plain.memory <= TARGET,
        ),
        Figure(
            "memory of each by TLS",
            f"{encrypted.memory:.1f} KiB, {encrypted.memory / plain.memory:.1f} × the plain one",
        ),
    ]


async def _idle_chargers(
    stack: Stack, name: str, settings: dict[str, str], tls: ssl.SSLContext | None
) -> Seen:
    port = free_port()
    # No Temporal: an idle charger has no part of it.
    gateway = stack.start(
        name,
        [*BERTH, "gateway", "--id", name],
        BERTH_GATEWAY_PORT=str(port),
        TEMPORAL_ADDRESS=f"127.0.0.1:{free_port()}",
        **settings,
    )
    await stack.until_listening(port)
    async with asyncio.TaskGroup() as chargers:

        async def connect(start: int, count: int) -> list[asyncio.Task[None]]:
            identities = [f"{name}-{number}" for number in range(start, start + count)]
            return await _connect(chargers, port, tls, identities)

        staying = await connect(0, WARM_UP)
        before = resident_bytes(gateway)
        staying += await connect(WARM_UP, CHARGERS)
        after = resident_bytes(gateway)
        connected_count = sum(not task.done() for task in staying) - WARM_UP
        for task in staying:
            task.cancel()
    return Seen(connected_count, (after - before) / CHARGERS / 1024)


async def _connect(
    chargers: asyncio.TaskGroup, port: int, tls: ssl.SSLContext | None, identities: list[str]
) -> list[asyncio.Task[None]]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def connect(identity: str) -> asyncio.Task[None]:
        async with gate:
            charger = await RawCharger.connect(port, identity, tls)
            for frame in (BOOT, STATUS):
                await charger.call(frame)
            return chargers.create_task(charger.stay())

    staying = await asyncio.gather(*map(connect, identities))
    await asyncio.sleep(SETTLE)
    return staying
