"""Fleets: the demo, the runner, and their limits."""

import asyncio
import contextlib
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from simulator import DEMO, Fleet, run_demo, run_fleet
from tests.simulator.central_system import CentralSystem
from tests.simulator.until import until


async def run_until(work: Coroutine[Any, Any, None], condition: Any) -> None:
    """Run something endless until a condition holds."""
    task = asyncio.create_task(work)
    try:
        await until(lambda: task.done() or condition())
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_the_demo_has_one_charger_of_each_version(central: CentralSystem) -> None:
    await run_until(run_demo(central.url, control_port=0), lambda: len(central.links) == 2)
    assert {identity: link.version for identity, link in central.links.items()} == dict(DEMO)


async def test_a_larger_demo_takes_versions_in_turn(central: CentralSystem) -> None:
    await run_until(run_demo(central.url, count=4, control_port=None), lambda: len(central.links) == 4)
    assert {central.links["SIM-3"].version, central.links["SIM-4"].version} == {"1.6", "2.0.1"}


async def test_the_runner_keeps_its_chargers_memories_in_a_folder(
    central: CentralSystem, tmp_path: Path
) -> None:
    run = run_fleet(
        central.url, 2, version="2.0.1", identity_prefix="X", control_port=None, state_dir=tmp_path, ports=3
    )
    await run_until(run, lambda: len(central.statuses("X-2", 3)) == 1)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["X-1.json", "X-2.json"]


async def test_a_control_port_in_use_is_an_error(central: CentralSystem) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        await run_fleet(central.url, 1, control_port=taken.getsockname()[1])


async def test_a_fleet_has_each_identity_once(central: CentralSystem) -> None:
    async with Fleet(central.url, 1, keep_frames=0) as fleet:
        await fleet.wait_until_booted()
        with pytest.raises(ValueError, match="SIM-1"):
            fleet.add("SIM-1")
        assert fleet["SIM-1"].frames == ()


async def test_chargers_wait_for_a_central_system_that_comes_later(central: CentralSystem) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    async with Fleet(f"ws://127.0.0.1:{port}", 1, reconnect_seconds=(0.02,)) as fleet:
        with pytest.raises(TimeoutError):
            await fleet.wait_until_booted(within=0.1)
        async with CentralSystem(port):
            await fleet.wait_until_booted()
