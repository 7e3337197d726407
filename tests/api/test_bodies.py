"""What a body may say, and the sentence for what it may not."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
import orjson
import pytest
from temporalio.worker import Worker

from tests.api.conftest import instant
from tests.api.scripted import Script

RESERVE = "/api/ocpp/reservations"
JSON = {"Content-Type": "application/json"}

NO_INSTANT = "expiryDate: must be an ISO 8601 date and time such as 2026-12-24T18:00:00Z"


def in_days(days: float) -> str:
    return instant(datetime.now(UTC) + timedelta(days=days))


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("portId", None, "portId: is required; or chargerId, for any port of that charger"),
        ("portId", "1", "portId: must be a valid integer"),
        ("portId", 1.5, "portId: must be a valid integer"),
        ("portId", True, "portId: must be a valid integer"),
        ("portId", 0, "portId: must be greater than or equal to 1"),
        ("portId", 2**31, "portId: must be less than or equal to 2147483647"),
        ("reservationId", -1, "reservationId: must be greater than or equal to 0"),
        ("reservationId", 2**31, "reservationId: must be less than or equal to 2147483647"),
        ("reservationId", 10**400, "reservationId: must be less than or equal to 2147483647"),
        ("reservationId", False, "reservationId: must be a valid integer"),
        ("idTag", 7, "idTag: must be a valid string"),
        ("idTag", "", "idTag: must have at least 1 character"),
        ("idTag", "x" * 21, "idTag: must have at most 20 characters"),
        ("idTag", "a\nb", "idTag: must have printable characters only"),
        ("idTag", "a\ud800", "idTag: must be a valid string"),
        ("parentIdTag", "x" * 21, "parentIdTag: must have at most 20 characters"),
        ("expiryDate", 1_800_000_000, NO_INSTANT),
        ("expiryDate", "1800000000", NO_INSTANT),
        ("expiryDate", "tomorrow", NO_INSTANT),
        ("expiryDate", "2026-12-24", NO_INSTANT),
        ("expiryDate", "2026-12-24T18:00:00 Z", NO_INSTANT),
        ("expiryDate", "2026-02-30T18:00:00Z", "expiryDate: is not a date and time that exists"),
        ("expiryDate", "9999-12-31T23:59:59-23:59", "expiryDate: is not a date and time that exists"),
        pytest.param("expiryDate", in_days(-1), "expiryDate: must be in the future", id="yesterday"),
        pytest.param("expiryDate", in_days(31.01), "expiryDate: must be at most 31 days ahead", id="too far"),
        (
            "idTokenType",
            "central",
            "idTokenType: must be 'Central', 'eMAID', 'ISO14443', 'ISO15693', 'KeyCode', 'Local' "
            "or 'MacAddress'",
        ),
        ("offlinePolicy", "later", "offlinePolicy: must be 'retry' or 'reject'"),
        ("force", "yes", "force: must be a valid boolean"),
        ("force", 1, "force: must be a valid boolean"),
    ],
)
async def test_a_field_that_breaks_a_rule_is_400_naming_field_and_rule(
    http: httpx.AsyncClient, body: dict[str, Any], field: str, value: object, sentence: str
) -> None:
    content = json.dumps(body | {field: value})  # escapes what UTF-8 cannot carry
    response = await http.post(RESERVE, content=content, headers=JSON)
    assert response.status_code == 400
    assert response.json() == {"error": sentence}


async def test_missing_fields_are_named_all_at_once(http: httpx.AsyncClient) -> None:
    response = await http.post(RESERVE, json={"portId": 1, "idTag": "RFID-1"})
    assert response.status_code == 400
    assert response.json() == {"error": "expiryDate: is required; reservationId: is required"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the body: must be a JSON object"),
        (b"[]", "the body: must be a JSON object"),
        (b"null", "the body: must be a JSON object"),
        (b"{", "the body: is not JSON (Expecting property name enclosed in double quotes at character 1)"),
        (b"\xff", "the body: must be UTF-8"),
        (b'{"portId": 1, "portId": 2}', "portId: is there twice"),
        (b'{"portId": {"a": 1, "a": 1}}', "a: is there twice"),
        (b'{"portId": NaN}', "the body: NaN is not JSON"),
        (b'{"portId": -Infinity}', "the body: -Infinity is not JSON"),
        (b"[" * 60_000, "the body: is nested too deeply"),
        (b'{"portId": ' + b"1" * 5000 + b"}", "the body: has a number that is too long"),
    ],
)
async def test_what_is_not_a_json_object_is_400(
    http: httpx.AsyncClient, content: bytes, sentence: str
) -> None:
    response = await http.post(RESERVE, content=content, headers=JSON)
    assert response.status_code == 400
    assert response.json() == {"error": sentence}


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "json"]
)
async def test_another_content_type_is_400(
    http: httpx.AsyncClient, body: dict[str, Any], content_type: str
) -> None:
    response = await http.post(RESERVE, content=orjson.dumps(body), headers={"Content-Type": content_type})
    assert response.status_code == 400
    assert response.json() == {"error": "the body: must be sent as Content-Type: application/json"}


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("content_type", [None, "application/json; charset=utf-8", "application/hal+json"])
async def test_json_by_any_of_its_names_is_read(
    http: httpx.AsyncClient, script: Script, body: dict[str, Any], content_type: str | None
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    response = await http.post(RESERVE, content=orjson.dumps(body), headers=headers)
    assert response.status_code == 200


async def test_a_body_over_64_kib_is_413(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    response = await http.post(RESERVE, json=body | {"more": "x" * 65_536})
    assert response.status_code == 413
    assert response.json() == {"error": "the body: must have at most 65536 bytes"}


async def test_a_body_of_unannounced_length_is_413_too(http: httpx.AsyncClient) -> None:
    async def chunks() -> Any:
        for _ in range(100):
            yield b" " * 1024

    response = await http.post(RESERVE, content=chunks(), headers=JSON)
    assert response.status_code == 413
    assert response.json() == {"error": "the body: must have at most 65536 bytes"}


class TestWhatIsUnderstood:
    """Read by the workflow as it was meant."""

    @pytest.fixture(autouse=True)
    def _worker(self, worker: Worker) -> None:
        """One runs."""

    async def test_unknown_fields_are_ignored(
        self, http: httpx.AsyncClient, script: Script, body: dict[str, Any]
    ) -> None:
        response = await http.post(RESERVE, json=body | {"colour": "blue", "port_id": 7})
        assert response.status_code == 200

    async def test_null_is_as_good_as_absent_where_a_field_is_optional(
        self, http: httpx.AsyncClient, script: Script, body: dict[str, Any]
    ) -> None:
        optional = ["parentIdTag", "idTokenType", "offlinePolicy", "force"]
        await http.post(RESERVE, json=body | dict.fromkeys(optional))
        asked = script.asked[0]
        assert (asked.terms.parent_id_tag, asked.terms.id_tag_type.value) == (None, "Central")
        assert (asked.offline_policy, asked.force) == ("retry", False)

    async def test_an_empty_parent_is_none(
        self, http: httpx.AsyncClient, script: Script, body: dict[str, Any]
    ) -> None:
        await http.post(RESERVE, json=body | {"parentIdTag": ""})
        assert script.asked[0].terms.parent_id_tag is None

    @pytest.mark.parametrize("form", ["{:%Y-%m-%dT%H:%M:%S}.250", "{:%Y-%m-%dT%H:%M:%S}.250Z"])
    async def test_an_expiry_without_an_offset_is_utc(
        self, http: httpx.AsyncClient, script: Script, body: dict[str, Any], form: str
    ) -> None:
        at = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=250_000)
        response = await http.post(RESERVE, json=body | {"expiryDate": form.format(at)})
        assert script.asked[0].terms.expires_at == at
        assert response.json()["data"]["expiryDate"] == f"{at:%Y-%m-%dT%H:%M:%S}.250000Z"

    async def test_an_expiry_with_an_offset_is_answered_in_utc(
        self, http: httpx.AsyncClient, script: Script, body: dict[str, Any]
    ) -> None:
        at = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
        there = at.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat()
        response = await http.post(RESERVE, json=body | {"expiryDate": there})
        assert response.json()["data"]["expiryDate"] == instant(at)

    async def test_a_whole_number_with_a_point_is_an_integer(
        self, http: httpx.AsyncClient, script: Script, body: dict[str, Any]
    ) -> None:
        response = await http.post(RESERVE, json=body | {"portId": float(body["portId"])})
        assert response.json()["data"]["portId"] == body["portId"]

    async def test_the_last_possible_number_and_moment_are_good(
        self, http: httpx.AsyncClient, script: Script, body: dict[str, Any]
    ) -> None:
        response = await http.post(RESERVE, json=body | {"expiryDate": in_days(30.99), "idTag": "x" * 20})
        assert response.status_code == 200
