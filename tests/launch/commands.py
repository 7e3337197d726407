"""Berth's own command, run as people run it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


WITHIN = 60.0
"""Seconds a command may take; far more than any here needs."""


def berth(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `berth …` to its end. Raises TimeoutExpired."""
    return subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), *arguments],
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )
