"""How many CALLs of chargers does one gateway answer in a second, each checked against its schema?"""

import asyncio
import itertools
import time

from bench.raw_charger import BOOT, RawCharger, call_frame
from bench.stack import BERTH, Stack
from bench.table import Figure
from bench.usage import cpu_seconds
from berth.database import migrate_async
from berth.ports import free_port

CHARGERS = 50  # each waits for its answer before the next CALL, as OCPP has it
WARM_UP = 2.0  # seconds
MEASURED = 6.0  # seconds, of the mixture
ALONE = 2.0  # seconds, of each message alone
TARGET = 4000


def _status(status: str) -> bytes:
    return call_frame("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": status})


HEARTBEAT = call_frame("Heartbeat", {})
METER_VALUES = call_frame(
    "MeterValues",
    {
        "connectorId": 1,
        "transactionId": 1,
        "meterValue": [
            {
                "timestamp": "2026-01-01T00:00:00Z",
                "sampledValue": [
                    {"value": "1234.5", "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
                    {"value": "11000", "measurand": "Power.Active.Import", "unit": "W"},
                    {"value": "16.1", "measurand": "Current.Import", "unit": "A", "phase": "L1"},
                ],
            }
        ],
    },
)
AUTHORIZE = call_frame("Authorize", {"idTag": "BENCH-TAG"})

# One hour of charging, with a meter value a minute, less the start and the stop. Each status is another
# than the one before: the database has to keep it.
MIXTURE = [
    AUTHORIZE,
    *(
        frame
        for status in ("Preparing", "Charging", "Finishing", "Available")
        for frame in (_status(status), *([METER_VALUES] * 5 + [HEARTBEAT]) * 3)
    ),
]


async def measure() -> list[Figure]:
    """The rate of a mixture, and of each of its messages alone."""
    with Stack() as stack:
        await migrate_async(stack.database_url)
        port = free_port()
        process = stack.start(
            "gateway",
            [*BERTH, "gateway"],
            BERTH_GATEWAY_PORT=str(port),
            TEMPORAL_ADDRESS=f"127.0.0.1:{free_port()}",
        )
        await stack.until_listening(port)
        chargers = [await RawCharger.connect(port, f"INBOUND-{number}") for number in range(CHARGERS)]
        for charger in chargers:
            await charger.call(BOOT)
        await _rate(chargers, MIXTURE, WARM_UP, process)
        rate, cpu = await _rate(chargers, MIXTURE, MEASURED, process)
        figures = [
            Figure(
                "inbound CALLs answered",
                f"{rate:.0f}/s, {cpu:.0f} µs of CPU each",
                f"≥ {TARGET}/s",
                rate >= TARGET,
            )
        ]
        for name, frames in (
            ("Heartbeat", [HEARTBEAT]),
            ("MeterValues", [METER_VALUES]),
            ("Authorize", [AUTHORIZE]),
            ("StatusNotification, changed", [_status("Preparing"), _status("Available")]),
        ):
            rate, cpu = await _rate(chargers, frames, ALONE, process)
            figures.append(Figure(f"  {name}", f"{rate:.0f}/s, {cpu:.0f} µs of CPU each"))
        for charger in chargers:
            charger.close()
    return figures


async def _rate(
    chargers: list[RawCharger], frames: list[bytes], seconds: float, process: int
) -> tuple[float, float]:
    """Answers a second, and microseconds of the gateway's CPU for each."""
    started, cpu_before = time.perf_counter(), cpu_seconds({"gateway": process})["gateway"]
    deadline = started + seconds

    async def ask(charger: RawCharger) -> int:
        for count, frame in enumerate(itertools.cycle(frames)):
            if time.perf_counter() > deadline:
                return count
            answer = await charger.call(frame)
            if not answer.startswith(b"[3"):
                raise RuntimeError(f"answered {answer.decode()}")
        raise AssertionError("the cycle has no end")

    count = sum(await asyncio.gather(*(ask(charger) for charger in chargers)))
    cpu = cpu_seconds({"gateway": process})["gateway"] - cpu_before
    return count / (time.perf_counter() - started), cpu / count * 1e6
