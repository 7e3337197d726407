"""A gateway process under floods: its memory and its log stay small, and it serves on."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from cli.up.parent_death import mortal
from tests.gateway.attacks import (
    a_flood_of_5_000_calls_whose_answers_are_not_read,
    a_flood_of_pings_whose_pongs_are_not_read,
    attacker,
    is_answered,
    wire,
)
from tests.gateway.stack import until
from tests.servers import need

MB = 1_000_000
MOST_MEMORY = 300 * MB  # the process takes 120 when it has just started
QUICKLY = 5.0  # seconds, on a machine that is busy with other tests


class Gateway:
    """The process: what its memory was at most, and what it said."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
        self.peak = 0
        self.process = process
        self.log = log
        self._port = port

    def url(self, identity: str = "CP-1") -> str:
        return f"ws://127.0.0.1:{self._port}/ocpp/{identity}"

    def resident(self) -> int:
        """Bytes of memory it holds now."""
        said = subprocess.run(
            [need("ps"), "-o", "rss=", "-p", str(self.process.pid)], capture_output=True, check=True
        )
        return int(said.stdout) * 1024

    async def watch(self) -> None:
        while True:
            self.peak = max(self.peak, await asyncio.to_thread(self.resident))
            await asyncio.sleep(0.05)


@pytest.fixture
async def gateway(tmp_path: Path, migrated_file: Path, free_port: int) -> AsyncIterator[Gateway]:
    """A gateway that takes everyone in; Temporal is away."""
    (tmp_path / "berth.db").write_bytes(migrated_file.read_bytes())
    environment = {
        **os.environ,
        "TEMPORAL_ADDRESS": "127.0.0.1:1",
        "BERTH_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'berth.db'}",
        "BERTH_GATEWAY_PORT": str(free_port),
        "BERTH_UNKNOWN_CHARGERS": "register",
        "BERTH_OPEN_CHARGERS": "true",
    }
    log = tmp_path / "gateway.log"
    with (
        log.open("wb") as out,
        subprocess.Popen(
            mortal([sys.executable, "-m", "cli", "gateway"]), env=environment, stdout=out, stderr=out
        ) as process,
    ):
        try:
            await until(lambda: b"gateway_listening" in log.read_bytes(), within=60)
            yield Gateway(free_port, process, log)
        finally:
            process.kill()


async def sockets_that_never_say_a_word(gateway: Gateway) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(300):
            await stack.enter_async_context(wire(gateway))
        await asyncio.sleep(0)


def calls(payload: object) -> Callable[[Gateway], Awaitable[None]]:
    """A flood of large CALLs that are answered."""

    async def flood(gateway: Gateway) -> None:
        text = json.dumps([2, "x", "DataTransfer", {"vendorId": "x", "data": payload}])
        async with attacker(gateway) as socket:
            with contextlib.suppress(ConnectionClosed):
                for _ in range(10):
                    for _ in range(50):
                        await socket.send(text)
                    await is_answered(socket)

    return flood


FLOODS: dict[str, Callable[[Gateway], Awaitable[None]]] = {
    "pings": a_flood_of_pings_whose_pongs_are_not_read,
    "calls": a_flood_of_5_000_calls_whose_answers_are_not_read,
    "silence": sockets_that_never_say_a_word,
    "long texts": calls("x" * 60_000),
    "many objects": calls([{}] * 15_000),
}


async def test_floods_leave_the_gateways_memory_small(gateway: Gateway) -> None:
    peaks: dict[str, int] = {}
    async with attacker(gateway, identity="NEIGHBOUR") as neighbour:
        await is_answered(neighbour)
        for name, flood in FLOODS.items():
            gateway.peak = 0
            watching = asyncio.create_task(gateway.watch())
            await flood(gateway)
            watching.cancel()
            peaks[name] = max(gateway.peak, gateway.resident()) // MB
            asked_at = time.monotonic()
            await is_answered(neighbour)
            assert time.monotonic() - asked_at < QUICKLY
    assert max(peaks.values()) < MOST_MEMORY // MB, peaks
    assert b"Traceback" not in gateway.log.read_bytes()
    assert gateway.log.stat().st_size < MB
