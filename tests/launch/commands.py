"""Berth's own command, run as people run it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from cli import app as cli

ROOT = Path(__file__).parent.parent.parent


WITHIN = 60.0
"""Seconds a command may take; far more than any here needs."""


def berth(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `berth …` to its end. Raises TimeoutExpired."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "cli", *arguments],
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def berth_here(*arguments: str, stdin: str | bytes = "") -> Ended:
    """The same without a process of its own, which is quicker. Raises what the command does not expect."""
    result = CliRunner().invoke(cli.app, arguments, input=stdin, catch_exceptions=False)
    return Ended(result.exit_code, result.stdout, result.stderr)
