"""The database is away: every call says so in a sentence, and no charger is asked anything."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from berth.database import Database, UnreachableError
from berth.database.connections import Connections
from tests.api.scripted import Script
from tests.api.test_auth import EVERY_ROUTE, RESERVE

AWAY = {"error": "the database does not answer; no charger was asked: repeat the request"}


def fail(connections: Connections, monkeypatch: pytest.MonkeyPatch, after: int = 0) -> None:
    """Have every statement fail, `after` so many that read."""
    left = after

    async def gone(*_: Any, **__: Any) -> Any:
        raise UnreachableError("no database at postgresql+asyncpg://berth:***@db/berth: refused")

    def for_a_while(read: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def reading(statement: Any, **parameters: Any) -> Any:
            nonlocal left
            left -= 1
            return await (read if left >= 0 else gone)(statement, **parameters)

        return reading

    monkeypatch.setattr(connections, "query", for_a_while(connections.query))
    monkeypatch.setattr(connections, "lookup", for_a_while(connections.lookup))
    monkeypatch.setattr(connections, "change", gone)
    monkeypatch.setattr(connections, "transaction", gone)


@pytest.mark.parametrize(("method", "path"), EVERY_ROUTE)
async def test_every_call_is_503_with_the_time_to_wait(
    http: httpx.AsyncClient,
    database: Database,
    method: str,
    path: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fail(database._connections, monkeypatch)
    response = await http.request(method, path, json={})
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert response.json() == AWAY


async def test_a_reservation_that_lost_the_database_on_its_way_started_nothing(
    http: httpx.AsyncClient,
    database: Database,
    script: Script,
    body: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fail(database._connections, monkeypatch, after=1)
    response = await http.post(RESERVE, json=body)
    assert response.status_code == 503
    assert response.json() == AWAY
    assert script.starts == []
