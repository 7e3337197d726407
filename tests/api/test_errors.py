"""Every error has the contract's shape, whoever raises it, and every response has an id."""

from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI

from berth.database import Database
from tests.api.conftest import Caller

RESERVE = "/api/ocpp/reservations"


async def test_an_unknown_path_is_404_with_a_sentence(http: httpx.AsyncClient) -> None:
    response = await http.get("/api/unicorns")
    assert response.status_code == 404
    assert response.json() == {"error": "there is nothing at /api/unicorns"}


async def test_a_wrong_method_is_405_with_a_sentence(http: httpx.AsyncClient) -> None:
    response = await http.put(RESERVE, json={})
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, POST"
    assert response.json() == {"error": "PUT is not possible at /api/ocpp/reservations"}


async def test_an_unknown_port_is_404(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    response = await http.post(RESERVE, json=body | {"portId": 999})
    assert response.status_code == 404
    assert response.json() == {"error": "portId: there is no port 999"}


class TestAFaultOfOurs:
    """Is a 500 with an id, and the log has the rest."""

    @pytest.fixture
    def app(self, app: FastAPI, monkeypatch: pytest.MonkeyPatch, database: Database) -> FastAPI:
        async def broken(port_id: int) -> None:
            raise ZeroDivisionError("secret details")

        monkeypatch.setattr(database.chargers, "port_target", broken)
        return app

    async def test_it_says_where_to_look_and_nothing_else(
        self, http: httpx.AsyncClient, body: dict[str, Any]
    ) -> None:
        with structlog.testing.capture_logs():
            response = await http.post(RESERVE, json=body, headers={"X-Request-Id": "abc-1"})
        assert response.status_code == 500
        assert response.headers["x-request-id"] == "abc-1"
        assert response.json() == {"error": "something failed on our side; the log knows more under abc-1"}

    async def test_it_is_logged_once_with_the_exception(
        self, http: httpx.AsyncClient, body: dict[str, Any]
    ) -> None:
        with structlog.testing.capture_logs() as logs:
            await http.post(RESERVE, json=body)
        (entry,) = [entry for entry in logs if entry["log_level"] == "error"]
        assert entry["event"] == "request_failed"
        assert (entry["method"], entry["path"]) == ("POST", RESERVE)


class TestTheRequestId:
    """Names a request in the log and in the response."""

    @pytest.mark.parametrize("path", ["/health/live", "/api/unicorns", RESERVE, "/openapi.json"])
    async def test_every_response_has_one(self, caller: Caller, path: str) -> None:
        response = await caller().get(path)
        assert len(response.headers["x-request-id"]) == 32

    async def test_the_callers_own_is_kept(self, http: httpx.AsyncClient) -> None:
        response = await http.get("/health/live", headers={"X-Request-Id": "trace:42_a.b-c"})
        assert response.headers["x-request-id"] == "trace:42_a.b-c"

    @pytest.mark.parametrize("given", ["", "two words", "x" * 129, "ä", "<script>"])
    async def test_one_that_is_not_sane_is_replaced(self, http: httpx.AsyncClient, given: str) -> None:
        response = await http.get("/health/live", headers=[(b"X-Request-Id", given.encode())])
        assert response.headers["x-request-id"] != given
        assert len(response.headers["x-request-id"]) == 32


async def test_each_request_is_one_line_at_debug(http: httpx.AsyncClient) -> None:
    with structlog.testing.capture_logs() as logs:
        await http.get("/health/live")
    (entry,) = logs
    assert entry["event"] == "request"
    assert (entry["method"], entry["path"], entry["status"]) == ("GET", "/health/live", 200)
    assert entry["log_level"] == "debug"
    assert entry["milliseconds"] >= 0
