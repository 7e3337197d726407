"""Every process tells Prometheus how it does, on ports of its own: for real, with a reservation."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from berth import ports
from tests.launch.commands import berth
from tests.launch.waiting import until
from tests.scraped import scrape

KEY = "k" * 40
READY_WITHIN = 90.0
PORTS = ("API_PORT", "GATEWAY_PORT", "SIMULATOR_PORT", "TEMPORAL_PORT", "TEMPORAL_UI_PORT")


def free_ports_in_a_row(count: int) -> int:
    """The first of so many neighbours that nothing listens on, below those the system gives away."""
    while True:
        first = random.randrange(20_000, 30_000)
        if not any(ports.is_taken("127.0.0.1", first + number) for number in range(count)):
            return first


class Up:
    """A `berth up` with metrics."""

    def __init__(self, var: Path, temporal_cli: Path) -> None:
        self.metrics_port = free_ports_in_a_row(6)
        given = {name: ports.free_port() for name in PORTS}
        self.api = f"http://127.0.0.1:{given['API_PORT']}"
        environment = {f"BERTH_{name}": str(port) for name, port in given.items()} | {
            "BERTH_METRICS_PORT": str(self.metrics_port),
            "BERTH_BOOTSTRAP_API_KEY": KEY,
            "BERTH_VAR": str(var),
            "BERTH_TEMPORAL_CLI": str(temporal_cli),
        }
        self.output = ""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cli", "up"],
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def is_up(self) -> bool:
        assert self._process.poll() is None, self.output
        return "Ctrl-C stops everything" in self.output

    def end(self) -> None:
        with self._process:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
            self._reader.join()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self.output += line


@pytest.fixture
def up(tmp_path: Path, temporal_cli: Path) -> Iterator[Up]:
    running = Up(tmp_path / "var", temporal_cli)
    try:
        until("it is up", running.is_up, READY_WITHIN)
        yield running
    finally:
        running.end()


@pytest.mark.timeout(200)
def test_a_reservation_moves_the_counters_of_every_process(up: Up) -> None:
    gateway, api, worker = (up.metrics_port + offset for offset in (0, 2, 4))
    until("both chargers are connected", lambda: scrape(gateway).sum("berth_connected_chargers") == 2)
    assert scrape(gateway).sum("berth_connected_chargers", protocol="ocpp2.0.1") == 1
    assert scrape(worker).names() & {"process_resident_memory_bytes", "python_info"}

    headers = {"Authorization": f"Bearer {KEY}"}
    expiry = datetime.now(UTC) + timedelta(hours=1)
    body = {"portId": 1, "expiryDate": f"{expiry:%Y-%m-%dT%H:%M:%SZ}", "idTag": "A", "reservationId": 7}
    with httpx.Client(base_url=up.api, headers=headers, trust_env=False, timeout=60) as http:
        answer = http.post("/api/ocpp/reservations", json=body)
        assert answer.json()["data"]["status"] == "Accepted", answer.text
        # Nothing of it on the port that callers reach.
        assert http.get("/metrics").status_code == 404

    calls = scrape(gateway).sum("berth_calls_to_chargers_total", action="ReserveNow", outcome="answered")
    assert calls == 1
    assert scrape(gateway).sum("berth_calls_from_chargers_total", action="BootNotification") == 2
    assert scrape(gateway).sum("berth_events_undelivered") == 0
    route = {"method": "POST", "route": "/api/ocpp/reservations"}
    assert scrape(api).sum("berth_http_requests_total", status="2xx", **route) == 1
    assert scrape(api).sum("berth_http_request_duration_seconds_count", **route) == 1

    of_sdk = scrape(worker + 1)
    assert of_sdk.sum("berth_reservations_total", state="active", reason="none") == 1
    assert of_sdk.sum("temporal_workflow_task_schedule_to_start_latency_seconds_count") > 0
    assert scrape(gateway + 1).sum("temporal_activity_schedule_to_start_latency_seconds_count") > 0
    assert scrape(api + 1).sum("temporal_request_total") > 0


@pytest.mark.parametrize("offset", [0, 1])
def test_a_taken_metrics_port_is_one_clear_line(tmp_path: Path, offset: int) -> None:
    port = free_ports_in_a_row(2)
    with socket.create_server(("127.0.0.1", port + offset)):
        ended = berth(
            "api",
            BERTH_VAR=str(tmp_path),
            BERTH_API_PORT=str(ports.free_port()),
            BERTH_METRICS_PORT=str(port),
        )
    assert ended.returncode == 2
    (line,) = ended.stderr.strip().splitlines()
    assert "BERTH_METRICS_PORT" in line
    assert str(port + offset) in line
