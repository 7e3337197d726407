"""The API with a certificate of its own: https only, renewed under way, and the commands that speak to it."""

import asyncio
import os
import signal
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from api.process import api_tls, run
from berth.database import Database
from berth.settings import Settings
from berth.temporal.client import connect
from cli.doctor import Finding, examine
from tests.certificates import Authority
from tests.launch.commands import berth


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    """The authority of the API's certificates."""
    return Authority(tmp_path, "ours")


@pytest.fixture
def settings(ours: Authority, free_port: int, tmp_path: Path) -> Settings:
    """An API with TLS."""
    file = ours.certify("api")
    return Settings(var=tmp_path, api_port=free_port, api_tls_cert=file, api_tls_key=file)


@pytest.fixture
async def url(settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Where it runs."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    stop = asyncio.Event()
    client = await connect(None, lazy=True)
    serving = asyncio.create_task(run(settings, client, database, stop, tls=api_tls(settings)))
    async with asyncio.timeout(60):
        while not await _listens(settings.api_port):
            await asyncio.sleep(0.02)
    yield f"https://127.0.0.1:{settings.api_port}"
    stop.set()
    async with asyncio.timeout(60):
        await serving


async def test_a_renewed_certificate_is_used_while_connections_stay_open(
    url: str, settings: Settings, ours: Authority
) -> None:
    first = _certificate(settings)
    async with httpx.AsyncClient(base_url=url, verify=ours.trusted()) as early:
        assert await shown_by(early) == first
        os.replace(ours.certify("api", file="new.pem"), settings.api_tls_cert or "")
        with capture_logs() as logs:
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.timeout(60):
                while "certificate_loaded" not in [entry["event"] for entry in logs]:
                    await asyncio.sleep(0.01)
        assert await shown_by(early) == first, "its connection is the one it had"
        async with httpx.AsyncClient(base_url=url, verify=ours.trusted()) as late:
            assert await shown_by(late) == _certificate(settings) != first


async def test_plain_http_is_not_answered(url: str) -> None:
    async with httpx.AsyncClient() as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(url.replace("https:", "http:") + "/health/live")


async def test_commands_trust_the_authorities_of_ssl_cert_file(
    url: str, settings: Settings, ours: Authority, database: Database
) -> None:
    key, _ = await database.keys.create("tests", ["read"])
    environment = {
        "BERTH_API_KEY": key,
        "BERTH_API_PORT": str(settings.api_port),
        "BERTH_API_TLS_CERT": str(settings.api_tls_cert),
        "BERTH_API_TLS_KEY": str(settings.api_tls_key),
    }
    refused = await asyncio.to_thread(berth, "charger", "list", **environment)
    assert refused.returncode == 3
    assert "CERTIFICATE_VERIFY_FAILED" in refused.stderr
    done = await asyncio.to_thread(
        berth, "charger", "list", "--json", SSL_CERT_FILE=str(ours.file), **environment
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]")
    nowhere = await asyncio.to_thread(berth, "charger", "list", SSL_CERT_FILE="none.pem", **environment)
    assert nowhere.returncode == 2
    assert nowhere.stderr.startswith("berth: SSL_CERT_FILE")


async def test_the_doctor_finds_it(url: str, settings: Settings) -> None:
    (api,) = [finding for finding in await examine(settings) if finding.subject == "API"]
    # No Temporal here, so it is not ready; but it was understood.
    assert api == Finding("API", "wrong", api.detail, "see its log")
    assert api.detail.startswith(f"{url}/health/ready says 503")


def test_a_certificate_that_cannot_be_used_is_one_line_that_names_the_settings(
    ours: Authority, tmp_path: Path, free_port: int
) -> None:
    missing = str(tmp_path / "none.pem")
    run = berth(
        "api", BERTH_API_PORT=str(free_port), BERTH_API_TLS_CERT=missing, BERTH_API_TLS_KEY=str(ours.file)
    )
    assert run.returncode == 2
    assert run.stderr == (
        f"berth: BERTH_API_TLS_CERT, BERTH_API_TLS_KEY: {missing}: No such file or directory\n"
    )


async def shown_by(http: httpx.AsyncClient) -> bytes:
    """The certificate of the connection that the client asks over."""
    response = await http.get("/health/live")
    assert response.status_code == 200
    shown: bytes = response.extensions["network_stream"].get_extra_info("ssl_object").getpeercert(True)
    return shown


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _certificate(settings: Settings) -> bytes:
    assert settings.api_tls_cert is not None
    _, begin, rest = settings.api_tls_cert.read_text().partition("-----BEGIN CERTIFICATE")
    return ssl.PEM_cert_to_DER_cert(begin + rest)
