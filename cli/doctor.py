"""`berth doctor`: looks at everything Berth needs, says what is wrong and what to do about it."""

import asyncio
import difflib
import os
import platform
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import Literal

import httpx
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.client import Client
from temporalio.service import RPCError

from berth.database import Database, Gateway, SchemaError, UnreachableError
from berth.errors import StartError
from berth.ports import is_taken
from berth.settings import Settings
from berth.temporal.client import TemporalUnreachable, connect
from berth.temporal.namespace import missing_search_attributes
from berth.temporal.task_queues import QueueWorkers, draining_builds, promotion, queue_workers
from cli.output import show_json, show_table
from cli.up.temporal_cli import CLI_VERSION, OLDEST_SERVER, present_temporal_cli
from workflows.names import RESERVATIONS_QUEUE

ANSWER_WITHIN = 5.0
"""Seconds a server has for each question."""

OTHER_VARIABLES = frozenset({"BERTH_URL", "BERTH_API_KEY", "BERTH_CHARGER_PASSWORD"})
"""Of the command line, not of the settings."""

State = Literal["ok", "attention", "wrong"]


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and what to do when that is not well."""

    subject: str
    state: State
    detail: str
    remedy: str | None = None


async def examine(settings: Settings) -> list[Finding]:
    """Look at everything. Raises nothing: what cannot be looked at is a finding."""
    findings = [_python(), *_variables(), *_temporal_cli(settings)]
    findings += await _temporal(settings)
    findings += await _database(settings)
    findings.append(await _api(settings))
    findings.append(_gateway(settings))
    return findings


def show(findings: list[Finding], as_json: bool) -> int:
    """Show the findings; the exit code: 1 when something is wrong, else 0."""
    if as_json:
        show_json(findings)
    else:
        rows = (
            (finding.state, finding.subject, finding.detail, finding.remedy or "") for finding in findings
        )
        show_table(("", "what", "how it is", "what to do"), rows, "")
    return int(any(finding.state == "wrong" for finding in findings))


def _python() -> Finding:
    versions = f"{platform.python_version()}, Temporal SDK {version('temporalio')}"
    return Finding("Python", "ok", versions)


def _variables() -> list[Finding]:
    known = {f"BERTH_{name.upper()}" for name in Settings.model_fields} | OTHER_VARIABLES
    findings = []
    for name in sorted(name for name in os.environ if name.startswith("BERTH_") and name not in known):
        close = difflib.get_close_matches(name, known, 1)
        remedy = f"did you mean {close[0]}?" if close else "remove it, or see docs/reference/settings.md"
        findings.append(Finding("settings", "attention", f"{name} is not a setting", remedy))
    return findings or [Finding("settings", "ok", "all are understood")]


def _temporal_cli(settings: Settings) -> list[Finding]:
    if "TEMPORAL_ADDRESS" in os.environ:  # then nobody needs one
        return []
    try:
        found = present_temporal_cli(settings.temporal_cli, lambda line: None)
    except StartError as error:
        return [Finding("Temporal CLI", "wrong", str(error), "correct or unset BERTH_TEMPORAL_CLI")]
    if found is None:
        remedy = "`berth up` gets one; that may take minutes"
        return [Finding("Temporal CLI", "attention", f"no version {CLI_VERSION} or newer here", remedy)]
    return [Finding("Temporal CLI", "ok", str(found))]


async def _temporal(settings: Settings) -> list[Finding]:
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            client = await connect(settings.payload_key)
            info = await client.workflow_service.get_system_info(GetSystemInfoRequest())
    except TimeoutError:
        return [Finding("Temporal", "wrong", "does not answer in time", "look at its own log")]
    except (TemporalUnreachable, RPCError) as error:
        return [Finding("Temporal", "wrong", str(error), "`berth up`, or set TEMPORAL_ADDRESS")]
    where = f"server {info.server_version} at {client.service_client.config.target_host}"
    findings = [Finding("Temporal", "ok", f"{where}, namespace {client.namespace}")]
    numbers = tuple(int(part) for part in info.server_version.split("-")[0].split(".") if part.isdigit())
    if numbers < OLDEST_SERVER:
        oldest = ".".join(map(str, OLDEST_SERVER))
        findings = [Finding("Temporal", "attention", where, f"Berth is tested with {oldest} and newer")]
    findings.append(await _guarded("search attributes", lambda: _search_attributes(client)))
    findings.append(await _guarded("worker", lambda: _worker(client)))
    return findings


async def _search_attributes(client: Client) -> Finding:
    missing = await missing_search_attributes(client)
    if missing:
        return Finding(
            "search attributes", "wrong", f"missing: {', '.join(missing)}", "`berth search-attributes`"
        )
    return Finding("search attributes", "ok", "all are there")


async def _worker(client: Client) -> Finding:
    return about_workers(await queue_workers(client, RESERVATIONS_QUEUE), await draining_builds(client))


def about_workers(workers: QueueWorkers, draining: frozenset[str]) -> Finding:
    """Whether every reservation, new or pinned to a build that was current before, has a worker."""
    if not workers.builds:
        return Finding("worker", "wrong", "none polls: reservations wait", "`berth worker`")
    if workers.current not in workers.builds:
        builds = sorted(build for build in workers.builds if build is not None)
        detail = (
            f"of {f'build {builds[-1]}' if builds else 'no build'}, "
            f"while {workers.current or 'none'} is current: new reservations wait"
        )
        return Finding("worker", "wrong", detail, f"`{promotion(builds[-1] if builds else None)}`")
    abandoned = sorted(draining - workers.builds)
    if abandoned:
        detail = (
            f"none of build {', '.join(abandoned)} polls, which is not drained: what is pinned to it waits"
        )
        remedy = f"`berth worker` with BERTH_WORKER_BUILD={abandoned[0]}, or move its reservations"
        return Finding("worker", "attention", detail, remedy)
    build = "" if workers.current is None else f", build {workers.current} is current"
    return Finding("worker", "ok", f"polls the task queue {RESERVATIONS_QUEUE}{build}")


async def _guarded(subject: str, look: Callable[[], Awaitable[Finding]]) -> Finding:
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            return await look()
    except (RPCError, StartError, TimeoutError) as error:
        return Finding(subject, "wrong", str(error) or "no answer in time", "look at Temporal's own log")


async def _database(settings: Settings) -> list[Finding]:
    try:
        async with asyncio.timeout(ANSWER_WITHIN), await Database.open(settings.database_url) as database:
            well = Finding("database", "ok", "its schema is this release's")
            return [well, *await _gateways(database), await _chargers(database)]
    except TimeoutError:
        return [Finding("database", "wrong", "does not answer in time", "look at its own log")]
    except SchemaError as error:
        return [Finding("database", "wrong", str(error), "`berth migrate`, or the release it belongs to")]
    except UnreachableError as error:
        return [Finding("database", "wrong", str(error), "start it, or correct BERTH_DATABASE_URL")]


async def _gateways(database: Database) -> list[Finding]:
    known = await database.links.gateways()
    # A dead one that holds no charger does no harm; it is forgotten within a day.
    findings = [_process(gateway) for gateway in known if gateway.lives or gateway.chargers]
    if not any(gateway.lives for gateway in known):
        remedy = "`berth gateway`, with this BERTH_DATABASE_URL"
        findings.append(Finding("gateways", "attention", "none is in touch with this database", remedy))
    return findings


def _process(gateway: Gateway) -> Finding:
    subject = f"gateway {gateway.gateway_id}"
    silent_for = timedelta(seconds=int(gateway.silent_for.total_seconds()))
    if not gateway.lives:
        detail = f"silent for {silent_for}, its {gateway.chargers} charger(s) are offline till they return"
        remedy = f"its log says why, if it runs; else start it: `berth gateway --id {gateway.gateway_id}`"
        return Finding(subject, "attention", detail, remedy)
    detail = f"holds {gateway.chargers} charger(s), last heartbeat {silent_for} ago"
    return Finding(subject, "ok", f"{detail}, drains: takes no new commands" if gateway.drains else detail)


async def _chargers(database: Database) -> Finding:
    chargers = await database.chargers.all(limit=10_000)
    online = sum(charger.online for charger in chargers)
    detail = f"{len(chargers)} known, {online} online"
    if online:
        return Finding("chargers", "ok", detail)
    return Finding("chargers", "attention", detail, "point a charger at the gateway, or `berth simulate`")


async def _api(settings: Settings) -> Finding:
    url = f"{settings.api_scheme}://{settings.api_host}:{settings.api_port}/health/ready"
    # A certificate names the host that callers know, this is the address it listens on.
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=ANSWER_WITHIN) as http:  # noqa: S501
        try:
            answer = await http.get(url)
        except httpx.TransportError:
            return _nobody("API", "API_PORT", settings.api_host, settings.api_port, "`berth api`")
    if answer.status_code == httpx.codes.OK:
        return Finding("API", "ok", f"ready at {url}")
    return Finding("API", "wrong", f"{url} says {answer.status_code}: {answer.text[:200]}", "see its log")


def _gateway(settings: Settings) -> Finding:
    host, port = settings.gateway_host, settings.gateway_port
    try:
        socket.create_connection((host, port), ANSWER_WITHIN).close()
    except OSError:
        return _nobody("gateway", "GATEWAY_PORT", host, port, "`berth gateway`")
    return Finding("gateway", "ok", f"listens at {settings.gateway_scheme}://{host}:{port}/ocpp/…")


def _nobody(subject: str, setting: str, host: str, port: int, start: str) -> Finding:
    where = f"{host}:{port}"
    try:
        taken = is_taken(host, port)
    except OSError as error:
        return Finding(
            subject, "wrong", f"cannot listen on {where}: {error.strerror}", f"correct BERTH_{setting}"
        )
    if taken:
        remedy = f"stop it, or set BERTH_{setting} to another port"
        return Finding(subject, "wrong", f"something else is listening on {where}", remedy)
    return Finding(subject, "wrong", f"nothing listens on {where}", start)
