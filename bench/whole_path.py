"""How much does Berth add to the bare Temporal path?

Both paths run side by side on one Temporal server, each with its own processes and simulated chargers, and
are loaded in turn, so that whatever else the machine does hits both.
"""

import asyncio
import itertools
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.bare import QUEUE as BARE_QUEUE
from bench.house import BERTH, KEY, House
from bench.load import Path, Round, load
from bench.table import Figure
from bench.usage import cpu_seconds
from directory import Charger, Directory, migrate_async
from launch.ports import free_port
from launch.task_queue import has_pollers
from launch.temporal_cli import find_temporal_cli
from launch.temporal_server import TemporalServer
from simulator import console
from workflows.names import RESERVATIONS_QUEUE

CHARGERS, PORTS = 20, 50  # a port a reservation, so their product bounds what one path may make
PREFIX = "BENCH"
WARM_UP = 40
LATENCY_ROUNDS, LATENCY_COUNT = 5, 30
RATE_ROUNDS, RATE_COUNT = 4, 150
CONCURRENCY = 16
PAUSE = 1.0  # seconds between rounds: what one path still does must not burden the other
VALID_FOR = timedelta(hours=6)

P50_RATIO, RATE_RATIO = 1.2, 0.85


@dataclass
class Seen:
    """What the rounds of one path showed."""

    path: Path
    alone: list[Round] = field(default_factory=list)
    crowded: list[Round] = field(default_factory=list)
    cpu: Counter[str] = field(default_factory=Counter)  # seconds, by process, of the crowded rounds


async def measure() -> list[Figure]:
    """Latency alone and rate at 16, of both paths, and how they compare."""
    with House() as house:
        bare, berth = (Seen(path) for path in await _start(house))
        for seen in (bare, berth):
            await load(seen.path, WARM_UP, CONCURRENCY // 2)
            await asyncio.sleep(PAUSE)
        for _ in range(LATENCY_ROUNDS):
            for seen in (bare, berth):
                seen.alone.append(await load(seen.path, LATENCY_COUNT, 1))
                await asyncio.sleep(PAUSE)
        for _ in range(RATE_ROUNDS):
            for seen in (bare, berth):
                seen.cpu.subtract(cpu_seconds(seen.path.processes))
                seen.crowded.append(await load(seen.path, RATE_COUNT, CONCURRENCY))
                await asyncio.sleep(PAUSE)
                seen.cpu.update(cpu_seconds(seen.path.processes))
    return [*_latency(bare, berth), *_rate(bare, berth), *_cost(bare, berth)]


def _latency(bare: Seen, berth: Seen) -> list[Figure]:
    ratio = statistics.median(
        theirs.p50 / plain.p50 for plain, theirs in zip(bare.alone, berth.alone, strict=True)
    )
    return [
        Figure("latency alone, bare path", _percentiles(bare.alone)),
        Figure("latency alone, Berth", _percentiles(berth.alone)),
        Figure("p50, Berth over bare", f"{ratio:.2f} ×", f"≤ {P50_RATIO} ×", ratio <= P50_RATIO),
    ]


def _rate(bare: Seen, berth: Seen) -> list[Figure]:
    ratio = statistics.median(
        theirs.rate / plain.rate for plain, theirs in zip(bare.crowded, berth.crowded, strict=True)
    )
    return [
        Figure(f"rate at {CONCURRENCY}, bare path", _rates(bare.crowded)),
        Figure(f"rate at {CONCURRENCY}, Berth", _rates(berth.crowded)),
        Figure("rate, Berth over bare", f"{ratio:.2f} ×", f"≥ {RATE_RATIO} ×", ratio >= RATE_RATIO),
    ]


def _cost(bare: Seen, berth: Seen) -> list[Figure]:
    """CPU of a reservation: says where the difference comes from, whatever else the machine does."""
    return [
        Figure(f"CPU of one, {name}", _cpu(seen)) for name, seen in (("bare path", bare), ("Berth", berth))
    ]


def _percentiles(rounds: list[Round]) -> str:
    latencies = [latency * 1000 for its_round in rounds for latency in its_round.latencies]
    percentiles = statistics.quantiles(latencies, n=100, method="inclusive")
    return f"p50 {percentiles[49]:.0f} ms, p99 {percentiles[98]:.0f} ms"


def _rates(rounds: list[Round]) -> str:
    rates = [its_round.rate for its_round in rounds]
    unanswered = sum(its_round.unanswered for its_round in rounds)
    late = f", {unanswered} unanswered" if unanswered else ""
    return f"{statistics.median(rates):.1f}/s ({min(rates):.1f} to {max(rates):.1f}){late}"


def _cpu(seen: Seen) -> str:
    each = {name: seconds * 1000 / (RATE_ROUNDS * RATE_COUNT) for name, seconds in seen.cpu.items()}
    parts = ", ".join(f"{name} {milliseconds:.1f}" for name, milliseconds in each.items())
    return f"{sum(each.values()):.0f} ms: {parts}"


# --- the processes --------------------------------------------------------------------------------


async def _start(house: House) -> tuple[Path, Path]:
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
