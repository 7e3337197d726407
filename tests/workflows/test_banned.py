"""What would make a replay decide differently is refused by the linter, in workflows and nowhere else."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

BANNED = [
    "from datetime import UTC, datetime\n\nAT = datetime.now(UTC)\n",
    "import datetime as dt\n\nAT = dt.datetime.now(dt.UTC)\n",
    "from datetime import date\n\nON = date.today()\n",
    "import time\n\nAT = time.monotonic()\n",
    "from random import random\n\nNUMBER = random()\n",
    "import secrets\n\nKEY = secrets.token_hex()\n",
    "import uuid\n\nKEY = uuid.uuid4()\n",
    "import os\n\nHOME = os.environ['HOME']\n",
    "from os.path import exists\n\nIS_THERE = exists('here')\n",
    "from pathlib import Path\n\nTEXT = Path('here').read_text()\n",
    "TEXT = open('here')\n",
    "import socket\n\nPORT = socket.socket()\n",
    "import httpx\n\nANSWER = httpx.get('http://127.0.0.1')\n",
    "import subprocess\n\nsubprocess.run(['date'])\n",
    "from threading import Lock\n\nLOCK = Lock()\n",
    "from concurrent.futures import ThreadPoolExecutor\n\nPOOL = ThreadPoolExecutor()\n",
    "import asyncio\n\nWAITING = asyncio.wait(set())\n",
    "from temporalio import workflow\n\nLOOKING = workflow.execute_local_activity('Look')\n",
    "from temporalio.workflow import start_local_activity\n\nLOOKING = start_local_activity('Look')\n",
]


def refusals(file: str, source: str) -> str:
    """What the linter has against a file with this source, by the project's rules."""
    ruff = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=concise"]
    checked = subprocess.run(
        [*ruff, "--select=TID251,PTH123", "--stdin-filename", file, "-"],
        cwd=ROOT,
        input=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode in (0, 1), checked.stderr
    return checked.stdout if checked.returncode else ""


@pytest.mark.parametrize("source", BANNED)
@pytest.mark.parametrize("file", ["workflows/new.py", "workflows/reservation/new.py"])
def test_no_workflow_has_a_clock_chance_or_io(file: str, source: str) -> None:
    assert file in refusals(file, source)


def test_what_temporal_gives_instead_is_fine() -> None:
    source = "from temporalio import workflow\n\nAT, KEY = workflow.now(), workflow.uuid4()\n"
    assert refusals("workflows/new.py", source) == ""


def test_other_code_has_its_clock() -> None:
    assert refusals("activities/new.py", "import time\n\nAT = time.monotonic()\n") == ""
