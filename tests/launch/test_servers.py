"""A test whose server is missing is left out with a word; in continuous integration it fails."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import servers
from tests.conftest import UNIT
from tests.launch.commands import ROOT
from tests.launch.fake_programs import executable

TESTS = """
import pytest
from tests import servers

@pytest.fixture(scope="session")
def postgres():
    return servers.need("initdb")

@pytest.mark.parametrize("number", range(3))
def test_of_postgres(postgres, number): pass

def test_of_nginx(): servers.need("nginx")

def test_of_nothing(): pass
"""


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a program, but with tests that want some."""
    monkeypatch.setattr(servers, "PLACES", ())
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    (tmp_path / "test_wants.py").write_text(f"{TESTS}\nservers.PLACES = ()\n")
    return tmp_path


def run_of(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-n", "1", "--rootdir", folder, folder],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_their_servers_tests_are_left_out_and_a_line_says_so(bare: Path) -> None:
    run = run_of(bare)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 passed, 4 skipped" in run.stdout
    (line,) = (line for line in run.stdout.splitlines() if line.startswith("Left out"))
    assert line == (
        "Left out: 4 tests: 3 for want of postgresql (test_wants.py), 1 for want of nginx (test_wants.py). "
        f"To run them: {servers.bring(['nginx', 'initdb'])}"
    )


def test_in_continuous_integration_they_fail(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    run = run_of(bare)
    assert run.returncode == 1, run.stdout + run.stderr
    assert "skipped" not in run.stdout
    assert "Left out" not in run.stdout
    assert "nginx is missing: " in run.stdout
    assert "initdb is missing: " in run.stdout


def test_where_nothing_can_be_installed_only_continuous_integration_ends(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(bare / "bin" / "sh", "exit 1")
    servers.install()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(SystemExit, match="Missing and not to be installed from here: initdb, nginx, "):
        servers.install()


def test_the_newest_version_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(servers, "PLACES", (f"{tmp_path}/*/bin",))
    for version in ("9", "15", "8"):
        executable(tmp_path / version / "bin" / "initdb", "")
    assert servers.find("initdb") == tmp_path / "15" / "bin" / "initdb"


def test_make_test_unit_runs_the_folders_that_start_no_process() -> None:
    dry = subprocess.run(
        ["make", "--no-print-directory", "-n", "test-unit"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    pytest_line = dry.splitlines()[-1]
    assert re.findall(r"\btests/\w+", pytest_line) == [
        f"tests/{folder}" for folder in sorted(UNIT) if (ROOT / "tests" / folder).exists()
    ]
