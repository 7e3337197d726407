"""/api/keys."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.app import close
from berth.database import ApiKey, Database, UnreachableError
from tests.api.conftest import Caller, in_an_hour, instant

KEYS = "/api/keys"

NEW: dict[str, Any] = {"name": "booking app", "rights": ["reservations", "read"]}


async def key_of(database: Database, key_id: int) -> ApiKey:
    """The key's record."""
    key = await database.keys.by_id(key_id)
    assert key is not None
    return key


class TestMaking:
    """POST /api/keys."""

    async def test_a_new_key_is_shown_this_once_and_works(
        self, http: httpx.AsyncClient, caller: Caller
    ) -> None:
        response = await http.post(KEYS, json=NEW)
        assert response.status_code == 201
        data = response.json()["data"]
        raw_key = data.pop("key")
        assert datetime.fromisoformat(data.pop("createdAt")) <= datetime.now(UTC)
        assert data.pop("id") > 0
        assert data == {
            "name": "booking app",
            "rights": ["read", "reservations"],
            "siteIds": None,
            "chargerIds": None,
            "flipturn": False,
            "expiresAt": None,
            "revokedAt": None,
            "lastUsedAt": None,
        }
        assert (await caller(raw_key).get("/api/chargers")).status_code == 200
        assert (await caller(raw_key).get(KEYS)).status_code == 403
        assert raw_key not in (await http.get(KEYS)).text

    async def test_a_scope_an_end_and_flipturns_words_are_kept(
        self, http: httpx.AsyncClient, database: Database
    ) -> None:
        until = in_an_hour()
        more = {"siteIds": ["b", "a"], "chargerIds": [2, 1], "flipturn": True, "expiresAt": until}
        data = (await http.post(KEYS, json=NEW | more)).json()["data"]
        assert (data["siteIds"], data["chargerIds"]) == (["a", "b"], [1, 2])
        assert (data["flipturn"], data["expiresAt"]) == (True, until)
        key = await key_of(database, data["id"])
        assert (key.site_ids, key.charger_ids, key.flipturn) == (frozenset("ab"), frozenset({1, 2}), True)

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"name": None}, "name: must be a valid string"),
            ({"name": ""}, "name: must have at least 1 character"),
            ({"name": "a\nb"}, "name: must have printable characters only"),
            ({"rights": []}, "rights: must have at least 1 item"),
            ({"rights": "read"}, "rights: must be a valid list"),
            ({"rights": ["root"]}, "rights.0: must be 'reservations', 'read' or 'admin'"),
            ({"rights": ["read"] * 4}, "rights: must have at most 3 items"),
            ({"siteIds": [""]}, "siteIds.0: must have at least 1 character"),
            ({"siteIds": ["a\\b"]}, "siteIds.0: must have neither double quotes nor backslashes"),
            ({"siteIds": ["a"] * 501}, "siteIds: must have at most 500 items"),
            ({"chargerIds": ["1"]}, "chargerIds.0: must be a valid integer"),
            ({"chargerIds": [0]}, "chargerIds.0: must be greater than or equal to 1"),
            ({"flipturn": "yes"}, "flipturn: must be a valid boolean"),
            ({"expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt: must be in the future"),
            ({"expiresAt": 1}, "expiresAt: must be an ISO 8601 date and time such as 2026-12-24T18:00:00Z"),
        ],
    )
    async def test_a_field_that_breaks_a_rule_is_400_and_no_key_is_made(
        self, http: httpx.AsyncClient, database: Database, changes: dict[str, Any], sentence: str
    ) -> None:
        response = await http.post(KEYS, json=NEW | changes)
        assert response.status_code == 400
        assert response.json() == {"error": sentence}
        assert len(await database.keys.all()) == 1, "the caller's own"

    @pytest.mark.parametrize(
        ("scope", "asked", "sentence"),
        [
            ({"site_ids": ["a"]}, {}, "siteIds: must lie within the sites of your API key"),
            (
                {"site_ids": ["a"]},
                {"siteIds": ["a", "b"]},
                "siteIds: must lie within the sites of your API key",
            ),
            ({"charger_ids": [1]}, {}, "chargerIds: must lie within the chargers of your API key"),
            (
                {"charger_ids": [1]},
                {"chargerIds": [2]},
                "chargerIds: must lie within the chargers of your API key",
            ),
        ],
    )
    async def test_a_key_makes_none_that_sees_more_than_itself(
        self, caller: Caller, database: Database, scope: Any, asked: Any, sentence: str
    ) -> None:
        raw_key, _ = await database.keys.create("scoped", ["admin"], **scope)
        response = await caller(raw_key).post(KEYS, json=NEW | asked)
        assert response.status_code == 403
        assert response.json() == {"error": sentence}

    async def test_a_scoped_key_makes_one_within_its_scope(self, caller: Caller, database: Database) -> None:
        raw_key, _ = await database.keys.create("scoped", ["admin"], site_ids=["a", "b"])
        response = await caller(raw_key).post(KEYS, json=NEW | {"siteIds": ["a"], "chargerIds": [1]})
        assert response.status_code == 201


class TestTheList:
    """GET /api/keys."""

    async def test_it_goes_on_from_page_to_page(self, http: httpx.AsyncClient, database: Database) -> None:
        for n in range(3):
            await database.keys.create(f"key {n}", ["read"])
        page = (await http.get(KEYS, params={"limit": 3})).json()
        assert [key["name"] for key in page["data"]] == ["tests", "key 0", "key 1"]
        cursor = page["pagination"]["nextPageCursor"]
        rest = (await http.get(KEYS, params={"limit": 3, "nextPageCursor": cursor})).json()
        assert [key["name"] for key in rest["data"]] == ["key 2"]
        assert rest["pagination"] == {"hasNextPage": False, "nextPageCursor": None}

    async def test_a_scoped_key_sees_those_within_its_scope(self, caller: Caller, database: Database) -> None:
        raw_key, _ = await database.keys.create("scoped", ["admin"], site_ids=["a", "b"])
        await database.keys.create("within", ["read"], site_ids=["a"])
        await database.keys.create("beyond", ["read"], site_ids=["a", "c"])
        await database.keys.create("everywhere", ["read"])
        found = (await caller(raw_key).get(KEYS)).json()["data"]
        assert [key["name"] for key in found] == ["scoped", "within"]


class TestRevoking:
    """DELETE /api/keys/{id}."""

    async def test_a_key_ends_at_once_and_stays_in_the_list(
        self, http: httpx.AsyncClient, caller: Caller, database: Database
    ) -> None:
        raw_key, key = await database.keys.create("former", ["read"])
        for _ in range(2):
            response = await http.delete(f"{KEYS}/{key.id}")
            assert (response.status_code, response.content) == (204, b"")
        assert (await caller(raw_key).get("/api/chargers")).status_code == 401
        assert (await http.get(KEYS)).json()["data"][-1]["revokedAt"] is not None

    async def test_an_unknown_key_is_404(self, http: httpx.AsyncClient) -> None:
        response = await http.delete(f"{KEYS}/999")
        assert response.status_code == 404
        assert response.json() == {"error": "id: there is no API key 999"}

    async def test_a_key_beyond_the_scope_is_404(self, caller: Caller, database: Database) -> None:
        _, key = await database.keys.create("everywhere", ["read"])
        raw_key, _ = await database.keys.create("scoped", ["admin"], charger_ids=[1])
        response = await caller(raw_key).delete(f"{KEYS}/{key.id}")
        assert response.status_code == 404
        assert (await key_of(database, key.id)).revoked_at is None


class TestTheLastUse:
    """Is noted to about a minute, in batches."""

    async def test_it_is_written_a_moment_later(
        self, caller: Caller, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("api.key_use.WRITTEN_WITHIN", timedelta(milliseconds=50))
        raw_key, key = await database.keys.create("reader", ["read"])
        await caller(raw_key).get("/api/chargers")
        async with asyncio.timeout(60):
            while (await key_of(database, key.id)).last_used_at is None:
                await asyncio.sleep(0.02)

    async def test_many_requests_of_a_minute_are_one_write(
        self, app: FastAPI, caller: Caller, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written: list[set[int]] = []

        async def touch(key_ids: set[int]) -> None:
            written.append(key_ids)

        monkeypatch.setattr(database.keys, "touch", touch)
        keys = [await database.keys.create(f"key {n}", ["read"]) for n in range(2)]
        for _ in range(3):
            for raw_key, _key in keys:
                await caller(raw_key).get("/api/chargers")
        await close(app)
        assert written == [{key.id for _, key in keys}]

    async def test_a_database_that_is_away_keeps_nobody_out(
        self, app: FastAPI, caller: Caller, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def gone(key_ids: set[int]) -> None:
            raise UnreachableError("no database")

        monkeypatch.setattr(database.keys, "touch", gone)
        raw_key, _ = await database.keys.create("reader", ["read"])
        assert (await caller(raw_key).get("/api/chargers")).status_code == 200
        await close(app)

    async def test_the_list_shows_it(self, http: httpx.AsyncClient, database: Database) -> None:
        _, key = await database.keys.create("reader", ["read"])
        await database.keys.touch([key.id])
        shown = (await http.get(KEYS)).json()["data"][-1]
        last_used_at = (await key_of(database, key.id)).last_used_at
        assert last_used_at is not None
        assert shown["lastUsedAt"].startswith(instant(last_used_at)[:-1])
