"""What waits in the gateway is seen in its log."""

import asyncio
from itertools import chain, repeat

import structlog

from gateway.load import Load, report_load

CALM = Load(charger_count=2, calls_waiting=0, deliveries_waiting=0, messages_waiting=0, messages_dropped=0)
BUSY = Load(charger_count=1, calls_waiting=7, deliveries_waiting=3, messages_waiting=40, messages_dropped=5)


async def test_a_line_tells_the_peaks_since_the_last_one() -> None:
    looks = chain([CALM, BUSY], repeat(CALM))
    with structlog.testing.capture_logs() as lines:
        telling = asyncio.create_task(report_load(lambda: next(looks), every=0.02))
        async with asyncio.timeout(60):
            while len(lines) < 2:
                await asyncio.sleep(0)
        telling.cancel()
    first, second = lines[:2]
    assert first == {
        "event": "gateway_load",
        "log_level": "info",
        "charger_count": 2,
        "calls_waiting": 7,
        "deliveries_waiting": 3,
        "messages_waiting": 40,
        "messages_dropped": 5,
    }
    assert second["calls_waiting"] == 0


async def test_no_line_is_wanted() -> None:
    with structlog.testing.capture_logs() as lines:
        await asyncio.wait_for(report_load(lambda: BUSY, every=0), 1)
    assert lines == []
