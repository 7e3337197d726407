"""Many chargers in one process."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog

from simulator.charger import SimulatedCharger
from simulator.control import ControlServer
from simulator.memory import FileMemory
from simulator.personality import Personality, Version
from simulator.ports import Port

log = structlog.get_logger(__name__)

DEMO: Mapping[str, Version] = {"SIM-16": "1.6", "SIM-201": "2.0.1"}
"""The two chargers of a first look."""

_CONNECTING_AT_ONCE = 200  # more would only wait in the central system's backlog


class Fleet:
    """Chargers that share a central system, a seed, and a control.

    `url` is the central system's, without an identity; `count` chargers named `SIM-1`, `SIM-2` … by
    their prefix. `control_port` 0 takes any free port, None has no control. With a `state_dir` each
    charger keeps its reservations in a file there. Further options are those of SimulatedCharger.
    """

    def __init__(
        self,
        url: str,
        count: int = 0,
        *,
        version: Version = "1.6",
        identity_prefix: str = "SIM",
        personality: str | Personality = "specification",
        ports: int | Sequence[Port] = 2,
        seed: int = 0,
        control_host: str = "127.0.0.1",
        control_port: int | None = None,
        state_dir: Path | None = None,
        password: str | None = None,
        **options: Any,
    ) -> None:
        self.url = url
        self.chargers: dict[str, SimulatedCharger] = {}
        self._common: dict[str, Any] = {
            "version": version,
            "personality": personality,
            "ports": ports,
            "seed": seed,
            "password": password,
            "connecting": asyncio.Semaphore(_CONNECTING_AT_ONCE),
            **options,
        }
        self._state_dir = state_dir
        self._control: ControlServer | None = None
        if control_port is not None:
            self._control = ControlServer(self.chargers, control_host, control_port)
        self._running = False
        for number in range(1, count + 1):
            self.add(f"{identity_prefix}-{number}")

    @property
    def control_url(self) -> str | None:
        """Where the control listens; None without one, or before the start."""
        return None if self._control is None else self._control.url

    def add(self, identity: str, **options: Any) -> SimulatedCharger:
        """One more charger, with options of its own; it starts at once in a running fleet.

        Raises ValueError when there is one of that name, or its personality does not speak its version.
        """
        if identity in self.chargers:
            raise ValueError(f"there is a charger {identity} already")
        if self._state_dir is not None:
            options.setdefault("memory", FileMemory(self._state_dir / f"{identity}.json"))
        charger = SimulatedCharger(identity, self.url, **{**self._common, **options})
        self.chargers[identity] = charger
        if self._running:
            charger.start()
        return charger

    async def remove(self, identity: str) -> None:
        """Stop a charger and forget it. Raises KeyError."""
        await self.chargers.pop(identity).stop()

    def __getitem__(self, identity: str) -> SimulatedCharger:
        return self.chargers[identity]

    async def start(self) -> None:
        """Begin to connect all of them. Raises OSError when the control's port is taken."""
        if self._control is not None:
            await self._control.start()
        self._running = True
        for charger in self.chargers.values():
            charger.start()

    async def wait_until_booted(self, within: float = 30.0) -> None:
        """Until each charger is accepted and has reported. Raises TimeoutError after so many seconds."""
        async with asyncio.timeout(within):
            await asyncio.gather(*(charger.booted.wait() for charger in self.chargers.values()))

    async def stop(self) -> None:
        """Stop all of them."""
        self._running = False
        if self._control is not None:
            await self._control.stop()
        await asyncio.gather(*(charger.stop() for charger in self.chargers.values()))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


async def run_fleet(
    url: str,
    count: int,
    version: Version = "1.6",
    identity_prefix: str = "SIM",
    personality: str = "specification",
    ports: int = 2,
    seed: int = 0,
    control_port: int | None = 9100,
    state_dir: Path | None = None,
    password: str | None = None,
) -> None:
    """Run so many chargers until cancelled. Raises OSError, ValueError."""
    fleet = Fleet(
        url,
        count,
        version=version,
        identity_prefix=identity_prefix,
        personality=personality,
        ports=ports,
        seed=seed,
        control_port=control_port,
        state_dir=state_dir,
        password=password,
        meter_seconds=60.0,
    )
    await _run(fleet)


async def run_demo(
    url: str,
    count: int = 2,
    control_port: int | None = 9100,
    state_dir: Path | None = None,
    password: str | None = None,
) -> None:
    """Run the demo chargers, `SIM-16` and `SIM-201` first, until cancelled. Raises OSError."""
    fleet = Fleet(url, control_port=control_port, state_dir=state_dir, password=password, meter_seconds=60.0)
    versions = tuple(DEMO.values())
    names = [*DEMO, *(f"SIM-{number}" for number in range(len(DEMO) + 1, count + 1))]
    for index, identity in enumerate(names[:count]):
        fleet.add(identity, version=versions[index % len(versions)])
    await _run(fleet)


async def _run(fleet: Fleet) -> None:
    async with fleet:
        log.info("fleet_started", chargers=len(fleet.chargers), url=fleet.url, control=fleet.control_url)
        await asyncio.Event().wait()
