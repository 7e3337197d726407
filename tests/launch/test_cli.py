"""The command line, as a stranger meets it: help, tasks, and one line when something is wrong."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from berth import __version__
from berth.settings import Settings
from cli.commands.ending import EXIT_CODES
from tests.launch.commands import ROOT, WITHIN, berth, berth_here


@pytest.fixture
def var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, with a database that is up to date."""
    monkeypatch.setenv("BERTH_VAR", str(tmp_path))
    assert berth_here("migrate").returncode == 0
    return tmp_path


def one_line_of(run: subprocess.CompletedProcess[str], code: int = 2) -> str:
    """What a command that cannot do its work says: one line, its exit code, no traceback."""
    assert run.returncode == code
    assert run.stderr.count("\n") == 1
    assert run.stderr.startswith("berth: ")
    return run.stderr.removeprefix("berth: ").rstrip()


def test_help_names_the_processes_and_the_tasks() -> None:
    run = berth("--help", COLUMNS="200")
    assert run.returncode == 0
    for command in ("up", "api", "gateway", "worker", "doctor", "reserve", "cancel", "list", "messages"):
        assert f" {command} " in run.stdout


def test_the_version_is_shown() -> None:
    run = berth("--version")
    assert (run.returncode, run.stdout) == (0, f"{__version__}\n")
    # As a worker's build, which docs/how-to/pinned-releases.md has it be.
    assert Settings(worker_build=run.stdout.strip()).worker_build == __version__


def test_help_waits_for_none_of_the_heavy_libraries() -> None:
    script = (
        "import cli.app, sys; print({'temporalio', 'sqlalchemy', 'fastapi', 'pydantic'} & set(sys.modules))"
    )
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
    line = one_line_of(berth("key", "create", "me", "--local", BERTH_VAR=str(tmp_path)))
    assert line.startswith("BERTH_DATABASE_URL: there is no database at")
    assert "berth migrate" in line


def set_schema(var: Path, version: str) -> None:
    """Make the database one of another release."""
    with sqlite3.connect(var / "berth.db") as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (version,))
    database.close()


@pytest.mark.parametrize("command", ["api", "gateway", "worker"])
def test_a_database_of_an_older_release_is_one_line_with_the_cure(
    var: Path, command: str, free_port: int
) -> None:
    set_schema(var, "0001")
    anywhere = {"BERTH_API_PORT": str(free_port), "BERTH_GATEWAY_PORT": str(free_port)}
    line = one_line_of(berth(command, **anywhere))
    assert line.startswith("BERTH_DATABASE_URL: the database's schema is 0001, this release needs ")
    assert line.endswith("migrate it first (`berth migrate` does)")


@pytest.mark.parametrize("command", ["api", "gateway", "worker", "migrate"])
def test_a_database_of_a_newer_release_is_one_line(var: Path, command: str, free_port: int) -> None:
    set_schema(var, "9999")
    anywhere = {"BERTH_API_PORT": str(free_port), "BERTH_GATEWAY_PORT": str(free_port)}
    line = one_line_of(berth(command, **anywhere))
    assert line.startswith("BERTH_DATABASE_URL: ")
    assert "newer release" in line


@pytest.mark.parametrize("url", ["berth", "mysql://berth@127.0.0.1/berth"])
def test_a_url_of_no_database_that_berth_knows_is_one_line(url: str) -> None:
    line = one_line_of(berth("migrate", BERTH_DATABASE_URL=url))
    assert line.startswith("BERTH_DATABASE_URL: must be like sqlite:///")


def test_a_database_that_does_not_answer_is_one_line_without_its_password(free_port: int) -> None:
    url = f"postgresql+asyncpg://berth:s3cret@127.0.0.1:{free_port}/berth"
    line = one_line_of(berth("migrate", BERTH_DATABASE_URL=url))
    assert line.startswith("BERTH_DATABASE_URL: no database at")
    assert "s3cret" not in line


def test_an_api_that_is_away_is_one_line(free_port: int) -> None:
    line = one_line_of(berth("list", BERTH_URL=f"http://127.0.0.1:{free_port}", BERTH_API_KEY="key"), 3)
    assert line.startswith(f"BERTH_URL: no answer from http://127.0.0.1:{free_port}")


def test_the_exit_codes_are_in_the_help() -> None:
    shown = " ".join(berth("--help", COLUMNS="400").stdout.split())
    for code, meaning in EXIT_CODES.items():
        assert f"{code} {meaning}" in shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete_it(shell: str) -> None:
    # Else it looks for the shell that runs the tests, which may be none.
    run = berth("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert run.returncode == 0, run.stderr
    assert "_BERTH_COMPLETE" in run.stdout


def test_a_shell_is_told_the_commands() -> None:
    run = berth(_BERTH_COMPLETE="complete_bash", COMP_WORDS="berth char", COMP_CWORD="1")
    assert run.stdout.split() == ["charger"]


def test_ctrl_c_ends_a_command_without_a_word_of_python(var: Path, free_port: int) -> None:
    with socket.create_server(("127.0.0.1", free_port)) as silent:
        url = f"http://127.0.0.1:{free_port}"
        environment = os.environ | {"BERTH_URL": url, "BERTH_API_KEY": "key"}
        command = [sys.executable, "-P", "-m", "cli", "list"]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as run:
            silent.settimeout(WITHIN)
            connection, _ = silent.accept()
            with connection:
                run.send_signal(signal.SIGINT)
                _, said = run.communicate(timeout=WITHIN)
    assert run.returncode == 130
    assert "Traceback" not in said
