"""Makes the tutorial's pictures: `python docs/screenshots.py`, in a folder where a fresh `berth up` runs.

It walks through the tutorial by Berth's API and photographs Temporal's UI with Chromium, driven by its
DevTools protocol. Needs chromium and pngquant (Debian: apt-get install chromium pngquant).
"""

import base64
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from berth.settings import Settings

IMAGES = Path(__file__).parent / "images"
RESERVATION = 1001
WITHIN = 60.0  # seconds a page has to show what it should
CHROMIUM = [
    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--remote-debugging-port=0"),
]


class Browser:
    """One page of Chromium."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._sent = 0

    def call(self, method: str, **parameters: Any) -> Any:
        """Have it do something; the result."""
        self._sent += 1
        self._socket.send(json.dumps({"id": self._sent, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=WITHIN))
            if message.get("id") == self._sent:
                return message["result"]

    def photograph(self, url: str, shows: list[str], height: int, name: str) -> None:
        """Keep a picture of the page, once it shows all these words. Raises TimeoutError."""
        size = {"width": 1280, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url=url)
        deadline = time.monotonic() + WITHIN
        while missing := [text for text in shows if text not in self._text()]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{url} does not show {missing}")
            time.sleep(0.2)
        time.sleep(2)  # moving parts come to rest
        picture = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        small = subprocess.run(
            ["pngquant", "--speed", "1", "64", "-"], input=picture, capture_output=True, check=True
        )
        (IMAGES / name).write_bytes(small.stdout)
        sys.stdout.write(f"{name}: {len(small.stdout) // 1024} KiB\n")

    def _text(self) -> str:
        found = self.call("Runtime.evaluate", expression="document.body ? document.body.innerText : ''")
        return str(found["result"]["value"])


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser of its own, without a trace of any other."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [*CHROMIUM, f"--user-data-dir={folder}", "about:blank"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                with connect(_page(Path(folder)), max_size=None) as socket:
                    yield Browser(socket)
            finally:
                process.terminate()


def _page(folder: Path) -> str:
    """The URL of the page's DevTools socket."""
    port_file = folder / "DevToolsActivePort"
    deadline = time.monotonic() + WITHIN
    while not port_file.exists() or not port_file.read_text():
        if time.monotonic() > deadline:
            raise TimeoutError("Chromium does not start")
        time.sleep(0.1)
    port = port_file.read_text().splitlines()[0]
    pages = httpx.get(f"http://127.0.0.1:{port}/json").json()
    return str(next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page"))


def main() -> None:
    """Walk through the tutorial."""
    settings = Settings()
    ui = f"http://127.0.0.1:{settings.temporal_ui_port}/namespaces/default/workflows"
    key = (settings.var / "api-key").read_text().strip()
    berth = httpx.Client(
        base_url=f"http://127.0.0.1:{settings.api_port}/api", headers={"Authorization": f"Bearer {key}"}
    )
    chargers = {charger["ocppId"]: charger for charger in berth.get("/chargers").json()["data"]}
    charger = chargers["SIM-16"]
    port_id = next(port["id"] for port in charger["ports"] if port["portNumber"] == 1)
    expiry = (datetime.now(UTC) + timedelta(minutes=15)).isoformat()
    reservation = {"portId": port_id, "reservationId": RESERVATION, "idTag": "CARD-1", "expiryDate": expiry}
    workflow = f"reservation-{charger['id']}-{RESERVATION}"
    with browser() as page:
        berth.post("/ocpp/reservations", json=reservation).raise_for_status()
        page.photograph(ui, [workflow], 480, "temporal-list.png")
        page.photograph(f"{ui}/{workflow}", ["ReserveNow", "active until"], 1000, "temporal-active.png")
        cancel = {"chargerId": charger["id"], "reservationId": RESERVATION}
        berth.post("/ocpp/reservations/cancel", json=cancel).raise_for_status()
        page.photograph(
            f"{ui}/{workflow}", ["CancelReservation", "COMPLETED"], 1000, "temporal-cancelled.png"
        )


if __name__ == "__main__":
    main()
