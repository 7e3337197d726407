"""OCPP's security profiles at the handshake: TLS, client certificates, the least profile of a charger."""

import asyncio
import os
import shutil
import signal
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import uvloop
from pydantic import ValidationError
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

from berth.database import Database, NewCharger
from berth.settings import Settings
from berth.temporal.client import connect as connect_temporal
from berth.tls import CertificateError
from gateway.gateway_tls import GatewayTls, gateway_tls
from gateway.process import run
from tests.certificates import Authority
from tests.gateway.stack import Stack, Temporal, until
from tests.gateway.station import Station, basic

PASSWORD = "0123456789abcdef0123"
RIGHT = basic("CP-1", PASSWORD.encode())
WRONG = basic("CP-1", b"not-the-password")


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    """The authority of the gateway and of its chargers."""
    return Authority(tmp_path, "ours")


@pytest.fixture
def gateway_file(ours: Authority) -> Path:
    """The gateway's certificate and key."""
    return ours.certify("gateway")


@pytest.fixture
async def secure(
    database: Database, temporal: Temporal, ours: Authority, gateway_file: Path
) -> AsyncIterator[Stack]:
    """A gateway with TLS that asks for client certificates."""
    async with Stack(
        database,
        temporal,
        open_chargers=False,
        unknown_chargers="refuse",
        gateway_tls_cert=gateway_file,
        gateway_tls_key=gateway_file,
        gateway_client_ca=ours.file,
    ) as stack:
        yield stack


async def refused(
    url: str, headers: dict[str, str] | None = None, tls: ssl.SSLContext | None = None
) -> tuple[int, str]:
    """The HTTP status of a handshake that fails, and the reason in the log, which has no secrets."""
    with capture_logs() as logs, pytest.raises(InvalidStatus) as refusal:
        await connect(url, subprotocols=[Subprotocol("ocpp1.6")], additional_headers=headers, ssl=tls)
    assert PASSWORD not in str(logs)
    assert "not-the-password" not in str(logs)
    return refusal.value.response.status_code, reasons(logs)[-1]


def reasons(logs: list[Any]) -> list[str]:
    return [entry["reason"] for entry in logs if entry["event"] == "charger_refused"]


async def refused_by_tls(url: str, tls: ssl.SSLContext | None) -> str:
    """The reason in the log for a handshake that TLS already ends."""
    with capture_logs() as logs:
        with pytest.raises((OSError, InvalidMessage)):
            # With TLS 1.3 the client hears of it only when it reads.
            async with asyncio.timeout(60):
                await connect(url, subprotocols=[Subprotocol("ocpp1.6")], ssl=tls)
        await until(lambda: reasons(logs))
    return reasons(logs)[0]


@pytest.mark.parametrize("profile", [None, 0, 1, 2])
async def test_tls_with_a_password_is_profile_2(
    database: Database, secure: Stack, ours: Authority, profile: int | None
) -> None:
    await database.chargers.add(NewCharger("CP-1", password=PASSWORD, security_profile=profile))
    async with Station(secure.url(), headers=RIGHT, tls=ours.trusted()) as station:
        await station.boot()
    assert await refused(secure.url(), WRONG, ours.trusted()) == (401, "wrong user name or password")
    assert await refused(secure.url(), None, ours.trusted()) == (401, "a password is needed")


@pytest.mark.parametrize("profile", [None, 0, 1, 2, 3])
async def test_a_certificate_of_its_own_is_profile_3_and_needs_no_password(
    database: Database, secure: Stack, ours: Authority, profile: int | None
) -> None:
    await database.chargers.add(NewCharger("CP-1", password=PASSWORD, security_profile=profile))
    tls = ours.trusted(ours.certify("cp-1"))
    async with Station(secure.url(), tls=tls) as station:
        await station.boot()


async def test_the_certificate_of_another_charger_is_refused_also_with_the_password(
    database: Database, secure: Stack, ours: Authority
) -> None:
    await database.chargers.add(NewCharger("CP-1", password=PASSWORD))
    tls = ours.trusted(ours.certify("CP-2"))
    assert await refused(secure.url(), RIGHT, tls) == (403, "the client certificate is not this charger's")


async def test_a_charger_of_profile_3_does_not_come_in_with_a_password(
    database: Database, secure: Stack, ours: Authority
) -> None:
    await database.chargers.add(NewCharger("CP-1", password=PASSWORD, security_profile=3))
    status, reason = await refused(secure.url(), RIGHT, ours.trusted())
    assert (status, reason) == (403, "this charger needs a client certificate (security profile 3)")


@pytest.mark.parametrize("profile", [2, 3])
async def test_a_charger_that_needs_tls_does_not_come_in_without(
    database: Database, temporal: Temporal, profile: int
) -> None:
    await database.chargers.add(NewCharger("CP-1", password=PASSWORD, security_profile=profile))
    async with Stack(database, temporal) as stack:
        status, reason = await refused(stack.url(), RIGHT)
    assert (status, reason) == (403, "this charger needs TLS (security profile 2 or 3)")


async def test_a_charger_of_profile_1_needs_a_password_in_an_open_stack(
    database: Database, temporal: Temporal
) -> None:
    await database.chargers.add(NewCharger("CP-1", security_profile=1))
    async with Stack(database, temporal, open_chargers=True) as stack:
        assert await refused(stack.url()) == (401, "a charger without a password is not accepted here")
        await database.chargers.update(1, password=PASSWORD)
        async with Station(stack.url(), headers=RIGHT) as station:
            await station.boot()


async def test_a_charger_of_profile_0_needs_no_password_in_a_closed_stack_unless_it_has_one(
    database: Database, temporal: Temporal
) -> None:
    await database.chargers.add(NewCharger("CP-1", security_profile=0))
    async with Stack(database, temporal, open_chargers=False) as stack:
        async with Station(stack.url()) as station:
            await station.boot()
        await database.chargers.update(1, password=PASSWORD)
        assert await refused(stack.url()) == (401, "a password is needed")


async def test_an_expired_certificate_is_refused(secure: Stack, ours: Authority) -> None:
    expired = ours.certify("CP-1", valid_for=timedelta(days=-1))
    reason = await refused_by_tls(secure.url(), ours.trusted(expired))
    assert reason == "client certificate: certificate has expired"


async def test_a_certificate_of_an_unknown_authority_is_refused(
    secure: Stack, ours: Authority, tmp_path: Path
) -> None:
    foreign = Authority(tmp_path, "theirs").certify("CP-1")
    reason = await refused_by_tls(secure.url(), ours.trusted(foreign))
    assert reason.startswith("client certificate: unable to get local issuer certificate")


async def test_a_plain_socket_on_the_port_of_tls_is_refused(secure: Stack) -> None:
    reason = await refused_by_tls(secure.url().replace("wss:", "ws:"), None)
    assert "HTTP_REQUEST" in reason


async def test_tls_before_1_2_is_refused(secure: Stack, ours: Authority) -> None:
    old = ours.trusted()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    assert "UNSUPPORTED_PROTOCOL" in await refused_by_tls(secure.url(), old)


@pytest.mark.parametrize(
    "suite",
    [
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
    ],
)
def test_the_suites_that_ocpp_asks_for_are_offered(gateway_file: Path, suite: str) -> None:
    context = GatewayTls(gateway_file, gateway_file, None).context
    assert suite in {cipher["name"] for cipher in context.get_ciphers()}


async def test_a_renewed_certificate_is_used_while_sockets_stay_open(
    database: Database, secure: Stack, ours: Authority, gateway_file: Path
) -> None:
    await database.chargers.add(NewCharger("CP-1", password=PASSWORD))
    await database.chargers.add(NewCharger("CP-2", password=PASSWORD))
    assert secure.tls is not None
    watching = asyncio.create_task(secure.tls.watch(every=0.01))
    try:
        async with Station(secure.url(), headers=RIGHT, tls=ours.trusted()) as station:
            await station.boot()
            os.replace(ours.certify("gateway", file="new.pem"), gateway_file)
            renewed = ssl.PEM_cert_to_DER_cert(_certificate(gateway_file))

            async def is_renewed() -> bool:
                headers = basic("CP-2", PASSWORD.encode())
                async with Station(secure.url("CP-2"), headers=headers, tls=ours.trusted()) as other:
                    shown = other.socket.transport.get_extra_info("ssl_object").getpeercert(True)
                return bool(shown == renewed)

            async with asyncio.timeout(60):
                while not await is_renewed():
                    pass
            await station.call("Heartbeat")
    finally:
        watching.cancel()


async def test_files_that_cannot_be_used_leave_the_old_ones_in_use(
    database: Database, secure: Stack, ours: Authority, gateway_file: Path
) -> None:
    await database.chargers.add(NewCharger("CP-1", password=PASSWORD))
    gateway_file.write_text("not a certificate")
    assert secure.tls is not None
    with capture_logs() as logs:
        secure.tls.reload_or_tell()
    assert [entry["event"] for entry in logs] == ["certificate_not_loaded"]
    async with Station(secure.url(), headers=RIGHT, tls=ours.trusted()) as station:
        await station.boot()


async def test_a_hang_up_signal_renews_the_certificate(
    database: Database, gateway_file: Path, ours: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    settings = Settings(gateway_port=0, gateway_tls_cert=gateway_file, gateway_tls_key=gateway_file)
    client, stop = await connect_temporal(None, lazy=True), asyncio.Event()
    with capture_logs() as logs:

        def has_said(event: str) -> bool:
            return event in [entry["event"] for entry in logs]

        running = asyncio.create_task(
            run(settings, "G", client, database, stop=stop, tls=gateway_tls(settings))
        )
        await until(lambda: has_said("gateway_listening"))
        os.replace(ours.certify("gateway", file="new.pem"), gateway_file)
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: has_said("certificate_loaded"))
        stop.set()
        await running


def test_the_event_loop_that_gateways_run_on_tells_why_it_refuses_too(
    migrated_file: Path, tmp_path: Path, ours: Authority, gateway_file: Path
) -> None:
    file = shutil.copy(migrated_file, tmp_path / "berth.db")

    async def scenario() -> str:
        async with (
            await Database.open(f"sqlite+aiosqlite:///{file}") as database,
            Stack(
                database,
                Temporal(),
                gateway_tls_cert=gateway_file,
                gateway_tls_key=gateway_file,
                gateway_client_ca=ours.file,
            ) as stack,
        ):
            await database.chargers.add(NewCharger("CP-1", security_profile=3))
            async with Station(stack.url(), tls=ours.trusted(ours.certify("CP-1"))) as station:
                await station.boot()
            expired = ours.certify("CP-1", valid_for=timedelta(days=-1))
            return await refused_by_tls(stack.url(), ours.trusted(expired))

    assert uvloop.run(scenario()) == "client certificate: certificate has expired"


@pytest.mark.parametrize("given", ["gateway_tls_cert", "gateway_tls_key", "gateway_client_ca"])
def test_settings_that_need_each_other_say_so(given: str) -> None:
    with pytest.raises(ValidationError, match="need"):
        Settings.model_validate({given: "file.pem"})


def test_a_certificate_that_is_not_there_or_not_of_the_key_is_named(ours: Authority, tmp_path: Path) -> None:
    one, other = ours.certify("one"), ours.certify("other")
    with pytest.raises(CertificateError, match=r"none\.pem: No such file"):
        GatewayTls(tmp_path / "none.pem", one, None)
    other.write_text(other.read_text().partition("-----BEGIN CERTIFICATE")[0])
    with pytest.raises(CertificateError, match=r"other\.pem: .*mismatch"):
        GatewayTls(one, other, None)


def _certificate(file: Path) -> str:
    _, begin, rest = file.read_text().partition("-----BEGIN CERTIFICATE")
    return begin + rest
