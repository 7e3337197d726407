"""GET /api/ocpp-messages."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from berth.database import Charger, Database, LoggedMessage, NewCharger
from tests.api.conftest import Caller, instant

MESSAGES = "/api/ocpp-messages"

NOW = datetime.now(UTC).replace(microsecond=0)


def message(charger: Charger, minutes_ago: float, **changes: Any) -> LoggedMessage:
    """A heartbeat of the charger."""
    facts: dict[str, Any] = {
        "created_at": NOW - timedelta(minutes=minutes_ago),
        "charger_id": charger.id,
        "ocpp_identity": charger.ocpp_identity,
        "protocol": "ocpp1.6",
        "sender": "charger",
        "message_type": "Heartbeat",
        "payload_json": "{}",
    }
    return LoggedMessage(**(facts | changes))


async def ages(http: httpx.AsyncClient, **parameters: Any) -> list[float]:
    """How many minutes old the listed messages are."""
    response = await http.get(MESSAGES, params=parameters)
    assert response.status_code == 200, response.text
    at = [datetime.fromisoformat(item["createdAt"]) for item in response.json()["data"]]
    return [(NOW - created_at) / timedelta(minutes=1) for created_at in at]


async def test_a_message_is_shown_in_flipturns_shape(
    http: httpx.AsyncClient, database: Database, charger: Charger
) -> None:
    reserve_now = message(
        charger,
        1,
        message_type="ReserveNow",
        sender="berth",
        payload_json='{"connectorId":1,"idTag":"RFID-1"}',
        response_json='{"status":"Accepted"}',
    )
    await database.messages.write([reserve_now])
    response = await http.get(MESSAGES)
    assert response.status_code == 200
    (item,) = response.json()["data"]
    assert item.pop("id") > 0
    assert item == {
        "createdAt": instant(reserve_now.created_at),
        "ocppChargerIdentity": "CP-16",
        "messageType": "ReserveNow",
        "messagePayload": {"connectorId": 1, "idTag": "RFID-1"},
        "messageResponse": {"status": "Accepted"},
        "chargerId": charger.id,
        "protocol": "ocpp1.6",
    }


async def test_a_message_without_an_answer_has_null(
    http: httpx.AsyncClient, database: Database, charger: Charger
) -> None:
    await database.messages.write([message(charger, 1)])
    (item,) = (await http.get(MESSAGES)).json()["data"]
    assert item["messageResponse"] is None


async def test_the_newest_come_first_of_the_last_24_hours(
    http: httpx.AsyncClient, database: Database, charger: Charger
) -> None:
    await database.messages.write([message(charger, age) for age in (1500, 1400, 3, 2)])
    assert await ages(http) == [2, 3, 1400]


async def test_a_range_begins_with_its_start_and_ends_before_its_end(
    http: httpx.AsyncClient, database: Database, charger: Charger
) -> None:
    await database.messages.write([message(charger, age) for age in (9000, 30, 20, 10)])
    start, end = NOW - timedelta(minutes=30), NOW - timedelta(minutes=10)
    assert await ages(http, startTimestamp=instant(start), endTimestamp=instant(end)) == [20, 30]
    assert await ages(http, endTimestamp=instant(end)) == [20, 30]
    assert await ages(http, startTimestamp=instant(start)) == [10, 20, 30]
    week = instant(NOW - timedelta(days=7))
    assert await ages(http, startTimestamp=week) == [10, 20, 30, 9000]


async def test_it_is_narrowed_by_charger_and_types(
    http: httpx.AsyncClient, database: Database, charger: Charger
) -> None:
    other = await database.chargers.add(NewCharger("CP-201"))
    await database.messages.write(
        [
            message(charger, 3, message_type="ReserveNow"),
            message(charger, 2, message_type="CancelReservation"),
            message(other, 1),
        ]
    )
    assert await ages(http, chargerId=charger.id) == [2, 3]
    assert await ages(http, chargerId=999) == []
    assert await ages(http, **{"messageType[]": "ReserveNow"}) == [3]
    assert await ages(http, **{"messageType[]": ["ReserveNow", "Heartbeat"]}) == [1, 3]


async def test_it_goes_on_from_page_to_page_within_one_range(
    http: httpx.AsyncClient, database: Database, charger: Charger
) -> None:
    await database.messages.write([message(charger, age) for age in (5, 4, 3, 2, 1)])
    page = (await http.get(MESSAGES, params={"limit": 2})).json()
    await database.messages.write([message(charger, 0)])  # does not move the pages
    cursor = page["pagination"]["nextPageCursor"]
    assert page["pagination"]["hasNextPage"] is True
    assert await ages(http, limit=2, nextPageCursor=cursor) == [3, 4]
    rest = (await http.get(MESSAGES, params={"limit": 3, "nextPageCursor": cursor})).json()
    assert len(rest["data"]) == 3
    assert rest["pagination"] == {"hasNextPage": False, "nextPageCursor": None}


async def test_a_key_sees_the_messages_of_its_chargers(
    caller: Caller, database: Database, charger: Charger
) -> None:
    other = await database.chargers.add(NewCharger("CP-201", site_id="site-2"))
    await database.messages.write([message(charger, 2), message(other, 1)])
    site, _ = await database.keys.create("site", ["read"], site_ids=["site-1"])
    assert await ages(caller(site)) == [2]
    assert await ages(caller(site), chargerId=other.id) == []
    one, _ = await database.keys.create("charger", ["read"], charger_ids=[other.id])
    assert await ages(caller(one)) == [1]


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        (
            {"startTimestamp": "yesterday"},
            "startTimestamp: must be an ISO 8601 date and time such as 2026-12-24T18:00:00Z",
        ),
        ({"endTimestamp": "2026-02-30T00:00:00Z"}, "endTimestamp: is not a date and time that exists"),
        (
            {"startTimestamp": "2026-01-01T00:00:00Z", "endTimestamp": "2026-01-01T00:00:00Z"},
            "startTimestamp: must be before endTimestamp",
        ),
        (
            {"startTimestamp": "2026-01-01T00:00:00Z", "endTimestamp": "2026-01-09T00:00:00Z"},
            "startTimestamp: must be less than 8 days before endTimestamp",
        ),
        ({"startTimestamp": "9999-12-31T00:00:00Z"}, "startTimestamp: must be before endTimestamp"),
        ({"messageType[]": ""}, "messageType[].0: must have at least 1 character"),
        ({"messageType[]": ["x"] * 51}, "messageType[]: must have at most 50 items"),
        ({"chargerId": "one"}, "chargerId: must be a valid integer"),
        ({"limit": "501"}, "limit: must be less than or equal to 500"),
        ({"nextPageCursor": "!"}, "nextPageCursor: is not of this query; leave it out to begin anew"),
    ],
)
async def test_a_parameter_that_breaks_a_rule_is_400(
    http: httpx.AsyncClient, parameters: dict[str, Any], sentence: str
) -> None:
    response = await http.get(MESSAGES, params=parameters)
    assert response.status_code == 400
    assert response.json() == {"error": sentence}


async def test_the_first_day_of_all_time_is_a_range_too(http: httpx.AsyncClient) -> None:
    assert await ages(http, endTimestamp="0001-01-01T06:00:00Z") == []
