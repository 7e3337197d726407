"""`berth up`: everything on this machine, in the foreground, from one command to one Ctrl-C."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from rich.console import Console
from temporalio.client import Client

from berth.database import Charger, Database, migrate_async
from berth.errors import AlreadySaid, StartError
from berth.ports import free_port, require_free
from berth.settings import Settings
from berth.telemetry.metrics_server import PORTS_PER_PROCESS
from berth.temporal.client import TemporalUnreachable, connect
from berth.temporal.namespace import ensure_search_attributes
from berth.temporal.payload_key_check import check_payload_keys
from berth.temporal.task_queues import has_pollers
from cli.problem import EXIT_CODE
from cli.up.program import Program, RunningProgram
from cli.up.temporal_cli import find_temporal_cli
from cli.up.temporal_server import STOP_WITHIN, TemporalServer
from cli.up.var_folder import api_key_file, ensure_var, kept_api_key
from cli.up.welcome import Welcome
from simulator import console
from workflows.names import RESERVATIONS_QUEUE

READY_WITHIN = 60.0
"""Seconds our own processes have to become ready; a few are enough on a small machine."""

STOP_ORDER = ("api", "codec", "chargers", "gateway", "worker", "temporal")
"""First nobody asks for reservations, then nobody answers them."""

_STOP_WITHIN = {"gateway": 60.0, "worker": 20.0, "temporal": STOP_WITHIN}  # the gateway drains for 45 s
_METRICS_FROM = {"gateway": 0, "api": PORTS_PER_PROCESS, "worker": 2 * PORTS_PER_PROCESS}
_COLOURS = {"temporal": 35, "api": 36, "gateway": 32, "worker": 33, "chargers": 34}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def up(settings: Settings) -> None:
    """Run everything until Ctrl-C, SIGTERM or SIGHUP; a second one kills what still stops.

    Raises StartError, before anything was started when possible.
    """
    console = Console(highlight=False)
    ensure_var(settings.var)
    settings = _settings_of_up(settings)
    require_free("API_PORT", settings.api_host, settings.api_port)
    require_free("GATEWAY_PORT", settings.gateway_host, settings.gateway_port)
    if settings.simulated_chargers:
        require_free("SIMULATOR_PORT", "127.0.0.1", settings.simulator_port)
    temporal = None
    if "TEMPORAL_ADDRESS" not in os.environ:
        require_free("TEMPORAL_PORT", "127.0.0.1", settings.temporal_port)
        require_free("TEMPORAL_UI_PORT", "127.0.0.1", settings.temporal_ui_port)
        if settings.payload_key is not None:
            require_free("CODEC_PORT", settings.codec_host, settings.codec_port)
        temporal = TemporalServer(
            find_temporal_cli(settings.temporal_cli, lambda line: console.print(line, markup=False)),
            settings.temporal_port,
            settings.temporal_ui_port,
            settings.var / "temporal.db",
            _fresh_log(settings.var / "log" / "temporal.log"),
            os.environ.get("TEMPORAL_NAMESPACE", "default"),
            codec_endpoint=_url("http", settings.codec_host, settings.codec_port)
            if settings.payload_key is not None
            else None,
        )
        _speak_only_to(temporal)
        if settings.temporal_ui_url is None:
            settings = settings.model_copy(update={"temporal_ui_url": temporal.ui_url})
    asyncio.run(Supervisor(settings, temporal, console).run())


class Supervisor:
    """Starts everything in order, watches over it, and stops it in order."""

    def __init__(self, settings: Settings, temporal: TemporalServer | None, console: Console) -> None:
        self._settings = settings
        self._temporal = temporal
        self._console = console
        self._running: dict[str, RunningProgram] = {}
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Everything, until a signal. Raises StartError when it does not become ready."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._interrupt)
        stopped = asyncio.create_task(self._stop.wait())
        starting = asyncio.create_task(self._start())
        try:
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                (await starting).show(self._console)
                await stopped
        finally:
            starting.cancel()
            stopped.cancel()
            await asyncio.gather(starting, stopped, return_exceptions=True)
            await self._stop_all()

    def _interrupt(self) -> None:
        if not self._stop.is_set():
            self._stop.set()
            return
        for program in self._running.values():
            program.kill()

    async def _start(self) -> Welcome:
        settings = self._settings
        self._write("berth", "starting; everything is kept in " + str(settings.var.resolve()))
        client = await self._reach_temporal()
        await migrate_async(settings.database_url)
        async with await Database.open(settings.database_url) as database:
            await check_payload_keys(settings, database)
            await self._enter_key(database)
            self._run("gateway", "gateway", "--id", "main")
            self._run("api", "api")
            self._run("worker", "worker")
            await self._until("the gateway", "gateway", self._gateway_listens)
            if self._temporal is not None and self._temporal.codec_endpoint is not None:
                self._run("codec", "codec-server")
                await self._until("the codec server", "codec", self._codec_server_listens)
            if settings.simulated_chargers:
                url = _url(settings.gateway_scheme, settings.gateway_host, settings.gateway_port)
                count = str(settings.simulated_chargers)
                self._run("chargers", "simulate", "--chargers", count, "--url", f"{url}/ocpp")
            await self._until("the API", "api", self._api_is_ready)
            await self._until("the worker", "worker", lambda: has_pollers(client, RESERVATIONS_QUEUE))
            chargers = await self._simulated_chargers(database)
        return Welcome(
            api_url=_url(settings.api_scheme, settings.api_host, settings.api_port),
            gateway_url=_url(settings.gateway_scheme, settings.gateway_host, settings.gateway_port),
            ui_url=settings.temporal_ui_url and f"{settings.temporal_ui_url}/namespaces/{client.namespace}",
            api_key=_key(settings),
            api_key_file=_key_file(settings),
            chargers=chargers,
            open_to_network=settings.open_chargers and settings.gateway_host not in _LOOPBACK,
        )

    async def _reach_temporal(self) -> Client:
        if self._temporal is None:
            try:
                client = await connect(self._settings.payload_key)
            except TemporalUnreachable as error:
                raise StartError(
                    f"TEMPORAL_ADDRESS: Temporal does not answer at {error.address}; "
                    "correct it, or unset it to have one started here"
                ) from error
            await ensure_search_attributes(client)
            return client
        program = self._keep(
            Program(
                "temporal",
                self._temporal.command(),
                # Our keys are none of its business, nor where our traces go.
                {
                    name: value
                    for name, value in os.environ.items()
                    if not name.startswith(("BERTH_", "OTEL_"))
                },
                stop_within=_STOP_WITHIN["temporal"],
                log=self._temporal.log,
            )
        )
        ready = asyncio.create_task(self._temporal.prepare())
        either: list[asyncio.Future[Any]] = [ready, program.first_death]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            raise StartError(f"the embedded Temporal server ended at once, see {self._temporal.log}")
        return await ready

    async def _enter_key(self, database: Database) -> None:
        key = _key(self._settings)
        await database.keys.ensure_bootstrap(key)
        if await database.keys.authenticate(key) is None:
            where = _key_file(self._settings) or "BERTH_BOOTSTRAP_API_KEY"
            raise StartError(f"{where}: this API key is revoked; remove it, and a new one is made")

    async def _simulated_chargers(self, database: Database) -> list[Charger]:
        """All of them, as soon as they are online and have shown their ports."""
        count = self._settings.simulated_chargers
        online: list[Charger] = []

        async def all_are_online() -> bool:
            try:
                simulated = await console.chargers(f"http://127.0.0.1:{self._settings.simulator_port}")
            except console.ControlError:
                return False
            found = [await database.chargers.by_identity(charger["identity"]) for charger in simulated]
            online[:] = [charger for charger in found if charger and charger.online and charger.ports]
            return len(online) == count

        if count:
            await self._until("a simulated charger", "chargers", all_are_online)
        return online

    async def _api_is_ready(self) -> bool:
        settings = self._settings
        url = _url(settings.api_scheme, settings.api_host, settings.api_port)
        # A certificate names the host that callers know; this asks the own child by its address.
        async with httpx.AsyncClient(trust_env=False, verify=False) as http:  # noqa: S501
            try:
                return (await http.get(f"{url}/health/ready")).status_code == httpx.codes.OK
            except httpx.TransportError:
                return False

    async def _gateway_listens(self) -> bool:
        return await _listens(self._settings.gateway_host, self._settings.gateway_port)

    async def _codec_server_listens(self) -> bool:
        return await _listens(self._settings.codec_host, self._settings.codec_port)

    async def _until(self, what: str, name: str, ready: Callable[[], Awaitable[bool]]) -> None:
        deadline = time.monotonic() + READY_WITHIN
        death = self._running[name].first_death
        while not await ready():
            if death.done():
                if death.result() == EXIT_CODE:
                    raise AlreadySaid
                raise StartError(f"{what} ended with exit code {death.result()} before it was ready")
            if time.monotonic() > deadline:
                raise StartError(f"{what} did not become ready within {READY_WITHIN:.0f} s")
            await asyncio.sleep(0.1)

    def _run(self, name: str, *arguments: str) -> None:
        command = [sys.executable, "-P", "-m", "cli", *arguments]
        stop_within = _STOP_WITHIN.get(name, 10.0)
        environment = _environment(self._settings, self._console) | self._metrics(name)
        self._keep(Program(name, command, environment, stop_within))

    def _metrics(self, name: str) -> dict[str, str]:
        port = self._settings.metrics_port
        return {"BERTH_METRICS_PORT": str(port + _METRICS_FROM.get(name, 0) if port else 0)}

    def _keep(self, program: Program) -> RunningProgram:
        running = self._running[program.name] = RunningProgram(program, self._write)
        return running

    async def _stop_all(self) -> None:
        if self._running:
            self._write("berth", "stopping; Ctrl-C again kills")
        for name in STOP_ORDER:
            if name in self._running:
                await self._running[name].stop()

    def _write(self, name: str, line: str) -> None:
        if self._console.is_terminal:
            name = f"\x1b[{_COLOURS.get(name, 1)}m{name:8}\x1b[0m"
        try:
            self._console.file.write(f"{name:8} {line}\n")
            self._console.file.flush()
        except BrokenPipeError:  # nobody reads any more, as after `make up | head`
            self._console.file = Path(os.devnull).open("w")  # noqa: SIM115 - it takes the rest of the run
            self._stop.set()


async def _listens(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(_reachable(host), port)
    except OSError:
        return False
    writer.close()
    return True


def _settings_of_up(settings: Settings) -> Settings:
    """The same with the defaults that make a first try easy; they are `up`'s only."""
    easy: dict[str, object] = {
        "unknown_chargers": "register",
        "open_chargers": True,
        "webhook_private_targets": True,
    }
    changes = {name: value for name, value in easy.items() if name not in settings.model_fields_set}
    for name in (
        "api_port",
        "gateway_port",
        "simulator_port",
        "temporal_port",
        "temporal_ui_port",
        "codec_port",
    ):
        if getattr(settings, name) == 0:
            changes[name] = free_port()
    if settings.bootstrap_api_key is None:
        changes["bootstrap_api_key"] = SecretStr(kept_api_key(settings.var))
    return settings.model_copy(update=changes)


def _environment(settings: Settings, console: Console) -> dict[str, str]:
    """What our own processes find in theirs."""
    ours = {
        "API_PORT": str(settings.api_port),
        "GATEWAY_PORT": str(settings.gateway_port),
        "SIMULATOR_PORT": str(settings.simulator_port),
        "CODEC_PORT": str(settings.codec_port),
        "DATABASE_URL": settings.database_url,
        "UNKNOWN_CHARGERS": settings.unknown_chargers,
        "OPEN_CHARGERS": str(settings.open_chargers),
        "WEBHOOK_PRIVATE_TARGETS": str(settings.webhook_private_targets),
        "BOOTSTRAP_API_KEY": _key(settings),
        "LOG_FORMAT": "json" if settings.log_format == "json" else "console",
    }
    if settings.temporal_ui_url:
        ours["TEMPORAL_UI_URL"] = settings.temporal_ui_url
    colour = {"FORCE_COLOR": "1"} if console.is_terminal else {}
    return os.environ | colour | {f"BERTH_{name}": value for name, value in ours.items()}


def _speak_only_to(temporal: TemporalServer) -> None:
    """Have this process and its children use the embedded server, whatever a profile says of others."""
    for name in list(os.environ):
        if name.startswith("TEMPORAL_") and name not in ("TEMPORAL_NAMESPACE", "TEMPORAL_DEBUG"):
            del os.environ[name]
    os.environ["TEMPORAL_ADDRESS"] = temporal.address
    os.environ["TEMPORAL_CONFIG_FILE"] = os.devnull


def _fresh_log(path: Path) -> Path:
    """Makes room for the words of this run, keeping those of the last one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.replace(path.with_suffix(".log.1"))
    return path


def _key(settings: Settings) -> str:
    if settings.bootstrap_api_key is None:
        raise AssertionError("`up` always has a key")
    return settings.bootstrap_api_key.get_secret_value()


def _key_file(settings: Settings) -> Path | None:
    path = api_key_file(settings.var)
    if not path.exists() or path.read_text().strip() != _key(settings):
        return None
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("", "0.0.0.0", "::") else host  # noqa: S104 - compared, not bound


def _url(scheme: str, host: str, port: int) -> str:
    host = _reachable(host)
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
