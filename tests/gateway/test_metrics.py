"""What a gateway counts, and that nobody outside chooses its labels."""

import asyncio
import math
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY
from temporalio.exceptions import ApplicationError
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from berth.database import Charger, Database, NewCharger
from gateway.call_log import MessageLog
from gateway.load import report_backlog
from tests.gateway.commands import Commands
from tests.gateway.stack import Stack, Temporal, until
from tests.gateway.station import basic
from tests.gateway.test_message_log import Table, exchange
from tests.scraped import Moves

TO, FROM = "berth_calls_to_chargers_total", "berth_calls_from_chargers_total"
DURATION = "berth_call_to_charger_duration_seconds"
REJECTED = "berth_handshakes_rejected_total"


@pytest.fixture
def moved() -> Moves:
    return Moves()


async def test_an_answered_call_is_counted_and_timed(stack: Stack, charger: Charger, moved: Moves) -> None:
    async with stack.station() as station:
        await station.boot()
        await stack.session()
        reserving = asyncio.create_task(Commands(stack, charger).reserve())
        message_id, _ = await station.asked("ReserveNow")
        await station.answer(message_id, {"status": "Occupied"})
        await reserving
    assert moved(TO, action="ReserveNow", outcome="answered") == 1
    assert moved(f"{DURATION}_count", action="ReserveNow") == 1
    assert 0 < moved(f"{DURATION}_sum", action="ReserveNow") < 10


async def test_a_call_error_is_an_outcome_of_its_own(stack: Stack, charger: Charger, moved: Moves) -> None:
    async with stack.station() as station:
        await station.boot()
        await stack.session()
        reserving = asyncio.create_task(Commands(stack, charger).reserve())
        message_id, _ = await station.asked("ReserveNow")
        await station.socket.send(f'[4,"{message_id}","NotSupported","",{{}}]')
        await reserving
    assert moved(TO, action="ReserveNow", outcome="call_error") == 1


async def test_silence_is_counted_and_not_timed(stack: Stack, charger: Charger, moved: Moves) -> None:
    async with stack.station() as station:
        await station.boot()
        await stack.session()
        with pytest.raises(ApplicationError):
            await Commands(stack, charger).cancel(call_timeout=timedelta(milliseconds=20))
    assert moved(TO, action="CancelReservation", outcome="timeout") == 1
    assert moved(f"{DURATION}_count", action="CancelReservation") == 0


async def test_a_socket_that_dies_under_a_call_is_counted(
    stack: Stack, charger: Charger, moved: Moves
) -> None:
    async with stack.station() as station:
        await station.boot()
        await stack.session()
        cancelling = asyncio.create_task(Commands(stack, charger).cancel())
        await station.asked("CancelReservation")
        await station.socket.close()
        with pytest.raises(ApplicationError):
            await cancelling
    assert moved(TO, action="CancelReservation", outcome="socket_closed") == 1


async def test_what_cannot_be_written_in_time_is_not_sent(
    stack: Stack, charger: Charger, moved: Moves
) -> None:
    async with stack.station() as station:
        await station.boot()
        await stack.session()
        commands = Commands(stack, charger)
        first = asyncio.create_task(commands.cancel())
        message_id, _ = await station.asked("CancelReservation")
        with pytest.raises(ApplicationError):
            await commands.cancel(write_within=timedelta(milliseconds=20))
        await station.answer(message_id, {"status": "Accepted"})
        await first
    assert moved(TO, action="CancelReservation", outcome="not_sent") == 1
    assert moved(TO, action="CancelReservation", outcome="answered") == 1


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_charger_that_makes_up_actions_makes_no_series(
    stack: Stack, moved: Moves, version: str
) -> None:
    async with stack.station(version) as station:
        await station.boot()
        await station.call("Heartbeat")
        for number in range(60):
            await station.ask(f"Sing{number}", {})
    await until(lambda: len(stack.registry) == 0)
    assert moved(FROM, action="Heartbeat", outcome="answered") == 1
    assert moved(FROM, action="other", outcome="NotImplemented") == 60
    labels = {dict(series)["action"] for series in moved.new_series(FROM)}
    assert labels <= {"BootNotification", "Heartbeat", "other"}


async def refused(stack: Stack, identity: str, version: str = "ocpp1.6", password: bytes = b"") -> None:
    headers = basic(identity, password) if password else None
    with pytest.raises(InvalidStatus):
        await connect(stack.url(identity), subprotocols=[Subprotocol(version)], additional_headers=headers)


async def test_each_reason_to_refuse_a_handshake_has_its_count(
    database: Database, temporal: Temporal, moved: Moves
) -> None:
    await database.chargers.add(NewCharger("OPEN"))
    await database.chargers.add(NewCharger("SHUT", password="0123456789abcdef0123"))
    async with Stack(database, temporal, unknown_chargers="refuse", open_chargers=False) as stack:
        await refused(stack, "NOBODY")
        await refused(stack, "x" * 49)
        await refused(stack, "OPEN")
        await refused(stack, "SHUT", password=b"wrong")
        await refused(stack, "SHUT", version="ocpp1.5")
        stack.server.refuse_new()
        await refused(stack, "SHUT")
    for reason in (
        "unknown_charger",
        "no_identity",
        "password_missing",
        "password_wrong",
        "no_common_version",
        "draining",
    ):
        assert moved(REJECTED, reason=reason) == 1, reason
    assert moved.new_series(REJECTED) == set()


async def test_what_the_message_log_drops_is_counted(moved: Moves) -> None:
    log = MessageLog(Table().write, capacity=3)
    for _ in range(5):
        log.add(exchange())
    assert moved("berth_messages_dropped_total") == 2


async def test_events_that_nobody_has_heard_are_told(database: Database, charger: Charger) -> None:
    for _ in range(3):
        await database.events.store(charger.id, "reservation-1-7", "charger_booted", "{}")

    def told(name: str) -> float | None:
        return REGISTRY.get_sample_value(name)

    telling = asyncio.create_task(report_backlog(database, every=0.01))
    await until(lambda: told("berth_events_undelivered") == 3)
    await until(lambda: (told("berth_events_oldest_age_seconds") or 0) > 0)
    events = await database.events.next_of(charger.id)
    await database.events.delivered([event.id for event in events])
    await until(lambda: told("berth_events_undelivered") == 0)
    await database.close()
    await until(lambda: math.isnan(told("berth_events_undelivered") or 0))
    telling.cancel()
