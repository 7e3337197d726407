"""`berth messages`: the log, once or as it grows."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from berth.database import LoggedMessage, NewCharger
from tests.cli.odd_server import Answer, OddServer
from tests.cli.stack import Stack
from tests.launch.commands import berth_here

NOW = datetime.now(UTC)


def logged(charger_id: int, action: str, ago: timedelta, answer: str | None = "{}") -> LoggedMessage:
    return LoggedMessage(
        created_at=NOW - ago,
        charger_id=charger_id,
        ocpp_identity=f"CP-{charger_id}",
        protocol="ocpp1.6",
        sender="berth",
        message_type=action,
        payload_json='{"connectorId":1}',
        response_json=answer,
    )


@pytest.fixture
def talk(stack: Stack) -> None:
    """Two chargers, and what they said."""

    async def fill(_: object) -> None:
        for number in (1, 2):
            await stack.database.chargers.add(NewCharger(f"CP-{number}"))
        await stack.database.messages.write(
            [
                logged(1, "BootNotification", timedelta(days=2)),
                logged(1, "ReserveNow", timedelta(hours=2), '{"status":"Accepted"}'),
                logged(2, "ReserveNow", timedelta(minutes=5), None),
                logged(1, "StatusNotification", timedelta(minutes=1)),
            ]
        )

    stack.do(fill)


def kinds(*options: str) -> list[str]:
    run = berth_here("messages", "--json", *options)
    assert run.returncode == 0, run.stderr
    return [f"{message['chargerId']} {message['messageType']}" for message in json.loads(run.stdout)]


@pytest.mark.usefixtures("talk")
def test_the_last_day_is_shown_newest_first_and_can_be_narrowed() -> None:
    assert kinds() == ["1 StatusNotification", "2 ReserveNow", "1 ReserveNow"]
    assert kinds("--charger", "cp-1") == ["1 StatusNotification", "1 ReserveNow"]
    assert kinds("--charger", "2") == ["2 ReserveNow"]
    assert kinds("--type", "ReserveNow", "--type", "BootNotification", "--since", "3d") == [
        "2 ReserveNow",
        "1 ReserveNow",
        "1 BootNotification",
    ]
    assert kinds("--since", "3h", "--until", "1h") == ["1 ReserveNow"]
    assert kinds("--limit", "1") == ["1 StatusNotification"]
    table = berth_here("messages").stdout
    assert '{"status":"Accepted"}' in table


@pytest.mark.usefixtures("talk")
def test_what_the_api_refuses_it_says_itself() -> None:
    run = berth_here("messages", "--since", "9d")
    assert run.returncode == 1
    assert run.stderr == "berth: startTimestamp: must be less than 8 days before endTimestamp\n"


@pytest.mark.parametrize(
    "options", [("--since", "soon"), ("--follow", "--until", "1h"), ("--follow", "--all")]
)
def test_what_cannot_be_meant_is_wrong_use(options: tuple[str, ...]) -> None:
    assert berth_here("messages", *options).returncode == 2


def page(*numbers: int, cursor: str | None = None) -> Answer:
    messages: list[dict[str, Any]] = [
        {
            "id": number,
            "createdAt": "2026-11-23T12:00:00Z",
            "ocppChargerIdentity": "CP-1",
            "messageType": "Heartbeat",
            "messagePayload": {"number": number},
            "messageResponse": None,
            "chargerId": 1,
            "protocol": "ocpp1.6",
        }
        for number in numbers
    ]
    pagination = {"hasNextPage": cursor is not None, "nextPageCursor": cursor}
    return Answer(200, {"data": messages, "pagination": pagination})


ENOUGH = Answer(403, {"error": "this is the end of the test"})


def test_following_shows_each_message_once_oldest_first(
    odd: OddServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.following.EVERY", 0)
    odd.answers = [
        page(7, 6, cursor="older"),
        page(7, 6, 5),
        page(11, 10, 9, cursor="next"),
        page(7, 6, 5, cursor="next"),
        page(11, 10, 9, 8, 7),  # 8 was written by another gateway, and came late
        ENOUGH,
    ]
    run = berth_here(
        "messages", "--follow", "--json", "--limit", "2", "--charger", "1", "--type", "Heartbeat"
    )
    assert [json.loads(line)["id"] for line in run.stdout.splitlines()] == [6, 7, 9, 10, 11, 8]
    assert run.stderr == "berth: this is the end of the test\n"
    assert all("chargerId=1&messageType%5B%5D=Heartbeat" in path for _, path, _ in odd.heard)


def test_following_goes_on_after_an_absence_and_says_so_once(
    odd: OddServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.following.EVERY", 0)
    away = Answer(503, {"error": "the database does not answer"})
    odd.answers = [page(1), away, away, page(2, 1), ENOUGH]
    run = berth_here("messages", "--follow")
    assert run.stdout.splitlines() == [
        '2026-11-23T12:00:00Z  CP-1  Heartbeat  {"number":1}  → no answer',
        '2026-11-23T12:00:00Z  CP-1  Heartbeat  {"number":2}  → no answer',
    ]
    assert run.stderr.splitlines()[0] == "berth: the database does not answer; still trying"
    assert len(run.stderr.splitlines()) == 2


def test_following_ends_when_the_absence_is_long(odd: OddServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.following.EVERY", 0)
    monkeypatch.setattr("cli.following.PATIENCE", 0)
    odd.answers = [page(1), Answer(0)]
    run = berth_here("messages", "--follow")
    assert run.returncode == 3
    assert run.stderr.splitlines()[-1].startswith(f"berth: BERTH_URL: no answer from {odd.url}")
