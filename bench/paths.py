"""The two paths side by side: one Temporal server, and for each its processes and simulated chargers."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.bare import QUEUE as BARE_QUEUE
from bench.house import BERTH, KEY, House
from bench.load import Path
from directory import Charger, Directory, migrate_async
from launch.ports import free_port
from launch.task_queue import has_pollers
from launch.temporal_cli import find_temporal_cli
from launch.temporal_server import TemporalServer
from simulator import console
from workflows.names import RESERVATIONS_QUEUE

CHARGERS, PORTS = 20, 50  # a port a reservation, so their product bounds what one path may make
PREFIX = "BENCH"
VALID_FOR = timedelta(hours=6)


async def start_paths(house: House) -> tuple[Path, Path]:
    """Start everything; the bare path and Berth's, ready for load. Raises RuntimeError."""
    server = TemporalServer(find_temporal_cli(), free_port(), free_port(), house.folder / "temporal.db")
    temporal = {"temporal": house.start("temporal", server.command())}
    client = await server.prepare()
    await migrate_async(house.database_url)
    paths = (
        await _start_bare(house, server.address, temporal),
        await _start_berth(house, server.address, temporal),
    )
    await house.until("the bare worker", lambda: has_pollers(client, BARE_QUEUE))
    await house.until("the worker", lambda: has_pollers(client, RESERVATIONS_QUEUE))
    return paths


async def _start_bare(house: House, address: str, processes: dict[str, int]) -> Path:
    api_port, gateway_port = free_port(), free_port()
    python = [BERTH[0], "-c", "from bench.bare import main; main()"]
    processes = processes | {
        "api": house.start("bare-api", [*python, "api", str(api_port)], TEMPORAL_ADDRESS=address),
        "worker": house.start("bare-worker", [*python, "worker"], TEMPORAL_ADDRESS=address),
        "gateway": house.start(
            "bare-gateway", [*python, "gateway", str(gateway_port)], TEMPORAL_ADDRESS=address
        ),
    }
    await house.until_listening(api_port)
    await _start_chargers(house, "bare-chargers", gateway_port)
    return Path("the bare path", f"http://127.0.0.1:{api_port}/reservations", _bare_bodies(), processes)


async def _start_berth(house: House, address: str, processes: dict[str, int]) -> Path:
    api_port, gateway_port = free_port(), free_port()
    ports = {"BERTH_API_PORT": str(api_port), "BERTH_GATEWAY_PORT": str(gateway_port)}
    processes = processes | {
        name: house.start(name, [*BERTH, name], TEMPORAL_ADDRESS=address, **ports)
        for name in ("api", "worker", "gateway")
    }
    await house.until_listening(api_port)
    await _start_chargers(house, "chargers", gateway_port)
    async with await Directory.open(house.database_url) as directory:
        await directory.keys.ensure_bootstrap(KEY)
        chargers: list[Charger] = []

        async def all_ports_are_known() -> bool:
            chargers[:] = await directory.chargers.all()
            return sum(len(charger.ports) for charger in chargers if charger.online) == CHARGERS * PORTS

        await house.until("all ports", all_ports_are_known)
    url = f"http://127.0.0.1:{api_port}/api/ocpp/reservations"
    return Path("Berth", url, _berth_bodies(chargers), processes, {"Authorization": f"Bearer {KEY}"})


async def _start_chargers(house: House, name: str, gateway_port: int) -> None:
    control_port = free_port()
    await house.until_listening(gateway_port)
    fleet = ["--version", "1.6", "--chargers", str(CHARGERS), "--ports", str(PORTS), "--prefix", PREFIX]
    url = f"ws://127.0.0.1:{gateway_port}/ocpp"
    house.start(name, [*BERTH, "simulate", *fleet, "--url", url], BERTH_SIMULATOR_PORT=str(control_port))

    async def all_are_connected() -> bool:
        try:
            chargers = await console.chargers(f"http://127.0.0.1:{control_port}")
        except console.ControlError:
            return False
        return len([charger for charger in chargers if charger["connected"]]) == CHARGERS

    await house.until(name, all_are_connected)


def _bare_bodies() -> Iterator[dict[str, Any]]:
    numbers = itertools.count(1)
    for port_number in range(1, PORTS + 1):
        for charger in range(1, CHARGERS + 1):
            yield {
                "charger": f"{PREFIX}-{charger}",
                "port_number": port_number,
                "id_tag": "BENCH-TAG",
                "reservation_id": next(numbers),
                "expires_at": _expiry(),
            }


def _berth_bodies(chargers: list[Charger]) -> Iterator[dict[str, Any]]:
    numbers = itertools.count(1)
    ports = [sorted(charger.ports, key=lambda port: port.port_number) for charger in chargers]
    for at_once in zip(*ports, strict=True):
        for port in at_once:
            yield {
                "portId": port.id,
                "idTag": "BENCH-TAG",
                "reservationId": next(numbers),
                "expiryDate": _expiry(),
            }


def _expiry() -> str:
    return (datetime.now(UTC) + VALID_FOR).isoformat(timespec="seconds")
