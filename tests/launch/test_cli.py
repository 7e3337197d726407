"""The command line, as a stranger meets it: help, tasks, and one line when something is wrong."""

import json
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.launch.commands import ROOT, berth, berth_here


@pytest.fixture
def var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, with a database that is up to date."""
    monkeypatch.setenv("BERTH_VAR", str(tmp_path))
    assert berth_here("migrate").returncode == 0
    return tmp_path


def one_line_of(run: subprocess.CompletedProcess[str]) -> str:
    """What a command that cannot start says: one line, exit code 2, no traceback."""
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert run.stderr.startswith("berth: ")
    return run.stderr.removeprefix("berth: ").rstrip()


def test_help_names_the_processes_and_the_tasks() -> None:
    run = berth("--help", COLUMNS="200")
    assert run.returncode == 0
    for command in ("up", "api", "gateway", "worker", "doctor", "reserve", "cancel", "list", "show"):
        assert f" {command} " in run.stdout


def test_help_waits_for_none_of_the_heavy_libraries() -> None:
    script = "import cli, sys; print({'temporalio', 'sqlalchemy', 'fastapi', 'pydantic'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def test_a_bad_setting_is_one_line_that_names_it() -> None:
    run = berth("charger", "list", BERTH_API_PORT="abc")
    assert one_line_of(run) == "BERTH_API_PORT: must be a whole number, got 'abc'"


@pytest.mark.parametrize("command", ["api", "gateway", "up"])
def test_a_port_in_use_is_one_line_that_names_its_setting(var: Path, command: str) -> None:
    name = "BERTH_GATEWAY_PORT" if command == "gateway" else "BERTH_API_PORT"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        line = one_line_of(berth(command, **{name: port}))
    assert line.startswith(f"{name}: port {port} of 127.0.0.1 is in use already")


def test_a_temporal_that_is_away_is_one_line(free_port: int) -> None:
    line = one_line_of(berth("search-attributes", TEMPORAL_ADDRESS=f"127.0.0.1:{free_port}"))
    assert line.startswith(f"Temporal does not answer at 127.0.0.1:{free_port}: set TEMPORAL_ADDRESS")


def test_up_with_a_temporal_that_is_away_says_how_to_go_without(var: Path, free_port: int) -> None:
    away = f"127.0.0.1:{free_port}"
    anywhere = {"BERTH_API_PORT": "0", "BERTH_GATEWAY_PORT": "0", "BERTH_SIMULATOR_PORT": "0"}
    line = one_line_of(berth("up", TEMPORAL_ADDRESS=away, **anywhere))
    assert line.startswith(f"TEMPORAL_ADDRESS: Temporal does not answer at {away}; correct it, or unset it")


def test_a_database_that_is_not_there_is_one_line_with_the_cure(tmp_path: Path) -> None:
    line = one_line_of(berth("charger", "list", BERTH_VAR=str(tmp_path)))
    assert line.startswith("BERTH_DATABASE_URL: there is no directory at")
    assert "berth migrate" in line


@pytest.mark.parametrize("command", ["api", "worker"])
def test_a_database_of_a_newer_release_is_one_line(var: Path, command: str, free_port: int) -> None:
    with sqlite3.connect(var / "berth.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    line = one_line_of(berth(command, BERTH_API_PORT=str(free_port)))
    assert line.startswith("BERTH_DATABASE_URL: ")
    assert "newer release" in line


def test_a_database_url_that_is_none_is_one_line() -> None:
    line = one_line_of(berth("migrate", BERTH_DATABASE_URL="berth"))
    assert line.startswith("BERTH_DATABASE_URL: must be like sqlite+aiosqlite:///")


def test_a_database_that_does_not_answer_is_one_line_without_its_password(free_port: int) -> None:
    url = f"postgresql+asyncpg://berth:s3cret@127.0.0.1:{free_port}/berth"
    line = one_line_of(berth("migrate", BERTH_DATABASE_URL=url))
    assert line.startswith("BERTH_DATABASE_URL: no database at")
    assert "s3cret" not in line


def test_an_api_that_is_away_is_one_line(free_port: int) -> None:
    line = one_line_of(berth("list", BERTH_URL=f"http://127.0.0.1:{free_port}", BERTH_API_KEY="key"))
    assert line.startswith(f"BERTH_URL: no answer from http://127.0.0.1:{free_port}")


def test_a_charger_is_added_listed_and_not_added_twice(var: Path) -> None:
    added = berth_here("charger", "add", "CP-1", "--ports", "2", "--site", "north", "--json")
    charger = json.loads(added.stdout)
    assert [port["port_number"] for port in charger["ports"]] == [1, 2]
    assert json.loads(berth_here("charger", "list", "--json").stdout) == [charger]
    assert json.loads(berth_here("charger", "list", "--site", "south", "--json").stdout) == []
    table = berth_here("charger", "list").stdout
    assert "CP-1" in table
    assert "offline" in table
    again = berth_here("charger", "add", "CP-1")
    assert again.returncode == 1
    assert again.stderr == "berth: ocpp_identity: another charger has this already\n"


def test_a_charger_without_a_password_is_warned_about(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "BERTH_OPEN_CHARGERS=true" in berth_here("charger", "add", "CP-1").stdout
    monkeypatch.setenv("BERTH_CHARGER_PASSWORD", "a long password")
    protected = berth_here("charger", "add", "CP-2")
    assert "BERTH_OPEN_CHARGERS" not in protected.stdout


def test_a_key_is_shown_once_listed_and_revoked(var: Path) -> None:
    created = berth_here("key", "create", "shop", "--site", "north", "--expires", "90d")
    raw_key = created.stdout.strip()
    assert raw_key.startswith("berth_")
    listed = json.loads(berth_here("key", "list", "--json").stdout)
    assert [(key["name"], key["rights"], key["site_ids"]) for key in listed] == [
        ("shop", ["read", "reservations"], ["north"])
    ]
    assert raw_key not in berth_here("key", "list").stdout
    assert berth_here("key", "revoke", str(listed[0]["id"])).returncode == 0
    again = berth_here("key", "revoke", str(listed[0]["id"]))
    assert (again.returncode, again.stderr) == (1, f"berth: there is no live key {listed[0]['id']}\n")


def test_an_unknown_right_is_refused(var: Path) -> None:
    run = berth_here("key", "create", "shop", "--right", "fly")
    assert run.returncode == 2
    assert "fly" in run.stderr
