"""What probes and load balancers hear from a gateway, without being a charger."""

import httpx
import pytest

from berth.database import Database, UnreachableError
from tests.gateway.stack import Stack, Temporal


async def health(stack: Stack, path: str) -> tuple[int, str]:
    """The status and the body of a plain HTTP request."""
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"http://127.0.0.1:{stack.server.port}/health/{path}")
    return answer.status_code, answer.text


@pytest.mark.parametrize("path", ["live", "ready", "ready?verbose=1"])
async def test_a_gateway_at_work_is_live_and_ready(stack: Stack, path: str) -> None:
    assert await health(stack, path) == (200, "ok\n")


async def test_a_gateway_that_drains_is_live_and_takes_nobody(stack: Stack) -> None:
    stack.server.refuse_new()
    assert await health(stack, "live") == (200, "ok\n")
    assert await health(stack, "ready") == (503, "the gateway restarts\n")


async def test_a_full_gateway_is_not_ready(database: Database, temporal: Temporal) -> None:
    async with Stack(database, temporal, max_connections=1) as stack, stack.station() as station:
        await station.boot()
        assert await health(stack, "live") == (200, "ok\n")
        assert await health(stack, "ready") == (503, "too many connections\n")


async def test_a_gateway_without_its_database_is_live_and_not_ready(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable() -> None:
        raise UnreachableError("no database")

    monkeypatch.setattr(stack.database, "ping", unreachable)
    assert await health(stack, "live") == (200, "ok\n")
    assert await health(stack, "ready") == (503, "the database does not answer\n")
