"""The doctor: what is well, what is not, and what to do."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from directory import migrate_async
from launch.doctor import Finding, examine, show
from launch.ports import free_port
from launch.temporal_server import TemporalServer
from settings import Settings
from tests.launch.commands import berth


@pytest.fixture(scope="module")
def server(temporal_cli: Path) -> Iterator[TemporalServer]:
    with TemporalServer(temporal_cli, free_port(), free_port()).running() as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(var=tmp_path, api_port=free_port(), gateway_port=free_port())


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


async def test_a_namespace_that_is_not_there_is_noticed(
    settings: Settings, server: TemporalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", server.address)
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "nowhere")
    assert (await findings(settings))["search attributes"].state == "wrong"


async def test_a_database_is_looked_into(settings: Settings) -> None:
    await migrate_async(settings.database_url)
    found = await findings(settings)
    assert found["database"].state == "ok"
    assert found["chargers"] == Finding(
        "chargers",
        "attention",
        "0 known, 0 online at 0 gateway(s)",
        "point a charger at the gateway, or `berth simulate`",
    )


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
