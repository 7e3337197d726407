"""The doctor: what is well, what is not, and what to do."""

import json
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url

from berth.database import Database, migrate_async
from berth.database.database import connect
from berth.database.tables import gateways
from berth.ports import free_port
from berth.settings import Settings
from berth.temporal.task_queues import QueueWorkers
from cli.doctor import Finding, about_workers, examine, show
from cli.up.temporal_server import TemporalServer
from tests.database.time_passes import age
from tests.launch.commands import berth


@pytest.fixture(scope="module")
def server(temporal_cli: Path) -> Iterator[TemporalServer]:
    with TemporalServer(temporal_cli, free_port(), free_port()).running() as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(var=tmp_path, api_port=free_port(), gateway_port=free_port())


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The database of those settings, empty."""
    await migrate_async(settings.database_url)
    async with await Database.open(settings.database_url) as database:
        yield database


async def hold(database: Database, incarnation: str, gateway_id: str, *identities: str) -> None:
    """Start a gateway, which holds ready sockets of these chargers."""
    await database.links.start(incarnation, gateway_id, f"queue-{incarnation}")
    for identity in identities:
        charger = await database.chargers.register(identity)
        epoch = (await database.links.take(charger.id, incarnation, "ocpp1.6")).epoch
        await database.links.mark_ready(charger.id, epoch)


async def silence(settings: Settings, by: timedelta) -> None:
    """Let time pass without a heartbeat of the gateways that there are."""
    connections = connect(make_url(settings.database_url))
    await age(connections, gateways.c.heartbeat_at, by)
    await connections.close()


async def findings(settings: Settings) -> dict[str, Finding]:
    return {finding.subject: finding for finding in await examine(settings)}


async def test_with_nothing_running_each_thing_says_what_to_do(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{free_port()}")
    found = await findings(settings)
    wrong = {subject: finding.remedy for subject, finding in found.items() if finding.state == "wrong"}
    assert wrong == {
        "Temporal": "`berth up`, or set TEMPORAL_ADDRESS",
        "database": "`berth migrate`, or the release it belongs to",
        "API": "`berth api`",
        "gateway": "`berth gateway`",
    }


async def test_a_temporal_without_a_worker_is_noticed(
    settings: Settings, server: TemporalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", server.address)
    found = await findings(settings)
    assert found["Temporal"].state == "ok"
    assert "server 1." in found["Temporal"].detail
    assert found["search attributes"].state == "ok"
    assert (found["worker"].state, found["worker"].remedy) == ("wrong", "`berth worker`")


def test_workers_of_builds_are_told_from_the_current_one() -> None:
    def about(current: str | None, *builds: str | None, draining: str = "") -> tuple[str, str, str | None]:
        finding = about_workers(QueueWorkers(frozenset(builds), current), frozenset(draining))
        return finding.state, finding.detail, finding.remedy

    promote = "temporal worker deployment set-current-version --deployment-name berth"
    assert about(None, None, "A")[0] == about("B", "A", "B", draining="A")[0] == "ok"
    assert about("A", None) == (
        "wrong", "of no build, while A is current: new reservations wait", f"`{promote} --unversioned`"
    )  # fmt: skip
    assert about("A", "B") == (
        "wrong", "of build B, while A is current: new reservations wait", f"`{promote} --build-id B`"
    )  # fmt: skip
    state, detail, remedy = about("B", "B", draining="A")
    assert (state, detail.startswith("none of build A polls")) == ("attention", True)
    assert "BERTH_WORKER_BUILD=A" in (remedy or "")


async def test_a_namespace_that_is_not_there_is_noticed(
    settings: Settings, server: TemporalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", server.address)
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "nowhere")
    assert (await findings(settings))["search attributes"].state == "wrong"


async def test_a_database_is_looked_into(settings: Settings, database: Database) -> None:
    found = await findings(settings)
    assert found["database"].state == "ok"
    assert found["chargers"] == Finding(
        "chargers",
        "attention",
        "0 known, 0 online",
        "point a charger at the gateway, or `berth simulate`",
    )
    assert found["gateways"].state == "attention"
    assert found["gateways"].remedy == "`berth gateway`, with this BERTH_DATABASE_URL"


async def test_gateways_are_listed_with_their_chargers(settings: Settings, database: Database) -> None:
    await hold(database, "one", "north", "CP-1", "CP-2")
    await hold(database, "two", "south", "CP-3")
    await database.links.drain("two")
    found = await findings(settings)
    assert found["gateway north"].state == found["gateway south"].state == "ok"
    assert found["gateway north"].detail.startswith("holds 2 charger(s), last heartbeat 0:00:")
    assert "drains" not in found["gateway north"].detail
    assert found["gateway south"].detail.startswith("holds 1 charger(s), last heartbeat 0:00:")
    assert found["gateway south"].detail.endswith("drains: takes no new commands")
    assert "gateways" not in found
    assert found["chargers"] == Finding("chargers", "ok", "3 known, 2 online")


async def test_a_dead_gateway_is_noticed_as_long_as_chargers_wait_for_it(
    settings: Settings, database: Database
) -> None:
    await hold(database, "one", "north", "CP-1", "CP-2")
    await silence(settings, timedelta(minutes=1))
    found = await findings(settings)
    assert found["gateway north"].state == "attention"
    assert found["gateway north"].detail.startswith("silent for 0:01:")
    assert found["gateway north"].detail.endswith("its 2 charger(s) are offline till they return")
    assert "`berth gateway --id north`" in (found["gateway north"].remedy or "")
    assert found["gateways"].state == "attention", "there is no other"
    await hold(database, "two", "south", "CP-1", "CP-2")
    found = await findings(settings)
    assert "gateway north" not in found
    assert found["gateway south"].state == "ok"


async def test_a_stranger_on_our_port_is_told_from_nobody(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", settings.api_port)) as listener:
        listener.settimeout(0)
        found = await findings(settings)
    assert "something else is listening" in found["API"].detail


async def test_a_misspelt_variable_is_guessed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTH_GATEWAY_PROT", "9000")
    found = await findings(settings)
    assert found["settings"].detail == "BERTH_GATEWAY_PROT is not a setting"
    assert found["settings"].remedy == "did you mean BERTH_GATEWAY_PORT?"


def test_only_what_is_wrong_makes_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    well, odd, bad = Finding("a", "ok", ""), Finding("b", "attention", ""), Finding("c", "wrong", "")
    assert show([well, odd], as_json=False) == 0
    assert show([well, bad], as_json=False) == 1
    capsys.readouterr()
    show([bad], as_json=True)
    assert json.loads(capsys.readouterr().out) == [
        {"subject": "c", "state": "wrong", "detail": "", "remedy": None}
    ]


def test_the_command_ends_with_that_code(settings: Settings) -> None:
    run = berth("doctor", "--json", BERTH_VAR=str(settings.var), BERTH_API_PORT=str(settings.api_port))
    assert run.returncode == 1
    assert {"Python", "database", "API"} <= {finding["subject"] for finding in json.loads(run.stdout)}
