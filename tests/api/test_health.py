"""/health."""

import pytest

from berth.database import Database, UnreachableError
from tests.api.conftest import Caller


async def test_a_process_that_answers_lives_and_needs_no_key(caller: Caller) -> None:
    response = await caller().get("/health/live")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


async def test_with_temporal_and_the_database_it_is_ready(caller: Caller) -> None:
    response = await caller().get("/health/ready")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


async def test_without_the_database_it_is_not_ready(
    caller: Caller, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone() -> None:
        raise UnreachableError("no database")

    monkeypatch.setattr(database, "ping", gone)
    response = await caller().get("/health/ready")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert response.json() == {"error": "not ready: no answer from the database"}
