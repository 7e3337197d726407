"""Paths side by side: one Temporal server, and for each its processes and simulated chargers."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.client import Client

from bench.bare import QUEUE as BARE_QUEUE
from bench.load import Path
from bench.stack import BERTH, KEY, Stack
from berth.database import Charger, Database, migrate_async
from berth.ports import free_port
from berth.temporal.task_queues import has_pollers
from cli.up.temporal_cli import find_temporal_cli
from cli.up.temporal_server import TemporalServer
from simulator import console
from workflows.names import RESERVATIONS_QUEUE

PREFIX = "BENCH"
VALID_FOR = timedelta(hours=6)


@dataclass(frozen=True)
class Fleet:
    """Simulated chargers; a port a reservation, so their product bounds how many may be made."""

    chargers: int
    ports: int


FLEET = Fleet(20, 50)


@dataclass(frozen=True)
class Temporal:
    """A namespace of an embedded server that answers."""

    address: str
    client: Client
    process: int

    def settings(self) -> dict[str, str]:
        """How a process reaches it."""
        return {"TEMPORAL_ADDRESS": self.address, "TEMPORAL_NAMESPACE": self.client.namespace}


async def start_paths(stack: Stack) -> tuple[Path, Path]:
    """Start everything; the bare path and Berth's, ready for load. Raises RuntimeError."""
    temporal = await start_temporal(stack, "temporal")
    await migrate_async(stack.database_url)
    return await _start_bare(stack, temporal), await start_berth(stack, temporal, FLEET)


async def start_temporal(stack: Stack, name: str) -> Temporal:
    """Start a server on the file `name`.db of the stack, tuned as `make up` tunes it. Raises StartError."""
    (temporal,) = await start_namespaces(stack, name, ["default"])
    return temporal


async def start_namespaces(stack: Stack, name: str, namespaces: Sequence[str]) -> list[Temporal]:
    """Start one such server with several namespaces: each may have workers of its own. Raises StartError."""
    server = TemporalServer(find_temporal_cli(), free_port(), free_port(), stack.folder / f"{name}.db")
    further = [word for namespace in namespaces for word in ("--namespace", namespace)]
    process = stack.start(name, server.command() + further)
    return [
        Temporal(server.address, await replace(server, namespace=namespace).prepare(), process)
        for namespace in namespaces
    ]


async def _start_bare(stack: Stack, temporal: Temporal) -> Path:
    address, api_port, gateway_port = temporal.address, free_port(), free_port()
    python = [BERTH[0], "-c", "from bench.bare import main; main()"]
    processes = {
        "temporal": temporal.process,
        "api": stack.start("bare-api", [*python, "api", str(api_port)], TEMPORAL_ADDRESS=address),
        "worker": stack.start("bare-worker", [*python, "worker"], TEMPORAL_ADDRESS=address),
        "gateway": stack.start(
            "bare-gateway", [*python, "gateway", str(gateway_port)], TEMPORAL_ADDRESS=address
        ),
    }
    await stack.until_listening(api_port)
    await _start_chargers(stack, "bare-chargers", FLEET, gateway_port)
    await stack.until("the bare worker", lambda: has_pollers(temporal.client, BARE_QUEUE))
    return Path("bare path", f"http://127.0.0.1:{api_port}/reservations", _bare_bodies(), processes)


async def start_berth(
    stack: Stack,
    temporal: Temporal,
    fleet: Fleet,
    *,
    first_number: int = 1,
    name: str = "Berth",
    settings: Mapping[str, str] | None = None,
) -> Path:
    """Start Berth and its chargers, ready for reservations from a number on. Raises RuntimeError."""
    api_port, gateway_port = free_port(), free_port()
    ports = {"BERTH_API_PORT": str(api_port), "BERTH_GATEWAY_PORT": str(gateway_port)}
    environment = {**temporal.settings(), **ports, **(settings or {})}
    processes = {"temporal": temporal.process} | {
        process: stack.start(process, [*BERTH, process], **environment)
        for process in ("api", "worker", "gateway")
    }
    await stack.until_listening(api_port)
    await _start_chargers(stack, "chargers", fleet, gateway_port)
    async with await Database.open(stack.database_url) as database:
        await database.keys.ensure_bootstrap(KEY)
        chargers: list[Charger] = []
        count = fleet.chargers * fleet.ports

        async def all_ports_are_known() -> bool:
            chargers[:] = await database.chargers.all()
            return sum(len(charger.ports) for charger in chargers if charger.online) == count

        await stack.until("all ports", all_ports_are_known)
    await stack.until("the worker", lambda: has_pollers(temporal.client, RESERVATIONS_QUEUE))
    url = f"http://127.0.0.1:{api_port}/api/ocpp/reservations"
    bodies = _berth_bodies(chargers, first_number)
    return Path(name, url, bodies, processes, {"Authorization": f"Bearer {KEY}"})


async def _start_chargers(stack: Stack, name: str, fleet: Fleet, gateway_port: int) -> None:
    control_port = free_port()
    await stack.until_listening(gateway_port)
    numbers = ["--chargers", str(fleet.chargers), "--ports", str(fleet.ports)]
    url = f"ws://127.0.0.1:{gateway_port}/ocpp"
    stack.start(
        name,
        [*BERTH, "simulate", "--version", "1.6", *numbers, "--prefix", PREFIX, "--url", url],
        BERTH_SIMULATOR_PORT=str(control_port),
    )

    async def all_are_connected() -> bool:
        try:
            chargers = await console.chargers(f"http://127.0.0.1:{control_port}")
        except console.ControlError:
            return False
        return len([charger for charger in chargers if charger["connected"]]) == fleet.chargers

    await stack.until(name, all_are_connected)


def _bare_bodies() -> Iterator[dict[str, Any]]:
    numbers = itertools.count(1)
    for port_number in range(1, FLEET.ports + 1):
        for charger in range(1, FLEET.chargers + 1):
            yield {
                "charger": f"{PREFIX}-{charger}",
                "port_number": port_number,
                "id_tag": "BENCH-TAG",
                "reservation_id": next(numbers),
                "expires_at": _expiry(),
            }


def _berth_bodies(chargers: list[Charger], first_number: int) -> Iterator[dict[str, Any]]:
    numbers = itertools.count(first_number)
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
