"""The programs that tests run and pip does not bring.

`python -m tests.servers` gets what is missing, where the machine lets it. A test without its program is left
out, and a line at the end says so; in continuous integration it fails.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

DEBIAN = {
    "initdb": "postgresql",
    "nginx": "nginx",
    "promtool": "prometheus",
    "ps": "procps",
    "redis-server": "redis-server",
}
"""Each program, and the package it is in."""

HOMEBREW = DEBIAN | {"redis-server": "redis"}

PLACES = ("/usr/sbin", "/sbin", "/usr/lib/postgresql/*/bin")
"""Where Debian has programs that are not on the path of everyone; of several versions the newest counts."""

LEFT_OUT = "left out without "


def find(program: str) -> Path | None:
    """Where a program is."""
    if on_path := shutil.which(program):
        return Path(on_path)
    found = [path for place in PLACES for path in Path("/").glob(f"{place[1:]}/{program}")]
    return max(found, key=_version, default=None)


def need(program: str) -> Path:
    """Where a program is; without it the test that asks is left out, or fails in continuous integration."""
    if found := find(program):
        return found
    if _in_ci():
        pytest.fail(f"{program} is missing: {bring([program])}", pytrace=False)
    pytest.skip(LEFT_OUT + program)


def bring(programs: Iterable[str]) -> str:
    """The command that installs them."""
    brew = sys.platform == "darwin"
    packages = sorted((HOMEBREW if brew else DEBIAN)[program] for program in programs)
    return f"{'brew install' if brew else 'sudo apt-get install'} {' '.join(packages)}"


def summary(skipped: Iterable[pytest.TestReport]) -> str | None:
    """One line on the tests that were left out: how many, for want of what, where, how to run them."""
    files: dict[str, list[str]] = {}
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        _, _, program = reason.partition(LEFT_OUT)
        if program:
            files.setdefault(program, []).append(report.nodeid.partition("::")[0])
    if not files:
        return None
    missing = ", ".join(
        f"{len(files[program])} for want of {DEBIAN[program]} ({os.path.commonpath(files[program])})"
        for program in sorted(files)
    )
    count = sum(map(len, files.values()))
    return f"Left out: {count} tests: {missing}. To run them: {bring(files)}"


def install() -> None:
    """Get what is missing; where that cannot be, exit in continuous integration and go on elsewhere."""
    missing = [program for program in DEBIAN if find(program) is None]
    if not missing:
        return
    script = Path(__file__).with_name("debian.sh")
    done = subprocess.run(["sh", script, *(DEBIAN[program] for program in missing)], check=False)
    if done.returncode != 0 and _in_ci():
        sys.exit(f"Missing and not to be installed from here: {', '.join(missing)}. {bring(missing)}")


def _in_ci() -> bool:
    return bool(os.environ.get("CI"))


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in path.parts if part.isdigit())


if __name__ == "__main__":
    install()
