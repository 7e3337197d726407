"""So many requests a minute per API key, counted by one process or by several together."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import structlog
from fastapi import FastAPI
from temporalio.client import Client

from api.app import close, create_app
from api.rate_limit import STORE_RESTS
from berth.database import Database
from berth.settings import Settings
from tests.api.conftest import Caller
from tests.api.redis_server import RedisServer

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
    http: httpx.AsyncClient, caller: Caller, database: Database
) -> None:
    await statuses(http, 4)
    raw_key, _ = await database.keys.create("other", ["read"])
    assert await statuses(caller(raw_key), 4) == [200, 200, 200, 429]


async def test_the_body_of_one_too_many_is_not_read(http: httpx.AsyncClient) -> None:
    await statuses(http, 3)
    response = await http.post(CHARGERS, content=b"{not even JSON")
    assert response.status_code == 429


async def test_strangers_and_health_checks_are_not_counted(http: httpx.AsyncClient, caller: Caller) -> None:
    assert await statuses(caller("berth_nobody"), 5) == [401] * 5
    assert [(await http.get("/health/live")).status_code for _ in range(5)] == [200] * 5
    assert await statuses(http, 3) == [200, 200, 200]


async def test_zero_is_no_limit(caller: Caller, temporal: Client, database: Database) -> None:
    app = create_app(Settings(rate_limit=0), temporal, database)
    raw_key, _ = await database.keys.create("busy", ["read"])
    assert await statuses(caller(raw_key, app), 20) == [200] * 20
    await close(app)


class TestASharedStore:
    """Several API processes count together, in a real Redis."""

    @pytest.fixture
    def store(self, free_port: int, tmp_path: Path) -> Iterator[RedisServer]:
        """A Redis of this test's own."""
        server = RedisServer(free_port, tmp_path)
        server.start()
        yield server
        server.kill()

    @pytest.fixture
    def settings(self, store: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Settings:
        """Three requests a minute, counted there, however slow the machine is at the moment."""
        monkeypatch.setattr("api.rate_limit.STORE_WITHIN", timedelta(seconds=20))
        return Settings(rate_limit=3, rate_limit_store=store.url)

    @pytest.fixture
    async def other_app(
        self, settings: Settings, temporal: Client, database: Database
    ) -> AsyncIterator[FastAPI]:
        """A second API process, as far as the store can tell."""
        app = create_app(settings, temporal, database)
        yield app
        await close(app)

    @pytest.fixture
    async def raw_key(self, database: Database) -> str:
        """The API key of the caller."""
        raw_key, _ = await database.keys.create("app", ["read"])
        return raw_key

    @pytest.fixture
    def one(self, raw_key: str, caller: Caller) -> httpx.AsyncClient:
        """The caller, at the first process."""
        return caller(raw_key)

    @pytest.fixture
    def two(self, raw_key: str, caller: Caller, other_app: FastAPI) -> httpx.AsyncClient:
        """The caller, at the second process."""
        return caller(raw_key, other_app)

    async def test_two_processes_count_together(self, one: httpx.AsyncClient, two: httpx.AsyncClient) -> None:
        assert await statuses(one, 2) == [200, 200]
        assert await statuses(two, 2) == [200, 429]
        response = await one.get(CHARGERS)
        assert response.status_code == 429
        assert 1 <= int(response.headers["retry-after"]) <= 60

    async def test_each_counts_for_itself_while_the_store_is_away_and_together_when_it_is_back(
        self, store: RedisServer, one: httpx.AsyncClient, two: httpx.AsyncClient
    ) -> None:
        assert await statuses(one, 2) == [200, 200]
        assert await statuses(two, 2) == [200, 429]
        store.kill()
        with structlog.testing.capture_logs() as logs:
            assert await statuses(one, 4) == [200, 200, 200, 429]
        away = [entry for entry in logs if entry["event"] == "rate_limit_store_away"]
        assert len(away) == 1, "it is left alone for a while"
        assert await statuses(two, 4) == [200, 200, 200, 429]
        store.start()
        # By their own counts both would refuse for the rest of the minute; a new store begins at zero.
        await accepted_again(one)
        await accepted_again(two)
        assert await statuses(one, 2) == [200, 429]
        assert await statuses(two, 1) == [429]

    async def test_a_store_that_was_never_there_stops_nobody(
        self, store: RedisServer, one: httpx.AsyncClient
    ) -> None:
        store.kill()
        assert await statuses(one, 4) == [200, 200, 200, 429]


async def accepted_again(http: httpx.AsyncClient) -> None:
    """Returns with the first request that is not too many; well before a minute of its own is over."""
    async with asyncio.timeout(3 * STORE_RESTS.total_seconds()):
        while await statuses(http, 1) == [429]:
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("url", ["memcached://127.0.0.1", "127.0.0.1:6379", "redis://a:port", ""])
def test_a_store_of_another_kind_is_a_bad_setting(url: str) -> None:
    with pytest.raises(ValueError, match="must be like redis://host:6379/0"):
        Settings(rate_limit_store=url)
