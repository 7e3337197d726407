"""`berth up`, for real: ready to use, whole again after a death, and gone when it is stopped."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from berth import ports
from berth.payload_keys import fresh_key
from tests.launch.waiting import until
from tests.servers import need

READY_WITHIN = 90.0
"""Seconds; about five on a machine with nothing else to do."""

PORTS = ("API_PORT", "GATEWAY_PORT", "SIMULATOR_PORT", "TEMPORAL_PORT", "TEMPORAL_UI_PORT", "CODEC_PORT")


class Stack:
    """One folder and its ports, where `berth up` can be started again and again."""

    def __init__(self, var: Path, temporal_cli: Path) -> None:
        self.ports = {name: ports.free_port() for name in PORTS}
        self._environment = {
            "BERTH_VAR": str(var),
            "BERTH_TEMPORAL_CLI": str(temporal_cli),
            **{f"BERTH_{name}": str(port) for name, port in self.ports.items()},
        }
        self._process: subprocess.Popen[str] | None = None
        self.output = ""

    @property
    def process(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise AssertionError("start it first")
        return self._process

    def up(self, **settings: str) -> None:
        self.output = ""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cli", "up"],
            env=os.environ | self._environment | settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        until(
            "it is up",
            lambda: "Ctrl-C stops everything" in self.output or self.process.poll() is not None,
            READY_WITHIN,
        )
        assert self.process.poll() is None, self.output

    def children(self) -> dict[str, int]:
        """Name → process id of everything that it runs."""
        table = subprocess.run(
            [need("ps"), "-axo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
        )
        found = {}
        for line in table.stdout.splitlines():
            pid, parent, arguments = line.split(maxsplit=2)
            if int(parent) == self.process.pid:
                name = re.search(r"-m cli (\w+)|(start-dev)", arguments)
                found[(name[1] or name[2]) if name else arguments] = int(pid)
        return found

    def end(self, number: signal.Signals) -> int:
        """Send the signal to the supervisor alone; its exit code."""
        with self.process as process:
            process.send_signal(number)
            process.wait(60)
            self._reader.join()
        self._process = None
        return process.returncode

    def taken_ports(self) -> list[str]:
        return [name for name, port in self.ports.items() if ports.is_taken("127.0.0.1", port)]

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        key = re.search(r"Bearer (\S+)'", self.output)
        assert key is not None
        url = f"http://127.0.0.1:{self.ports['API_PORT']}{path}"
        headers = {"Authorization": f"Bearer {key[1]}"}
        method = "GET" if body is None else "POST"
        answer = httpx.request(method, url, headers=headers, json=body, timeout=60, trust_env=False)
        content: dict[str, Any] = answer.raise_for_status().json()
        return content

    def run_example(self) -> dict[str, Any]:
        """Make the reservation that it shows, as a shell would read the command."""
        command = re.search(r"^curl .*?-d '.*?'$", self.output, re.DOTALL | re.MULTILINE)
        assert command is not None, self.output
        script = f'curl() {{ for last; do :; done; printf %s "$last"; }}\n{command[0]}'
        body = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True).stdout
        return self.ask("/api/ocpp/reservations", httpx.Response(200, text=body).json())

    def _read(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            self.output += line

    def clean_up(self) -> None:
        if self._process is not None:
            self.end(signal.SIGKILL)


@pytest.fixture
def stack(tmp_path: Path, temporal_cli: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path / "var", temporal_cli)
    yield stack
    stack.clean_up()


def is_gone(pid: int) -> bool:
    run = subprocess.run(
        [need("ps"), "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return run.returncode != 0 or run.stdout.startswith("Z")


@pytest.mark.timeout(400)
def test_a_killed_supervisor_leaves_nothing_behind_and_the_next_finds_every_reservation(stack: Stack) -> None:
    stack.up()
    made = stack.run_example()["data"]
    assert (made["status"], made["state"]) == ("Accepted", "active")
    children = stack.children()
    assert set(children) == {"start-dev", "api", "gateway", "worker", "simulate"}
    stack.end(signal.SIGKILL)
    until("every child is gone", lambda: all(map(is_gone, children.values())))
    until("every port is free", lambda: stack.taken_ports() == [])
    stack.up()
    found = stack.ask(f"/api/ocpp/reservations/{made['chargerId']}/{made['reservationId']}")["data"]
    assert found["state"] == "active"
    assert found["expiryDate"] == made["expiryDate"]


@pytest.mark.timeout(400)
def test_one_that_dies_is_started_again_and_ctrl_c_stops_all(stack: Stack) -> None:
    stack.up()
    first = stack.children()
    os.kill(first["gateway"], signal.SIGKILL)
    until("another gateway", lambda: stack.children().get("gateway") not in (None, first["gateway"]))
    assert "gateway  ended (SIGKILL); starts again in 1 s" in stack.output
    second = stack.children()
    assert {name: pid for name, pid in second.items() if name != "gateway"} == {
        name: pid for name, pid in first.items() if name != "gateway"
    }
    assert stack.end(signal.SIGINT) == 0
    assert all(map(is_gone, second.values()))
    assert stack.taken_ports() == []
    assert "Traceback" not in stack.output


@pytest.mark.timeout(400)
def test_with_a_key_its_ui_finds_a_codec_server_that_serves_it(stack: Stack) -> None:
    stack.up(BERTH_PAYLOAD_KEY=fresh_key().in_setting())
    made = stack.run_example()["data"]
    assert (made["status"], made["state"]) == ("Accepted", "active")
    assert "codec" in stack.children()
    ui = f"http://127.0.0.1:{stack.ports['TEMPORAL_UI_PORT']}"
    workflow_id = f"reservation-{made['chargerId']}-{made['reservationId']}"
    history = f"{ui}/api/v1/namespaces/default/workflows/{workflow_id}/history"
    started, *_ = httpx.get(history, trust_env=False).raise_for_status().json()["history"]["events"]
    payloads = started["workflowExecutionStartedEventAttributes"]["input"]
    endpoint = httpx.get(f"{ui}/api/v1/settings", trust_env=False).json()["Codec"]["Endpoint"]
    answer = httpx.post(f"{endpoint}/decode", json=payloads, headers={"Origin": ui}, trust_env=False)
    assert answer.headers["Access-Control-Allow-Origin"] == ui
    start = json.loads(base64.b64decode(answer.json()["payloads"][0]["data"]))
    assert start["reservation_id"] == made["reservationId"]
    assert stack.end(signal.SIGTERM) == 0
    assert stack.taken_ports() == []
