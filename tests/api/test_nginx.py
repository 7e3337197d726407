"""deploy/nginx in front of a real API and a real gateway: what docs/how-to/tls.md asks of a proxy."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from berth.database import Database, NewCharger, NewPort
from berth.ports import free_port, is_taken
from tests.api.scripted import Script
from tests.certificates import Authority
from tests.gateway.stack import Stack, Temporal
from tests.gateway.station import Station, basic
from tests.launch.commands import ROOT
from tests.servers import need

IDENTITY, IN_THE_PATH = "GARAGE 2/7", "GARAGE%202%2F7"
PASSWORD = "0123456789abcdef0123"
AROUND = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/berth.conf;
}}
"""


@dataclass(frozen=True)
class Proxy:
    """Where the API and the gateway are found, and who vouches for that."""

    api: str
    gateway: str
    authority: Authority


@pytest.fixture
async def api_port(app: FastAPI) -> AsyncIterator[int]:
    """The API on a socket."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(60):
        while not server.started:
            await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


@pytest.fixture
async def gateway(database: Database) -> AsyncIterator[Stack]:
    """A gateway that lets in whom it knows by their password."""
    async with Stack(database, Temporal(), open_chargers=False, unknown_chargers="refuse") as stack:
        yield stack


@pytest.fixture
async def proxy(api_port: int, gateway: Stack, tmp_path: Path) -> AsyncIterator[Proxy]:
    """The nginx of this machine with our configuration."""
    authority = Authority(tmp_path, "ours")
    pem = authority.certify("proxy")
    ports = {"api": free_port(), "gateway": free_port()}
    text = (ROOT / "deploy/nginx/berth.conf").read_text("utf-8")
    for name, behind in (("api", api_port), ("gateway", gateway.server.port)):
        own = {"api": "8080", "gateway": "9000"}[name]
        for old, new in (
            (f"server 127.0.0.1:{own};", f"server 127.0.0.1:{behind};"),
            (
                f"listen 443 ssl;\n    server_name {name}",
                f"listen 127.0.0.1:{ports[name]} ssl;\n    server_name {name}",
            ),
            (f"/etc/nginx/tls/{name}.pem", str(pem)),
            (f"/etc/nginx/tls/{name}.key", str(pem)),
        ):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
    (tmp_path / "berth.conf").write_text(text)
    (tmp_path / "nginx.conf").write_text(AROUND.format(folder=tmp_path))
    with nginx(tmp_path) as process:
        async with asyncio.timeout(60):
            while not all(is_taken("127.0.0.1", port) for port in ports.values()):
                assert process.poll() is None, (tmp_path / "nginx.log").read_text()
                await asyncio.sleep(0.02)
        yield Proxy(
            f"https://127.0.0.1:{ports['api']}", f"wss://127.0.0.1:{ports['gateway']}/ocpp", authority
        )


@contextmanager
def nginx(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    program = need("nginx")
    with (folder / "nginx.log").open("wb") as log:
        command = [str(program), "-p", str(folder), "-c", str(folder / "nginx.conf")]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process:
            try:
                yield process
            finally:
                process.terminate()


@pytest.mark.usefixtures("worker")
async def test_a_reservation_is_made_through_it_with_every_header(
    proxy: Proxy, database: Database, script: Script, body: dict[str, Any]
) -> None:
    key, _ = await database.keys.create("tests", ["reservations"])
    headers = {"Authorization": f"Bearer {key}", "Prefer": "wait=2", "Idempotency-Key": "once"}
    async with httpx.AsyncClient(
        base_url=proxy.api, headers=headers, verify=proxy.authority.trusted()
    ) as http:
        made = await http.post("/api/ocpp/reservations", json=body)
        assert (made.status_code, made.json()["data"]["status"]) == (200, "Accepted")
        other = await http.post("/api/ocpp/reservations", json=body | {"idTag": "OTHER"})
        assert other.status_code == 409, "the key was used for another body"
    assert [asked.wait.total_seconds() for asked in script.asked] == [2]


async def test_a_charger_comes_through_it_with_its_password_and_the_name_it_has(
    proxy: Proxy, gateway: Stack, database: Database
) -> None:
    await database.chargers.add(NewCharger(IDENTITY, password=PASSWORD, ports=[NewPort(1)]))
    url, tls = f"{proxy.gateway}/{IN_THE_PATH}", proxy.authority.trusted()
    right = basic(IDENTITY, PASSWORD.encode())
    async with Station(url, headers=right, tls=tls) as station:
        assert station.socket.subprotocol == "ocpp1.6"
        assert [extension.name for extension in station.socket.protocol.extensions] == ["permessage-deflate"]
        await station.boot()
        assert (await gateway.session(IDENTITY)).is_ready
    with pytest.raises(InvalidStatus, match="401"):
        await connect(
            url, subprotocols=[Subprotocol("ocpp1.6")], additional_headers=basic(IDENTITY, b"no"), ssl=tls
        )
