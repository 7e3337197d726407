"""Lines that the part of Temporal's SDK writes that is no Python, as another process reads them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from berth.ports import free_port
from cli.up.temporal_server import TemporalServer
from tests.launch.commands import ROOT

SCRIPT = """
import asyncio, sys
from temporalio.client import Client
from berth.temporal.runtime import set_up_sdk
from berth.settings import Settings

async def main():
    client = await Client.connect(sys.argv[1])
    print(flush=True)
    input()
    await client.get_workflow_handle("any").signal("cancel", "CARD-1")

set_up_sdk(Settings(), None)
asyncio.run(main())
"""


@pytest.mark.timeout(60)
def test_what_it_says_when_temporal_goes_away_is_json_without_payloads(temporal_cli: Path) -> None:
    with TemporalServer(temporal_cli, free_port(), free_port()).running() as server:
        caller = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, server.address],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert caller.stdin is not None
        assert caller.stdout is not None
        caller.stdout.readline()
    with caller:
        caller.stdin.write("\n")
        caller.stdin.flush()
        line = caller.stdout.readline()
        caller.kill()
    told = json.loads(line)
    assert told["level"] == "WARN"
    assert "retried" in told["fields"]["message"]
    assert "CARD-1" not in line
