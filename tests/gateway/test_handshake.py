"""Who may open a socket, and what the others are told."""

import json
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from berth.database import Database, NewCharger
from gateway.admission import identity_in, password_in
from tests.gateway.stack import Stack, Temporal
from tests.gateway.station import Station, basic
from tests.scraped import Moves

PASSWORD = "0123456789abcdef0123"


async def refusal(url: str, subprotocols: list[str] | None, **options: Any) -> tuple[int, str]:
    """The HTTP status and body of a handshake that fails."""
    names = None if subprotocols is None else [Subprotocol(name) for name in subprotocols]
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, subprotocols=names, **options)
    body = refused.value.response.body
    return refused.value.response.status_code, bytes(body or b"").decode()


@pytest.mark.parametrize("offered", [None, ["ocpp1.5"], ["ocpp2.1", "ocpp2.0"]])
async def test_a_charger_without_a_common_version_is_told_which_there_are(
    stack: Stack, offered: list[str] | None
) -> None:
    status, body = await refusal(stack.url(), offered)
    assert status == 400
    assert "ocpp1.6" in body
    assert "ocpp2.0.1" in body


async def test_a_request_that_asks_for_no_websocket_is_refused_before_anybody_is_looked_up(
    stack: Stack,
) -> None:
    moved = Moves()
    url = stack.url("NEW").replace("ws://", "http://")
    with capture_logs() as logs:
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.get(url, headers={"Sec-WebSocket-Protocol": "ocpp1.6"})
    assert (answer.status_code, answer.headers["Upgrade"]) == (426, "websocket")
    assert [entry["status"] for entry in logs if entry["event"] == "charger_refused"] == [426]
    assert moved("berth_handshakes_rejected_total", reason="no_upgrade") == 1
    assert await stack.database.chargers.by_identity("NEW") is None


async def test_the_chargers_own_preference_decides_the_version(stack: Stack) -> None:
    offered = [Subprotocol(name) for name in ("ocpp2.1", "ocpp2.0.1", "ocpp1.6")]
    async with connect(stack.url(), subprotocols=offered) as socket:
        assert socket.subprotocol == "ocpp2.0.1"


async def test_an_unknown_charger_is_not_found(database: Database, temporal: Temporal) -> None:
    async with Stack(database, temporal, unknown_chargers="refuse") as stack:
        with capture_logs() as logs:
            options = {"local_addr": ("127.0.1.1", 0)}
            assert (await refusal(stack.url("NOBODY"), ["ocpp1.6"], **options))[0] == 404
    [told] = [entry for entry in logs if entry["event"] == "charger_refused"]
    assert (told["path"], told["address"]) == ("/ocpp/NOBODY", "127.0.1.1")


async def test_an_unknown_charger_is_registered_where_that_is_wanted(stack: Stack) -> None:
    async with stack.station(identity="NEW") as station:
        await station.boot()
        await station.call(
            "StatusNotification", {"connectorId": 2, "errorCode": "NoError", "status": "Available"}
        )
    charger = await stack.database.chargers.by_identity("NEW")
    assert charger is not None
    assert [(port.port_number, port.status) for port in charger.ports] == [(2, "Available")]


@pytest.mark.parametrize(
    "path", ["/", "/ocpp", "/ocpp/", "/other/CP-1", "/ocpp/a/b", "/ocpp/" + "x" * 49, "/ocpp/%FF"]
)
async def test_a_path_without_an_identity_is_not_found(stack: Stack, path: str) -> None:
    url = f"ws://127.0.0.1:{stack.server.port}{path}"
    assert (await refusal(url, ["ocpp1.6"]))[0] == 404


@pytest.mark.parametrize(
    ("path", "identity"),
    [
        ("/ocpp/CP-1", "CP-1"),
        ("//ocpp//CP-1//", "CP-1"),
        ("/ocpp/RDAM%20123", "RDAM 123"),
        ("/ocpp/RDAM%7C123/", "RDAM|123"),
        ("/ocpp/A%2FB", "A/B"),
        ("/ocpp/CP-1?token=x", "CP-1"),
        ("/ocpp/" + "x" * 48, "x" * 48),
        ("/ocpp/%00", None),
    ],
)
def test_the_identity_is_the_decoded_last_segment(path: str, identity: str | None) -> None:
    assert identity_in(path) == identity


async def test_the_stored_spelling_of_an_identity_counts(stack: Stack) -> None:
    async with stack.station(identity="cp-1") as station:
        await station.boot()
        session = await stack.session("CP-1")
    assert session.ocpp_identity == "CP-1"


async def test_a_charger_without_a_password_needs_an_open_stack(
    database: Database, temporal: Temporal
) -> None:
    await database.chargers.add(NewCharger("CP-1"))
    async with Stack(database, temporal, open_chargers=False) as stack:
        assert (await refusal(stack.url(), ["ocpp1.6"]))[0] == 401
        assert (await refusal(stack.url("NEW"), ["ocpp1.6"]))[0] == 401


@pytest.fixture
async def guarded(database: Database, temporal: Temporal) -> Any:
    """A gateway with one charger, which has a password."""
    await database.chargers.add(NewCharger("CP-1", password=PASSWORD))
    async with Stack(database, temporal) as stack:
        yield stack


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("CP-1", b"wrong"),
        basic("CP-2", PASSWORD.encode()),
        {"Authorization": "Basic ?"},
        {"Authorization": "Bearer abc"},
        {"Authorization": "Basic"},
    ],
)
async def test_wrong_credentials_are_refused_before_the_upgrade(
    guarded: Stack, headers: dict[str, str]
) -> None:
    status, body = await refusal(guarded.url(), ["ocpp1.6"], additional_headers=headers)
    assert status == 401
    assert PASSWORD not in body


@pytest.mark.parametrize(
    "headers",
    [
        basic("CP-1", PASSWORD.encode()),
        basic("cp-1", PASSWORD.encode()),
        {"authorization": basic("CP-1", PASSWORD.encode())["Authorization"]},
        {"Authorization": basic("CP-1", PASSWORD.encode())["Authorization"].replace("Basic", "basic")},
    ],
)
async def test_the_right_password_opens_the_socket(guarded: Stack, headers: dict[str, str]) -> None:
    async with Station(guarded.url(), headers=headers) as station:
        await station.boot()


async def test_a_key_of_arbitrary_bytes_is_accepted_raw_and_as_hexadecimal_text(
    database: Database, temporal: Temporal
) -> None:
    key = bytes([0, 1, 58, 255, *range(16)])
    await database.chargers.add(NewCharger("CP-1", password=key.hex()))
    async with Stack(database, temporal) as stack:
        for sent in (key, key.hex().encode(), key.hex().upper().encode()):
            async with Station(stack.url(), headers=basic("CP-1", sent)) as station:
                await station.boot()


def test_a_colon_in_the_identity_or_the_password_does_no_harm() -> None:
    assert password_in([basic("A:B", b"x:y")["Authorization"]], "A:B") == b"x:y"
    assert password_in([basic("A:B", b"x:y")["Authorization"]], "A") == b"B:x:y"
    assert password_in([], "A") is None


async def test_compression_is_used_only_when_it_is_offered(stack: Stack) -> None:
    protocols = [Subprotocol("ocpp1.6")]
    async with connect(stack.url(), subprotocols=protocols, compression="deflate") as socket:
        assert socket.protocol.extensions
        await socket.send(json.dumps([2, "1", "Heartbeat", {}]))
        assert json.loads(await socket.recv())[:2] == [3, "1"]
    async with connect(stack.url(), subprotocols=protocols, compression=None) as socket:
        assert not socket.protocol.extensions


async def test_a_frame_beyond_all_measure_closes_the_socket(stack: Stack) -> None:
    async with stack.station() as station:
        await station.socket.send(json.dumps([2, "1", "DataTransfer", {"data": "x" * 70_000}]))
        assert (await station.closed())[0] == 1009


async def test_beyond_the_bound_on_connections_chargers_come_back_later(
    database: Database, temporal: Temporal
) -> None:
    async with (
        Stack(database, temporal, max_connections=1) as stack,
        stack.station(identity="ONE") as station,
    ):
        await station.boot()
        assert (await refusal(stack.url("TWO"), ["ocpp1.6"]))[0] == 503
