"""All of Berth as real processes on free ports, driven from outside: HTTP and simulated chargers only."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from berth.database import migrate_async
from berth.ports import free_port
from cli.up.parent_death import mortal
from cli.up.temporal_server import TemporalServer
from simulator.charger import SimulatedCharger
from simulator.fleet import Fleet
from tests.launch.commands import ROOT

KEY = "acceptance-test-key-0123456789abcdef"
PROCESSES = ("api", "gateway", "worker")


class Stack:
    """One installation of Berth in a folder of its own; each process can be killed and started again.

    `code` is where the processes' code is; another folder than this checkout's is another release.
    """

    def __init__(self, folder: Path, temporal_cli: Path, code: Path = ROOT, **settings: str) -> None:
        self.folder = folder
        self.code = code
        self.api_port, self.gateway_port = free_port(), free_port()
        self.temporal = TemporalServer(
            cli=temporal_cli, port=free_port(), ui_port=free_port(), database=folder / "temporal.db"
        )
        self.database_url = f"sqlite+aiosqlite:///{folder / 'berth.db'}"
        self.environment = {
            **os.environ,
            "TEMPORAL_ADDRESS": self.temporal.address,
            "BERTH_API_PORT": str(self.api_port),
            "BERTH_GATEWAY_PORT": str(self.gateway_port),
            "BERTH_DATABASE_URL": self.database_url,
            "BERTH_BOOTSTRAP_API_KEY": KEY,
            "BERTH_UNKNOWN_CHARGERS": "register",
            "BERTH_OPEN_CHARGERS": "true",
            "BERTH_RATE_LIMIT": "0",
            "BERTH_EXPIRY_GRACE": "1",
            "BERTH_SETTLE": "2",
            **settings,
        }
        self.fleet = Fleet(self.gateway_url, ports=2)
        self.http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.api_port}",
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=60,
            # A kept connection that the API has closed meanwhile would fail the next call.
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stack = AsyncExitStack()

    @property
    def gateway_url(self) -> str:
        return f"ws://127.0.0.1:{self.gateway_port}/ocpp"

    async def __aenter__(self) -> "Stack":
        self._stack.callback(self._kill_all)
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def _open(self) -> None:
        await self.start_temporal()
        if self.code == ROOT:
            await migrate_async(self.database_url)
        else:
            assert (await self.berth("migrate")).returncode == 0
        for name in PROCESSES:
            self.start(name)
        await self.until_ready()
        await self._stack.enter_async_context(self.http)
        await self._stack.enter_async_context(self.fleet)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for log in sorted(self.folder.glob("*.log")):
            print(f"--- {log.name}\n{log.read_text()[-5000:]}")  # noqa: T201  # pytest shows it on failure
        await self._stack.__aexit__(kind, error, trace)

    # --- processes -----------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """Start `api`, `gateway` or `worker`."""
        arguments = ["gateway", "--id", "main"] if name == "gateway" else [name]
        self._run(name, self._command(*arguments))

    async def start_temporal(self) -> None:
        """Start the Temporal server on the file it had before, and wait until it answers."""
        self._run("temporal", self.temporal.command())
        await self.temporal.prepare()

    def kill(self, name: str) -> None:
        """kill -9."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self, name: str, within: float = 60) -> int:
        """SIGTERM; the exit code."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(within)

    async def berth(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `berth …` with the stack's settings to its end."""
        return await asyncio.to_thread(
            subprocess.run,
            self._command(*arguments),
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-P", "-m", "cli", *arguments]

    def _environment(self) -> dict[str, str]:
        """Before the checkout, which this Python has on its path, comes the code of the release."""
        return {**self.environment, "PYTHONPATH": str(self.code)}

    async def mend(self) -> None:
        """Start what does not run, and wait until the API is ready."""
        running = {name for name, process in self._processes.items() if process.poll() is None}
        if "temporal" not in running:
            await self.start_temporal()
        for name in PROCESSES:
            if name not in running:
                self.start(name)
        await self.until(self._is_ready, "the API is ready", within=90)

    def _run(self, name: str, command: list[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                mortal(command), env=self._environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _kill_all(self) -> None:
        for name in list(self._processes):
            self.kill(name)

    async def until_ready(self) -> None:
        """Wait until the API says so."""
        await self.until(self._is_ready, "the API is ready", within=90)

    async def _is_ready(self) -> bool:
        async with httpx.AsyncClient() as client:
            try:
                response = await client.get(f"http://127.0.0.1:{self.api_port}/health/ready")
            except httpx.TransportError:
                return False
        return response.status_code == 200

    # --- chargers --------------------------------------------------------------------------------------

    async def charger(self, identity: str = "CP-1", **options: Any) -> SimulatedCharger:
        """A new simulated charger that is connected and known to the API."""
        charger = self.fleet.add(identity, **options)
        await asyncio.wait_for(charger.booted.wait(), 60)
        await self.until_online(identity)
        return charger

    async def until_online(self, identity: str, online: bool = True) -> None:
        """Wait until the API says so; online means ready for commands."""
        wanted = "Connected" if online else "Disconnected"

        async def shows() -> bool:
            response = await self.http.get(f"/api/chargers/by-ocpp-id/{identity}")
            return (
                response.status_code == 200
                and response.json()["data"]["connectionStatus"]["status"] == wanted
            )

        await self.until(shows, f"{identity} is {wanted}")

    async def register(self, identity: str, ports: int = 2, **more: Any) -> dict[str, Any]:
        """A charger that never connected, made known by an administrator."""
        body = {"ocppId": identity, "ports": [{"portNumber": number + 1} for number in range(ports)], **more}
        response = await self.http.post("/api/chargers", json=body)
        assert response.status_code == 201, response.text
        data: dict[str, Any] = response.json()["data"]
        return data

    async def about(self, identity: str) -> dict[str, Any]:
        """The charger as the API shows it."""
        response = await self.http.get(f"/api/chargers/by-ocpp-id/{identity}")
        assert response.status_code == 200, response.text
        data: dict[str, Any] = response.json()["data"]
        return data

    async def port_id(self, identity: str, port_number: int = 1) -> int:
        ports = (await self.about(identity))["ports"]
        return int(next(port["id"] for port in ports if port["portNumber"] == port_number))

    async def until_port_shows(self, identity: str, port_number: int, status: str) -> None:
        """Wait until the API gives this status of a port."""
        shown: list[Any] = []

        async def shows() -> bool:
            ports = (await self.about(identity))["ports"]
            shown[:] = [port["ocppStatus"] for port in ports if port["portNumber"] == port_number]
            return [one and one["status"] for one in shown] == [status]

        await self.until(shows, f"port {port_number} of {identity} shows {status}", last=lambda: shown)

    # --- calls -----------------------------------------------------------------------------------------

    async def ask(self, method: str, path: str, *, repeat: bool = True, **more: Any) -> httpx.Response:
        """A call of the API, repeated as its answer asks for: a busy machine is not always in time."""
        deadline = time.monotonic() + 60
        while True:
            response = await self.http.request(method, path, **more)
            is_late = response.status_code == 503 or (
                response.status_code == 202 and response.json()["data"].get("reason") == "NotTakenUp"
            )
            if not is_late or not repeat or time.monotonic() > deadline:
                return response
            await asyncio.sleep(0.2)

    async def reserve(
        self,
        port_id: int | None,
        reservation_id: int = 7,
        *,
        repeat: bool = True,
        seconds: float = 600,
        id_tag: str = "CARD-1",
        **more: Any,
    ) -> httpx.Response:
        """POST a reservation; `headers` and further fields go along. Without a port: name `chargerId`."""
        headers = more.pop("headers", None)
        expires_at = datetime.now(UTC) + timedelta(seconds=seconds)
        body = {
            **({} if port_id is None else {"portId": port_id}),
            "reservationId": reservation_id,
            "idTag": id_tag,
            "expiryDate": expires_at.isoformat(),
            **more,
        }
        return await self.ask("POST", "/api/ocpp/reservations", json=body, headers=headers, repeat=repeat)

    async def cancel(self, charger_id: int, reservation_id: int = 7) -> httpx.Response:
        body = {"chargerId": charger_id, "reservationId": reservation_id}
        return await self.ask("POST", "/api/ocpp/reservations/cancel", json=body)

    async def show(self, charger_id: int, reservation_id: int = 7) -> dict[str, Any]:
        response = await self.ask("GET", f"/api/ocpp/reservations/{charger_id}/{reservation_id}")
        assert response.status_code == 200, response.text
        data: dict[str, Any] = response.json()["data"]
        return data

    async def until_state(
        self, charger_id: int, state: str, reservation_id: int = 7, within: float = 60
    ) -> dict[str, Any]:
        """Wait until the reservation is in `state`; what GET says then."""
        last: dict[str, Any] = {}

        async def reached() -> bool:
            response = await self.http.get(f"/api/ocpp/reservations/{charger_id}/{reservation_id}")
            last.clear()
            last.update(response.json().get("data") or response.json())
            return last.get("state") == state

        await self.until(reached, f"reservation {reservation_id} is {state}", within, lambda: last)
        return last

    async def until(
        self,
        condition: Callable[[], Awaitable[bool]],
        what: str,
        within: float = 60,
        last: Callable[[], object] = lambda: "",
    ) -> None:
        """Poll until `condition` holds. Raises AssertionError after `within` seconds."""
        deadline = time.monotonic() + within
        while not await condition():
            assert time.monotonic() < deadline, f"never came: {what}; last: {last()}"
            await asyncio.sleep(0.05)
