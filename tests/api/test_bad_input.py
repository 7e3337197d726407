"""Bad input at every call that takes a body: a sentence, nothing written, no charger asked."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from berth.database import Charger, Database
from tests.api.conftest import Caller, in_an_hour
from tests.api.scripted import Script

RESERVE = "/api/ocpp/reservations"
CANCEL = f"{RESERVE}/cancel"
JSON = {"Content-Type": "application/json"}

Call = tuple[str, str]

CALLS: dict[Call, Callable[[int], dict[str, Any]]] = {
    ("POST", RESERVE): lambda number: {
        "portId": 1,
        "expiryDate": in_an_hour(),
        "idTag": "RFID-1",
        "reservationId": number,
        "parentIdTag": "FLEET-1",
    },
    ("POST", CANCEL): lambda number: {"chargerId": 1, "reservationId": number},
    ("POST", "/api/chargers"): lambda number: {"ocppId": f"CP-{number}", "name": "Yard"},
    ("PATCH", "/api/chargers/1"): lambda _: {"name": "Yard"},
    ("POST", "/api/keys"): lambda _: {"name": "app", "rights": ["read"]},
    ("PUT", "/api/tokens"): lambda _: {"idTag": "Card-1"},
}

every_call = pytest.mark.parametrize("call", CALLS, ids=" ".join)


@pytest.fixture(autouse=True)
async def nothing_happens(database: Database, charger: Charger, script: Script) -> Any:
    """Whatever a test here sends: the database stays as it was, and no workflow is started."""

    async def written() -> object:
        return (
            await database.chargers.all(),
            [key.id for key in await database.keys.all() if key.name != "tests"],
            await database.tokens.all(),
        )

    before = await written()
    yield
    assert await written() == before
    assert (script.starts, script.forwarded) == ([], [])


async def refused(
    http: httpx.AsyncClient, call: Call, content: bytes | str, sentence: str, status: int = 400
) -> None:
    """Send it; the answer is this sentence."""
    method, path = call
    response = await http.request(method, path, content=content, headers=JSON)
    assert (response.status_code, response.json()) == (status, {"error": sentence})


@every_call
async def test_what_is_no_object(http: httpx.AsyncClient, call: Call) -> None:
    for content in ["", "[]", "null", "true", "7", '"text"', '[{"name": "x"}]']:
        await refused(http, call, content, "the body: must be a JSON object")


NO_JSON = {
    b"{": "the body: is not JSON (Expecting property name enclosed in double quotes at character 1)",
    b"{}{}": "the body: is not JSON (Extra data at character 2)",
    b"\xff\xfe{}": "the body: must be UTF-8",
    b'\xef\xbb\xbf{"name": "x"}': (
        "the body: is not JSON (Unexpected UTF-8 BOM (decode using utf-8-sig) at character 0)"
    ),
    b'{"name": "a", "name": "b"}': "name: is there twice",
    b'{"name": NaN}': "the body: NaN is not JSON",
    b'{"name": Infinity}': "the body: Infinity is not JSON",
    b'{"name": ' + b"[" * 20_000 + b"]" * 20_000 + b"}": "the body: is nested too deeply",
    b'{"name":' * 5_000 + b"1" + b"}" * 5_000: "the body: is nested too deeply",
    b'{"name": ' + b"9" * 5_000 + b"}": "the body: has a number that is too long",
    b'{"name": "a\nb"}': "the body: is not JSON (Invalid control character at at character 11)",
}


@every_call
async def test_what_is_no_json(http: httpx.AsyncClient, call: Call) -> None:
    for content, sentence in NO_JSON.items():
        await refused(http, call, content, sentence)


@every_call
async def test_a_megabyte(http: httpx.AsyncClient, number: int, call: Call) -> None:
    content = json.dumps(CALLS[call](number) | {"more": "x" * 2**20})
    await refused(http, call, content, "the body: must have at most 65536 bytes", status=413)


@every_call
async def test_another_content_type(http: httpx.AsyncClient, number: int, call: Call) -> None:
    method, path = call
    content = json.dumps(CALLS[call](number))
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json"]:
        response = await http.request(method, path, content=content, headers={"Content-Type": kind})
        assert response.status_code == 400
        assert response.json() == {"error": "the body: must be sent as Content-Type: application/json"}


TEXTS = {
    ("POST", RESERVE): ["idTag", "parentIdTag"],
    ("POST", "/api/chargers"): ["ocppId", "name", "siteId", "externalId"],
    ("PATCH", "/api/chargers/1"): ["ocppId", "name", "siteId", "externalId"],
    ("POST", "/api/keys"): ["name"],
    ("PUT", "/api/tokens"): ["idTag", "parentIdTag"],
}
NUMBERS = {
    ("POST", RESERVE): ["portId", "chargerId", "reservationId"],
    ("POST", CANCEL): ["chargerId", "reservationId"],
}
every_text = pytest.mark.parametrize(
    ("call", "field"), [(call, field) for call, fields in TEXTS.items() for field in fields], ids=str
)
every_number = pytest.mark.parametrize(
    ("call", "field"), [(call, field) for call, fields in NUMBERS.items() for field in fields], ids=str
)


@every_text
async def test_a_text_that_is_not_printable(
    http: httpx.AsyncClient, number: int, call: Call, field: str
) -> None:
    for value in ["a\x00b", "a\nb", "a\x1bb", "a\x7fb", "a\u2028b", "a\u202eb", "\ufeff"]:
        content = json.dumps(CALLS[call](number) | {field: value})
        await refused(http, call, content, f"{field}: must have printable characters only")


@every_text
async def test_a_text_of_another_kind(http: httpx.AsyncClient, number: int, call: Call, field: str) -> None:
    for value in [7, True, 1.5, [], {}, "a\ud800"]:
        content = json.dumps(CALLS[call](number) | {field: value})
        await refused(http, call, content, f"{field}: must be a valid string")


@every_text
async def test_a_text_that_is_too_long(http: httpx.AsyncClient, number: int, call: Call, field: str) -> None:
    method, path = call
    content = json.dumps(CALLS[call](number) | {field: "ä" * 256})
    response = await http.request(method, path, content=content, headers=JSON)
    assert response.status_code == 400
    assert response.json()["error"].startswith(f"{field}: must have at most ")


@every_number
async def test_a_number_of_another_kind(http: httpx.AsyncClient, number: int, call: Call, field: str) -> None:
    for value in ["1", True, 1.5, [], {}, "", 1e400, -1e400]:
        content = json.dumps(CALLS[call](number) | {field: value}).replace("Infinity", "1e999")
        await refused(http, call, content, f"{field}: must be a valid integer")


@every_number
async def test_a_number_out_of_range(http: httpx.AsyncClient, number: int, call: Call, field: str) -> None:
    least = 0 if field == "reservationId" else 1
    for value in [-1, -(2**31), 2**31, 2**63, 10**300, 1e300]:
        rule = f"less than or equal to {2**31 - 1}" if value > 0 else f"greater than or equal to {least}"
        content = json.dumps(CALLS[call](number) | {field: value})
        await refused(http, call, content, f"{field}: must be {rule}")


@every_call
async def test_an_expired_key(caller: Caller, database: Database, number: int, call: Call) -> None:
    method, path = call
    ended_at = datetime.now(UTC) - timedelta(seconds=1)
    raw_key, _ = await database.keys.create("tests", ["reservations", "admin"], expires_at=ended_at)
    response = await caller(raw_key).request(method, path, json=CALLS[call](number))
    assert response.status_code == 401
    assert response.json() == {"error": "this API key is unknown, expired or revoked"}


@pytest.mark.parametrize(
    ("call", "status", "sentence"),
    [
        (("POST", RESERVE), 404, "portId: there is no port 1"),
        (("POST", CANCEL), 404, "chargerId: there is no charger 1"),
        (("POST", "/api/chargers"), 403, "siteId: is outside this API key's sites"),
        (("PATCH", "/api/chargers/1"), 404, "id: there is no charger 1"),
        (("POST", "/api/keys"), 403, "siteIds: must lie within the sites of your API key"),
        (
            ("PUT", "/api/tokens"),
            403,
            "tokens are good at every charger: this API key is for some of them only",
        ),
    ],
    ids=str,
)
async def test_a_key_of_another_site(
    caller: Caller, database: Database, number: int, call: Call, status: int, sentence: str
) -> None:
    raw_key, _ = await database.keys.create("tests", ["reservations", "admin"], site_ids=["site-2"])
    await refused(caller(raw_key), call, json.dumps(CALLS[call](number)), sentence, status)


@pytest.mark.parametrize(
    "path",
    [
        "/api/chargers/by-ocpp-id/%00",
        "/api/chargers/by-external-id/a%00b",
        "/api/chargers/by-ocpp-id/%ED%A0%80",
        "/api/chargers/by-ocpp-id/..%2F..%2Fetc",
        "/api/chargers/by-external-id/" + "x" * 255,
    ],
)
async def test_a_name_that_no_charger_has(http: httpx.AsyncClient, path: str) -> None:
    response = await http.get(path)
    assert response.status_code == 404
    assert "there is no charger " in response.json()["error"]
