"""The message log never costs a charger anything, and keeps secrets out of the database."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from berth.database import LoggedMessage
from gateway import call_log as message_log
from gateway.call_log import Exchange, MessageLog
from gateway.frames import BrokenAnswer, CallError, CallResult


class Table:
    """Where the log is written to."""

    def __init__(self) -> None:
        self.rows: list[LoggedMessage] = []
        self.is_broken = False

    async def write(self, batch: Sequence[LoggedMessage]) -> None:
        if self.is_broken:
            raise OSError("disk full")
        self.rows.extend(batch)


def exchange(payload: Any = None, answer: Any = None, action: str = "Heartbeat") -> Exchange:
    return Exchange(message_log.now(), 1, "CP-1", "ocpp1.6", "charger", action, payload or {}, answer)


async def test_a_full_buffer_drops_the_oldest_and_counts_it() -> None:
    table = Table()
    log = MessageLog(table.write, capacity=3)
    for number in range(5):
        log.add(exchange({"number": number}))
    await log.flush()
    assert [orjson.loads(row.payload_json)["number"] for row in table.rows] == [2, 3, 4]
    assert log.dropped_count == 2


async def test_a_few_heavy_exchanges_fill_it_as_many_light_ones_do() -> None:
    table = Table()
    log = MessageLog(table.write, weight_capacity=1000)
    for number in range(5):
        log.add(replace(exchange({"number": number}), weight=400))
    await log.flush()
    assert [orjson.loads(row.payload_json)["number"] for row in table.rows] == [3, 4]
    assert log.dropped_count == 3


async def test_what_a_failing_database_did_not_take_is_written_later_in_order() -> None:
    table = Table()
    table.is_broken = True
    log = MessageLog(table.write)
    for number in range(1200):
        log.add(exchange({"number": number}))
    with pytest.raises(OSError, match="disk full"):
        await log.flush()
    table.is_broken = False
    await log.flush()
    assert [orjson.loads(row.payload_json)["number"] for row in table.rows] == list(range(1200))


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (
            {"idToken": {"idToken": "1234", "type": "KeyCode"}},
            {"idToken": {"idToken": "***", "type": "KeyCode"}},
        ),
        (
            {"idToken": {"idToken": "ABC", "type": "Central"}},
            {"idToken": {"idToken": "ABC", "type": "Central"}},
        ),
        ({"key": "AuthorizationKey", "value": "secret"}, {"key": "AuthorizationKey", "value": "***"}),
        ({"key": "HeartbeatInterval", "value": "60"}, {"key": "HeartbeatInterval", "value": "60"}),
        (
            {"attributeValue": "secret", "variable": {"name": "basicAuthPassword"}},
            {"attributeValue": "***", "variable": {"name": "basicAuthPassword"}},
        ),
        (
            {"attributeValue": "60", "variable": {"name": "HeartbeatInterval"}},
            {"attributeValue": "60", "variable": {"name": "HeartbeatInterval"}},
        ),
        ({"setup": [{"basicAuthPassword": "secret"}]}, {"setup": [{"basicAuthPassword": "***"}]}),
    ],
)
async def test_secrets_are_starred(payload: Any, shown: Any) -> None:
    table = Table()
    log = MessageLog(table.write)
    log.add(exchange(payload, CallResult("1", payload)))
    await log.flush()
    (row,) = table.rows
    assert orjson.loads(row.payload_json) == shown
    assert row.response_json is not None
    assert orjson.loads(row.response_json) == shown


@pytest.mark.parametrize(
    ("answer", "response"),
    [
        (None, None),
        (CallResult("1", {"status": "Accepted"}), '{"status":"Accepted"}'),
        (CallError("1", "NotImplemented", "no"), '{"errorCode":"NotImplemented","errorDescription":"no"}'),
        (BrokenAnswer("1", "payload is not an object"), '{"brokenAnswer":"payload is not an object"}'),
    ],
)
async def test_each_kind_of_answer_has_its_form(answer: Any, response: str | None) -> None:
    table = Table()
    log = MessageLog(table.write)
    log.add(exchange(answer=answer))
    await log.flush()
    assert table.rows[0].response_json == response
