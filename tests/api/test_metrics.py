"""What the API counts of its requests, and that no caller chooses its labels."""

import httpx
import pytest

from api.request_metrics import count_request
from berth.settings import Settings
from tests.api.conftest import Caller
from tests.scraped import Moves

REQUESTS, REFUSED = "berth_http_requests_total", "berth_http_requests_refused_total"
DURATION = "berth_http_request_duration_seconds_count"


@pytest.fixture
def settings() -> Settings:
    """Ten requests a minute."""
    return Settings(rate_limit=10)


@pytest.fixture
def moved() -> Moves:
    return Moves()


async def test_a_request_is_counted_by_the_template_of_its_route(
    http: httpx.AsyncClient, moved: Moves
) -> None:
    for number in range(1, 4):
        assert (await http.get(f"/api/chargers/{number}")).status_code == 404
    assert (await http.get("/api/chargers")).status_code == 200
    one = "/api/chargers/{id}"
    assert moved(REQUESTS, method="GET", route=one, status="4xx") == 3
    assert moved(DURATION, method="GET", route=one) == 3
    assert moved(REQUESTS, method="GET", route="/api/chargers", status="2xx") == 1


async def test_callers_make_no_series(caller: Caller, moved: Moves) -> None:
    http = caller()
    for number in range(30):
        await http.get(f"/nowhere/{number}")
        await http.request(f"SING{number}", "/api/chargers")
    assert moved(REQUESTS, method="GET", route="other", status="4xx") == 30
    assert {dict(series)["method"] for series in moved.new_series(REQUESTS)} <= {"GET", "other"}
    assert len(moved.new_series(REQUESTS)) <= 3


async def test_who_is_turned_away_is_counted(http: httpx.AsyncClient, caller: Caller, moved: Moves) -> None:
    await caller("berth_nobody").get("/api/chargers")
    statuses = [(await http.get("/api/chargers")).status_code for _ in range(12)]
    assert statuses[-2:] == [429, 429]
    assert moved(REFUSED, reason="unauthorized") == 1
    assert moved(REFUSED, reason="rate_limited") == 2
    assert moved(REFUSED, reason="forbidden") == 0


def test_a_caller_who_left_before_the_answer_has_no_status(moved: Moves) -> None:
    count_request("GET", None, 0, 0.1)
    assert moved(REQUESTS, method="GET", route="other", status="none") == 1
