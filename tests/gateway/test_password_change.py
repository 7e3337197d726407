"""A charger gets a new password over its socket: what it is sent, and what opens from then on."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs
from temporalio.exceptions import ApplicationError
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from berth.database import Charger, Database
from tests.gateway.commands import Commands
from tests.gateway.stack import Stack, Temporal
from tests.gateway.station import Payload, Station, basic
from workflows.messages import ChangePasswordResult, InDoubtDetail, PasswordStatus

OLD = b"the-password-of-before"
VERSIONS = pytest.mark.parametrize("version", ["1.6", "2.0.1"])


class Change:
    """One charger with its old password, and a change of it that waits for the charger's answer."""

    def __init__(self, stack: Stack, version: str, station: Station, asked: asyncio.Task[Any]) -> None:
        self._stack = stack
        self._version = version
        self.station = station
        self.asked = asked
        self.message_id: Any = None
        self.password = b""
        self.spelled = ""  # as it went over the wire

    @classmethod
    async def begin(
        cls, stack: Stack, charger: Charger, version: str, station: Station, **ways: Any
    ) -> "Change":
        await station.boot()
        await stack.session()
        asked = asyncio.create_task(Commands(stack, charger).change_password(**ways))
        change = cls(stack, version, station, asked)
        if version == "1.6":
            change.message_id, payload = await station.asked("ChangeConfiguration")
            assert payload["key"] == "AuthorizationKey"
            change.spelled = payload["value"]
            change.password = bytes.fromhex(change.spelled)
        else:
            change.message_id, payload = await station.asked("SetVariables")
            (wanted,) = payload["setVariableData"]
            change.spelled = wanted.pop("attributeValue")
            change.password = change.spelled.encode()
            assert wanted == {
                "component": {"name": "SecurityCtrlr"},
                "variable": {"name": "BasicAuthPassword"},
                "attributeType": "Actual",
            }
        return change

    async def answer(self, status: str, **more: Any) -> ChangePasswordResult:
        await self.station.answer(self.message_id, answer_of(self._version, status, **more))
        result: ChangePasswordResult = await self.asked
        return result

    async def opens(self, password: bytes | None) -> bool:
        return await opens(self._stack, self._version, password)


def answer_of(version: str, status: str, **more: Any) -> Payload:
    if version == "1.6":
        return {"status": status}
    result = {
        "component": {"name": "SecurityCtrlr"},
        "variable": {"name": "BasicAuthPassword"},
        "attributeStatus": status,
        **more,
    }
    return {"setVariableResult": [result]}


async def opens(stack: Stack, version: str, password: bytes | None) -> bool:
    headers = None if password is None else basic("CP-1", password)
    offer = [Subprotocol(f"ocpp{version}")]
    try:
        async with connect(stack.url(), subprotocols=offer, additional_headers=headers):
            return True
    except InvalidStatus as refusal:
        if refusal.response.status_code == 401:
            return False
        raise


@pytest.fixture
async def charger(database: Database, charger: Charger) -> Charger:
    """It has a password."""
    await database.chargers.update(charger.id, password=OLD.decode())
    return charger


@VERSIONS
async def test_accepted_the_old_one_opens_until_the_new_one_was_used(
    stack: Stack, charger: Charger, version: str
) -> None:
    async with Station(stack.url(), f"ocpp{version}", basic("CP-1", OLD)) as station:
        change = await Change.begin(stack, charger, version, station)
        assert len(change.password) == 20
        assert await change.answer("Accepted") == ChangePasswordResult(status=PasswordStatus.ACCEPTED)
    assert await change.opens(OLD), "it may not use the new one yet"
    assert not await change.opens(b"another")
    with capture_logs() as logs:
        assert await change.opens(change.password)
    assert "new_password_used" in [entry["event"] for entry in logs]
    assert not await change.opens(OLD)
    assert await change.opens(change.password.hex().encode()), "some chargers send the text"
    assert await change.opens(change.password)


@VERSIONS
async def test_after_the_next_restart_is_accepted_too(stack: Stack, charger: Charger, version: str) -> None:
    async with Station(stack.url(), f"ocpp{version}", basic("CP-1", OLD)) as station:
        change = await Change.begin(stack, charger, version, station)
        result = await change.answer("RebootRequired")
    assert result.status is PasswordStatus.REBOOT_REQUIRED
    assert await change.opens(OLD)
    assert await change.opens(change.password)
    assert not await change.opens(OLD)


@pytest.mark.parametrize(
    ("version", "status", "more", "reason"),
    [
        ("1.6", "Rejected", {}, "Rejected"),
        ("1.6", "NotSupported", {}, "NotSupported"),
        ("2.0.1", "UnknownVariable", {}, "UnknownVariable"),
        ("2.0.1", "Rejected", {"attributeStatusInfo": {"reasonCode": "WeakPwd"}}, "WeakPwd"),
    ],
)
async def test_refused_the_new_one_opens_nothing(
    stack: Stack, charger: Charger, version: str, status: str, more: Payload, reason: str
) -> None:
    async with Station(stack.url(), f"ocpp{version}", basic("CP-1", OLD)) as station:
        change = await Change.begin(stack, charger, version, station)
        result = await change.answer(status, **more)
    assert result == ChangePasswordResult(status=PasswordStatus.REJECTED, reason=reason)
    assert not await change.opens(change.password)
    assert await change.opens(OLD)


async def test_a_call_error_is_a_refusal(stack: Stack, charger: Charger) -> None:
    async with Station(stack.url(), "ocpp1.6", basic("CP-1", OLD)) as station:
        change = await Change.begin(stack, charger, "1.6", station)
        await station.refuse(change.message_id, "NotImplemented")
        result = await change.asked
    assert result == ChangePasswordResult(status=PasswordStatus.REJECTED, reason="OcppError:NotImplemented")
    assert not await change.opens(change.password)


@VERSIONS
@pytest.mark.parametrize("has_it", [True, False])
async def test_in_doubt_both_open_until_the_new_one_was_used(
    stack: Stack, charger: Charger, version: str, has_it: bool
) -> None:
    async with Station(stack.url(), f"ocpp{version}", basic("CP-1", OLD)) as station:
        change = await Change.begin(stack, charger, version, station)
    with pytest.raises(ApplicationError) as failure:
        await change.asked
    assert isinstance(failure.value.details[0], InDoubtDetail)
    assert await change.opens(OLD)
    if has_it:
        assert await change.opens(change.password)
        assert not await change.opens(OLD)
    else:
        assert await change.opens(OLD), "for as long as it has no other"


async def test_an_answer_that_says_nothing_leaves_it_in_doubt(stack: Stack, charger: Charger) -> None:
    async with Station(stack.url(), "ocpp2.0.1", basic("CP-1", OLD)) as station:
        change = await Change.begin(stack, charger, "2.0.1", station)
        await station.answer(change.message_id, {"setVariableResult": []})
        assert await change.asked == ChangePasswordResult(reason="InvalidResponse")
    assert await change.opens(change.password)


async def test_a_second_change_in_doubt_does_not_shut_out_who_took_the_first(
    stack: Stack, charger: Charger
) -> None:
    async with Station(stack.url(), "ocpp1.6", basic("CP-1", OLD)) as station:
        first = await Change.begin(stack, charger, "1.6", station)
        await first.answer("Accepted")
        second = await Change.begin(stack, charger, "1.6", station)
    with pytest.raises(ApplicationError):
        await second.asked
    assert await first.opens(first.password)
    assert not await first.opens(OLD)
    assert await first.opens(second.password)
    assert not await first.opens(first.password)


async def test_a_frame_that_did_not_go_out_leaves_nothing_behind(
    stack: Stack, charger: Charger, database: Database
) -> None:
    with pytest.raises(ApplicationError):
        await Commands(stack, charger).change_password()
    found = await database.chargers.by_id(charger.id)
    assert found is not None
    assert not found.has_newer_password


async def test_a_charger_without_a_password_gets_its_first_one(
    database: Database, temporal: Temporal, charger: Charger
) -> None:
    await database.chargers.update(charger.id, password=None)
    async with Stack(database, temporal) as stack:
        async with stack.station() as station:
            change = await Change.begin(stack, charger, "1.6", station)
            await change.answer("Accepted")
        assert await change.opens(None), "it may come as it came before"
        assert await change.opens(b"of another back end")
        assert await change.opens(change.password)
        assert not await change.opens(None)
        assert not await change.opens(b"of another back end")


@VERSIONS
async def test_the_new_password_stands_in_no_log(
    stack: Stack, charger: Charger, database: Database, version: str
) -> None:
    with capture_logs() as logs:
        async with Station(stack.url(), f"ocpp{version}", basic("CP-1", OLD)) as station:
            change = await Change.begin(stack, charger, version, station)
            text = change.password.decode()
            # Some repeat what they do not like.
            await station.socket.send(f'[4,"{change.message_id}","GenericError","no: {change.spelled}",{{}}]')
            await change.asked
        assert not await change.opens(change.password)
        await stack.messages.flush()
    rows = await database.messages.query(charger_id=charger.id)
    (row,) = [row for row in rows if row.message_type in ("ChangeConfiguration", "SetVariables")]
    assert '"***"' in row.payload_json
    assert "no: ***" in (row.response_json or "")
    for secret in (text, change.spelled):
        assert secret not in str(rows)
        assert secret not in str(logs)
    events = [entry["event"] for entry in logs]
    assert "change_password_answered" in events
