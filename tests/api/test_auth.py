"""Who may call, do and see what."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from berth.database import Charger, Database
from tests.api.conftest import Caller
from tests.api.scripted import Script

RESERVE = "/api/ocpp/reservations"
REQUIRED = {"error": "an API key is required: Authorization: Bearer {api_key}"}
UNKNOWN = {"error": "this API key is unknown, expired or revoked"}

EVERY_ROUTE = [
    ("POST", RESERVE),
    ("POST", f"{RESERVE}/cancel"),
    ("GET", f"{RESERVE}/1/1"),
    ("GET", "/api/chargers"),
    ("POST", "/api/chargers"),
    ("GET", "/api/chargers/1"),
    ("GET", "/api/chargers/by-external-id/x"),
    ("GET", "/api/chargers/by-ocpp-id/x"),
    ("PATCH", "/api/chargers/1"),
    ("DELETE", "/api/chargers/1"),
    ("GET", RESERVE),
    ("GET", "/api/ocpp-messages"),
    ("GET", "/api/keys"),
    ("POST", "/api/keys"),
    ("DELETE", "/api/keys/1"),
    ("GET", "/api/tokens"),
    ("PUT", "/api/tokens"),
    ("DELETE", "/api/tokens"),
]


@pytest.mark.parametrize(("method", "path"), EVERY_ROUTE)
async def test_nothing_is_done_for_the_anonymous(caller: Caller, method: str, path: str) -> None:
    response = await caller().request(method, path, content=b"{not even JSON")
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json() == REQUIRED


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Token abc"])
async def test_another_scheme_is_no_key(caller: Caller, header: str) -> None:
    response = await caller().get("/api/chargers", headers={"Authorization": header})
    assert response.status_code == 401
    assert response.json() == REQUIRED


async def test_an_unknown_key_is_401(caller: Caller) -> None:
    response = await caller("berth_nobody").get("/api/chargers")
    assert response.status_code == 401
    assert response.json() == UNKNOWN


async def test_a_revoked_key_is_401(caller: Caller, database: Database) -> None:
    raw_key, key = await database.keys.create("former", ["read"])
    await database.keys.revoke(key.id)
    response = await caller(raw_key).get("/api/chargers")
    assert response.status_code == 401
    assert response.json() == UNKNOWN


async def test_an_expired_key_is_401(caller: Caller, database: Database) -> None:
    raw_key, _ = await database.keys.create(
        "old", ["read"], expires_at=datetime.now(UTC) - timedelta(seconds=1)
    )
    response = await caller(raw_key).get("/api/chargers")
    assert response.status_code == 401
    assert response.json() == UNKNOWN


async def test_the_scheme_is_not_case_sensitive(caller: Caller, database: Database) -> None:
    raw_key, _ = await database.keys.create("reader", ["read"])
    response = await caller().get("/api/chargers", headers={"Authorization": f"bearer  {raw_key}"})
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("rights", "method", "path", "missing"),
    [
        (["read"], "POST", RESERVE, "reservations"),
        (["read", "admin"], "POST", f"{RESERVE}/cancel", "reservations"),
        (["admin"], "GET", f"{RESERVE}/1/1", "reservations or read"),
        (["reservations"], "GET", "/api/chargers", "read"),
        (["reservations"], "GET", "/api/chargers/1", "read"),
        (["read", "reservations"], "POST", "/api/chargers", "admin"),
        (["read", "reservations"], "PATCH", "/api/chargers/1", "admin"),
        (["read", "reservations"], "DELETE", "/api/chargers/1", "admin"),
        (["admin"], "GET", RESERVE, "reservations or read"),
        (["reservations", "admin"], "GET", "/api/ocpp-messages", "read"),
        (["read", "reservations"], "GET", "/api/keys", "admin"),
        (["read", "reservations"], "POST", "/api/keys", "admin"),
        (["read", "reservations"], "DELETE", "/api/keys/1", "admin"),
        (["read", "reservations"], "GET", "/api/tokens", "admin"),
        (["read", "reservations"], "PUT", "/api/tokens", "admin"),
        (["read", "reservations"], "DELETE", "/api/tokens?idTag=A", "admin"),
    ],
)
async def test_a_key_without_the_right_is_403(
    caller: Caller, database: Database, rights: list[str], method: str, path: str, missing: str
) -> None:
    raw_key, _ = await database.keys.create("limited", rights)
    response = await caller(raw_key).request(method, path, json={})
    assert response.status_code == 403
    assert response.json() == {"error": f"this API key lacks the right {missing}"}


SCOPES: list[dict[str, Any]] = [{"site_ids": ["site-2"]}, {"charger_ids": [999]}, {"site_ids": []}]


class TestOutsideTheKeysScope:
    """A charger is as if it did not exist."""

    @pytest.fixture(params=SCOPES, ids=str)
    async def outside(
        self, request: pytest.FixtureRequest, caller: Caller, database: Database
    ) -> httpx.AsyncClient:
        raw_key, _ = await database.keys.create("elsewhere", ["read", "reservations"], **request.param)
        return caller(raw_key)

    async def test_its_ports_cannot_be_reserved(
        self, outside: httpx.AsyncClient, script: Script, body: dict[str, Any]
    ) -> None:
        response = await outside.post(RESERVE, json=body)
        assert response.status_code == 404
        assert response.json() == {"error": f"portId: there is no port {body['portId']}"}
        assert script.starts == []

    async def test_its_reservations_cannot_be_cancelled(
        self, outside: httpx.AsyncClient, charger: Charger
    ) -> None:
        response = await outside.post(f"{RESERVE}/cancel", json={"chargerId": charger.id, "reservationId": 1})
        assert response.status_code == 404
        assert response.json() == {"error": f"chargerId: there is no charger {charger.id}"}

    async def test_its_reservations_cannot_be_seen(
        self, outside: httpx.AsyncClient, charger: Charger
    ) -> None:
        response = await outside.get(f"{RESERVE}/{charger.id}/1")
        assert response.status_code == 404
        assert response.json() == {"error": f"chargerId: there is no charger {charger.id}"}

    async def test_it_cannot_be_seen_by_any_name(self, outside: httpx.AsyncClient, charger: Charger) -> None:
        for path in (str(charger.id), "by-external-id/GARAGE/7", "by-ocpp-id/CP-16"):
            response = await outside.get(f"/api/chargers/{path}")
            assert response.status_code == 404
        assert (await outside.get("/api/chargers")).json()["data"] == []


async def test_a_charger_in_both_scopes_is_seen(caller: Caller, database: Database, charger: Charger) -> None:
    raw_key, _ = await database.keys.create("here", ["read"], site_ids=["site-1"], charger_ids=[charger.id])
    http = caller(raw_key)
    assert (await http.get(f"/api/chargers/{charger.id}")).status_code == 200
    assert len((await http.get("/api/chargers")).json()["data"]) == 1
