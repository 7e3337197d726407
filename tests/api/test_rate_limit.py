"""So many requests a minute per API key, counted by one process or by several together."""

from collections.abc import AsyncIterator

import httpx
import pytest
import structlog
from fakeredis import FakeAsyncRedisConnection, FakeServer
from fastapi import FastAPI
from redis.asyncio import ConnectionPool
from temporalio.client import Client

from api.app import close, create_app
from directory import Directory
from settings import Settings
from tests.api.conftest import Caller

CHARGERS = "/api/chargers"


@pytest.fixture
def settings() -> Settings:
    """Three requests a minute."""
    return Settings(rate_limit=3)


async def statuses(http: httpx.AsyncClient, count: int) -> list[int]:
    """The answers to so many requests."""
    return [(await http.get(CHARGERS)).status_code for _ in range(count)]


async def test_what_is_too_many_is_429_with_the_time_to_wait(http: httpx.AsyncClient) -> None:
    assert await statuses(http, 3) == [200, 200, 200]
    response = await http.get(CHARGERS)
    assert response.status_code == 429
    assert 1 <= int(response.headers["retry-after"]) <= 60
    assert response.json() == {"error": "too many requests: this API key may make 3 a minute"}


async def test_each_key_has_its_own_minute(
    http: httpx.AsyncClient, caller: Caller, directory: Directory
) -> None:
    await statuses(http, 4)
    raw_key, _ = await directory.keys.create("other", ["read"])
    assert await statuses(caller(raw_key), 4) == [200, 200, 200, 429]


async def test_the_body_of_one_too_many_is_not_read(http: httpx.AsyncClient) -> None:
    await statuses(http, 3)
    response = await http.post(CHARGERS, content=b"{not even JSON")
    assert response.status_code == 429


async def test_strangers_and_health_checks_are_not_counted(http: httpx.AsyncClient, caller: Caller) -> None:
    assert await statuses(caller("berth_nobody"), 5) == [401] * 5
    assert [(await http.get("/health/live")).status_code for _ in range(5)] == [200] * 5
    assert await statuses(http, 3) == [200, 200, 200]


async def test_zero_is_no_limit(caller: Caller, temporal: Client, directory: Directory) -> None:
    app = create_app(Settings(rate_limit=0), temporal, directory)
    raw_key, _ = await directory.keys.create("busy", ["read"])
    assert await statuses(caller(raw_key, app), 20) == [200] * 20
    await close(app)


class TestASharedStore:
    """Several API processes count together."""

    @pytest.fixture
    def store(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A Redis in this process, with its Lua: what every connection of this test reaches."""
        server = FakeServer()

        def pool(url: str, **_: object) -> ConnectionPool:
            return ConnectionPool(connection_class=FakeAsyncRedisConnection, server=server)

        monkeypatch.setattr("api.rate_limit.ConnectionPool.from_url", pool)

    @pytest.fixture
    def settings(self, free_port: int) -> Settings:
        """Three requests a minute, counted there."""
        return Settings(rate_limit=3, rate_limit_store=f"redis://127.0.0.1:{free_port}")

    @pytest.fixture
    async def other_app(
        self, settings: Settings, temporal: Client, directory: Directory
    ) -> AsyncIterator[FastAPI]:
        """A second API process, as far as the store can tell."""
        app = create_app(settings, temporal, directory)
        yield app
        await close(app)

    async def test_two_processes_count_together(
        self, store: None, app: FastAPI, other_app: FastAPI, caller: Caller, directory: Directory
    ) -> None:
        raw_key, _ = await directory.keys.create("app", ["read"])
        assert await statuses(caller(raw_key, app), 2) == [200, 200]
        assert await statuses(caller(raw_key, other_app), 2) == [200, 429]
        response = await caller(raw_key, app).get(CHARGERS)
        assert response.status_code == 429
        assert 1 <= int(response.headers["retry-after"]) <= 60

    async def test_without_the_store_each_counts_for_itself(self, http: httpx.AsyncClient) -> None:
        with structlog.testing.capture_logs() as logs:
            assert await statuses(http, 4) == [200, 200, 200, 429]
        away = [entry for entry in logs if entry["event"] == "rate_limit_store_away"]
        assert len(away) == 1, "it is left alone for a while"


@pytest.mark.parametrize("url", ["memcached://127.0.0.1", "127.0.0.1:6379", "redis://a:port", ""])
def test_a_store_of_another_kind_is_a_bad_setting(url: str) -> None:
    with pytest.raises(ValueError, match="must be like redis://host:6379/0"):
        Settings(rate_limit_store=url)
