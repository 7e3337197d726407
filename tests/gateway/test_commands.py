"""Commands to a charger, from the activity down to the socket and back."""

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError, RPCStatusCode

from berth.database import Charger, Database
from tests.gateway.commands import WIRE_EXPIRY, Commands, terms
from tests.gateway.stack import Stack, Temporal, eventually, until
from tests.gateway.station import Station
from workflows.messages import (
    IN_DOUBT,
    NOT_SENT,
    CancelReservationResult,
    CancelStatus,
    PortReservedByOther,
    ReserveNowResult,
    ReserveStatus,
)

EVENT_AT = datetime(2026, 11, 22, 14, 32, 37, tzinfo=UTC)


@pytest.fixture
def commands(stack: Stack, charger: Charger) -> Commands:
    return Commands(stack, charger)


@asynccontextmanager
async def ready(stack: Stack, version: str = "1.6") -> AsyncIterator[Station]:
    """A charger that takes commands."""
    async with stack.station(version) as station:
        await station.boot()
        await stack.session()
        yield station


def failure(raised: pytest.ExceptionInfo[ApplicationError]) -> tuple[str | None, str]:
    """The type of an activity's failure and its cause."""
    error = raised.value
    assert error.non_retryable
    assert error.category is ApplicationErrorCategory.BENIGN
    return error.type, error.details[0].cause


# --- what goes out ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "changes", "payload"),
    [
        (
            "1.6",
            {},
            {"connectorId": 1, "expiryDate": WIRE_EXPIRY, "idTag": "aBc", "reservationId": 7},
        ),
        (
            "1.6",
            {"port_number": None, "parent_id_tag": "Home"},
            {
                "connectorId": 0,
                "expiryDate": WIRE_EXPIRY,
                "idTag": "aBc",
                "reservationId": 7,
                "parentIdTag": "Home",
            },
        ),
        (
            "2.0.1",
            {},
            {
                "id": 7,
                "expiryDateTime": WIRE_EXPIRY,
                "idToken": {"idToken": "aBc", "type": "ISO14443"},
                "evseId": 1,
            },
        ),
        (
            "2.0.1",
            {"port_number": None, "parent_id_tag": "Home"},
            {
                "id": 7,
                "expiryDateTime": WIRE_EXPIRY,
                "idToken": {"idToken": "aBc", "type": "ISO14443"},
                "groupIdToken": {"idToken": "Home", "type": "ISO14443"},
            },
        ),
    ],
)
async def test_reserve_now_says_exactly_what_the_version_has_words_for(
    stack: Stack, commands: Commands, version: str, changes: dict[str, Any], payload: dict[str, Any]
) -> None:
    async with ready(stack, version) as station:
        reserving = asyncio.create_task(commands.reserve(terms=terms(**changes)))
        message_id, asked = await station.asked("ReserveNow")
        assert asked == payload
        await station.answer(message_id, {"status": "Accepted"})
        assert await reserving == ReserveNowResult(status=ReserveStatus.ACCEPTED)


async def test_the_group_stays_at_home_when_the_setting_says_so(
    database: Database, temporal: Temporal, charger: Charger
) -> None:
    async with Stack(database, temporal, group_on_201=False) as stack, ready(stack, "2.0.1") as station:
        reserving = asyncio.create_task(Commands(stack, charger).reserve(terms=terms(parent_id_tag="Home")))
        message_id, asked = await station.asked("ReserveNow")
        assert "groupIdToken" not in asked
        await station.answer(message_id, {"status": "Accepted"})
        await reserving


async def test_a_token_that_16_cannot_spell_is_rejected_without_a_frame(
    stack: Stack, commands: Commands
) -> None:
    async with ready(stack) as station:
        result = await commands.reserve(terms=terms(id_tag="x" * 21))
        assert station.calls.empty()
    assert result == ReserveNowResult(status=ReserveStatus.REJECTED, reason="InvalidRequest", sent=False)


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
@pytest.mark.parametrize("status", ["Accepted", "Rejected"])
async def test_cancel_reservation_returns_the_chargers_status(
    stack: Stack, commands: Commands, version: str, status: str
) -> None:
    async with ready(stack, version) as station:
        cancelling = asyncio.create_task(commands.cancel())
        message_id, asked = await station.asked("CancelReservation")
        assert asked == {"reservationId": 7}
        await station.answer(message_id, {"status": status})
        assert await cancelling == CancelReservationResult(status=CancelStatus(status))


async def test_a_forwarded_cancel_does_not_touch_a_live_reservation(stack: Stack, commands: Commands) -> None:
    async with ready(stack) as station:
        reserving = asyncio.create_task(commands.reserve())
        message_id, _ = await station.asked("ReserveNow")
        await station.answer(message_id, {"status": "Accepted"})
        await reserving
        with pytest.raises(ApplicationError) as raised:
            await commands.cancel(unless_live=True)
        assert failure(raised) == (NOT_SENT, "live")
        assert station.calls.empty()


@pytest.mark.parametrize("status", list(CancelStatus))
async def test_a_forwarded_cancel_clears_a_reservation_that_was_ended_by_force(
    stack: Stack, commands: Commands, temporal: Temporal, status: CancelStatus
) -> None:
    async with ready(stack) as station:
        reserving = asyncio.create_task(commands.reserve())
        await station.answer((await station.asked("ReserveNow"))[0], {"status": "Accepted"})
        await reserving
        temporal.closed.add("reservation-7")
        cancelling = asyncio.create_task(commands.cancel(unless_live=True))
        await station.answer((await station.asked("CancelReservation"))[0], {"status": status.value})
        assert await cancelling == CancelReservationResult(status=status)
        other = asyncio.create_task(commands.reserve(reservation_id=8, workflow_id="reservation-8"))
        await station.answer((await station.asked("ReserveNow"))[0], {"status": "Accepted"})
        assert (await other).status is ReserveStatus.ACCEPTED


async def test_a_forwarded_cancel_waits_for_temporal_to_say_what_lives(
    stack: Stack, commands: Commands, temporal: Temporal
) -> None:
    async with ready(stack) as station:
        reserving = asyncio.create_task(commands.reserve())
        await station.answer((await station.asked("ReserveNow"))[0], {"status": "Accepted"})
        await reserving
        temporal.failure = RPCError("away", RPCStatusCode.UNAVAILABLE, b"")
        with pytest.raises(ApplicationError) as raised:
            await commands.cancel(unless_live=True)
        assert failure(raised) == (NOT_SENT, "not_ready")
        assert station.calls.empty()


# --- what comes back ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", list(ReserveStatus))
async def test_every_status_is_a_result(stack: Stack, commands: Commands, status: ReserveStatus) -> None:
    async with ready(stack, "2.0.1") as station:
        reserving = asyncio.create_task(commands.reserve())
        message_id, _ = await station.asked("ReserveNow")
        info = {"reasonCode": "UnknownEvse", "additionalInfo": "no such EVSE"}
        await station.answer(message_id, {"status": status.value, "statusInfo": info})
        assert await reserving == ReserveNowResult(status=status, reason="UnknownEvse")


async def test_a_call_error_is_a_result(stack: Stack, commands: Commands) -> None:
    async with ready(stack) as station:
        reserving = asyncio.create_task(commands.reserve())
        await station.refuse((await station.asked("ReserveNow"))[0], "PropertyConstraintViolation")
        assert await reserving == ReserveNowResult(error="PropertyConstraintViolation")
        cancelling = asyncio.create_task(commands.cancel())
        await station.refuse((await station.asked("CancelReservation"))[0], "NotImplemented")
        assert await cancelling == CancelReservationResult(error="NotImplemented")


@pytest.mark.parametrize("payload", [{}, {"status": "Maybe"}, {"status": 5}, [], None])
async def test_an_answer_that_says_nothing_is_an_invalid_response(
    stack: Stack, commands: Commands, payload: Any
) -> None:
    async with ready(stack) as station:
        reserving = asyncio.create_task(commands.reserve())
        await station.answer((await station.asked("ReserveNow"))[0], payload)
        assert await reserving == ReserveNowResult(error="InvalidResponse")
        cancelling = asyncio.create_task(commands.cancel())
        await station.answer((await station.asked("CancelReservation"))[0], payload)
        assert await cancelling == CancelReservationResult(error="InvalidResponse")


async def test_a_charger_may_ask_in_the_middle_of_our_call(stack: Stack, commands: Commands) -> None:
    async with ready(stack) as station:
        reserving = asyncio.create_task(commands.reserve())
        message_id, _ = await station.asked("ReserveNow")
        # The SAP simulator answers only after both of these were answered.
        assert (await station.call("Authorize", {"idTag": "ABC"}))["idTagInfo"]["status"] == "Accepted"
        await station.call(
            "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Reserved"}
        )
        await station.answer(message_id, {"status": "Accepted"})
        assert (await reserving).status is ReserveStatus.ACCEPTED


async def test_the_subscription_is_known_before_the_frame_and_accepted_after_the_answer(
    stack: Stack, charger: Charger, commands: Commands
) -> None:
    async with ready(stack) as station:
        reserving = asyncio.create_task(commands.reserve())
        message_id, _ = await station.asked("ReserveNow")
        (subscription,) = await stack.database.subscriptions.of_charger(charger.id)
        assert (subscription.workflow_id, subscription.first_run_id) == ("reservation-7", "run-1")
        assert not subscription.accepted
        await station.answer(message_id, {"status": "Accepted"})
        await reserving
    (subscription,) = await stack.database.subscriptions.of_charger(charger.id)
    assert subscription.accepted


# --- one holder a port --------------------------------------------------------------------------------


async def test_a_port_held_by_another_reservation_is_occupied_without_a_frame(
    stack: Stack, charger: Charger, commands: Commands
) -> None:
    await stack.subscribe(charger.id, reservation_id=6)
    async with ready(stack) as station:
        assert await commands.reserve() == ReserveNowResult(
            status=ReserveStatus.OCCUPIED, reason="ReservedByOther", sent=False
        )
        assert station.calls.empty()


@pytest.mark.parametrize(
    "changes", [{"force": True}, {"terms": terms(port_number=None)}, {"terms": terms(port_number=2)}]
)
async def test_force_another_port_or_no_port_is_asked_of_the_charger(
    stack: Stack, charger: Charger, commands: Commands, changes: dict[str, Any]
) -> None:
    await stack.subscribe(charger.id, reservation_id=6)
    async with ready(stack) as station:
        reserving = asyncio.create_task(commands.reserve(**changes))
        await station.answer((await station.asked("ReserveNow"))[0], {"status": "Accepted"})
        assert (await reserving).sent


async def test_ones_own_reservation_does_not_stand_in_the_way(
    stack: Stack, charger: Charger, commands: Commands
) -> None:
    async with ready(stack) as station:
        for _ in range(2):
            reserving = asyncio.create_task(commands.reserve())
            await station.answer((await station.asked("ReserveNow"))[0], {"status": "Accepted"})
            assert (await reserving).status is ReserveStatus.ACCEPTED


# --- two holders a port -------------------------------------------------------------------------------


async def reserve_at(station: Station, commands: Commands, number: int, **changes: Any) -> ReserveNowResult:
    """Reserve for a workflow of its own; the charger accepts."""
    asking = asyncio.create_task(
        commands.reserve(reservation_id=number, workflow_id=f"reservation-{number}", **changes)
    )
    await station.answer((await station.asked("ReserveNow"))[0], {"status": "Accepted"})
    return await asking


async def holders(stack: Stack, charger: Charger) -> list[int]:
    rows = await stack.database.subscriptions.of_charger(charger.id)
    return [row.reservation_id for row in rows if row.accepted]


async def test_a_charger_that_accepts_a_second_one_for_a_port_has_the_first_told(
    stack: Stack, charger: Charger, commands: Commands, temporal: Temporal
) -> None:
    async with ready(stack) as station:
        epoch = (await stack.session()).epoch
        assert (await reserve_at(station, commands, 1, generation=2)).sent
        await reserve_at(station, commands, 2, terms=terms(port_number=2))
        await reserve_at(station, commands, 3, terms=terms(port_number=None))
        temporal.heard.clear()
        await reserve_at(station, commands, 4, force=True)
        await until(lambda: temporal.heard)
    ((workflow_id, signal, event),) = temporal.heard
    assert (workflow_id, signal) == ("reservation-1", "port_reserved_by_other")
    assert isinstance(event, PortReservedByOther)
    assert (event.port_number, event.generation, event.first_run_id) == (1, 2, "run-1")
    assert event.epoch == epoch
    assert sorted(await holders(stack, charger)) == [2, 3, 4]


async def test_of_two_that_are_asked_together_the_one_accepted_first_is_told(
    stack: Stack, charger: Charger, commands: Commands, temporal: Temporal
) -> None:
    async with ready(stack) as station:
        both = [
            asyncio.create_task(commands.reserve(reservation_id=number, workflow_id=f"reservation-{number}"))
            for number in (1, 2)
        ]
        for _ in both:
            await station.answer((await station.asked("ReserveNow"))[0], {"status": "Accepted"})
        assert {(await one).status for one in both} == {ReserveStatus.ACCEPTED}
        await until(lambda: temporal.said("port_reserved_by_other"))
    (holder,) = await holders(stack, charger)
    assert [workflow for workflow, signal, _ in temporal.heard if signal == "port_reserved_by_other"] == [
        f"reservation-{3 - holder}"
    ]


async def test_one_that_repeats_its_own_question_supersedes_nobody(
    stack: Stack, charger: Charger, commands: Commands
) -> None:
    async with ready(stack) as station:
        for _ in range(2):
            await reserve_at(station, commands, 1)
    assert await holders(stack, charger) == [1]
    assert await stack.database.events.next_of(charger.id) == []


# --- a move that is refused ---------------------------------------------------------------------------


async def test_a_reservation_is_not_given_up_for_a_port_that_another_one_holds(
    stack: Stack, charger: Charger, commands: Commands
) -> None:
    await stack.subscribe(charger.id, reservation_id=6, port_number=2)
    async with ready(stack) as station:
        assert await commands.cancel(moving_to=2) == CancelReservationResult(is_port_held=True)
        assert station.calls.empty()


@pytest.mark.parametrize("changes", [{"accepted": False}, {"port_number": None}, {"port_number": 3}])
async def test_a_reservation_is_given_up_for_a_port_that_is_free(
    stack: Stack, charger: Charger, commands: Commands, changes: dict[str, Any]
) -> None:
    await stack.subscribe(charger.id, **({"reservation_id": 6, "port_number": 2} | changes))
    await stack.subscribe(charger.id, workflow_id="reservation-7", port_number=2)  # its own
    async with ready(stack) as station:
        cancelling = asyncio.create_task(commands.cancel(moving_to=2))
        await station.answer((await station.asked("CancelReservation"))[0], {"status": "Accepted"})
        assert await cancelling == CancelReservationResult(status=CancelStatus.ACCEPTED)


# --- asked again --------------------------------------------------------------------------------------


async def test_a_charger_is_not_asked_again_before_its_run_has_got_what_it_reported(
    stack: Stack, charger: Charger, commands: Commands, temporal: Temporal
) -> None:
    start = {"connectorId": 1, "idTag": "aBc", "meterStart": 0, "timestamp": "2026-11-22T14:32:37Z"}
    async with ready(stack) as station:
        await reserve_at(station, commands, 7)
        temporal.failure = RPCError("away", RPCStatusCode.UNAVAILABLE, b"")
        await station.call("StartTransaction", start)
        with pytest.raises(ApplicationError) as raised:
            await commands.reserve(is_repeat=True)
        assert failure(raised) == (NOT_SENT, "events_waiting")
        assert station.calls.empty()
        temporal.failure = None
        await until(lambda: temporal.signals("reservation-7"))

        async def delivered() -> bool:
            return not await stack.database.events.is_waiting_for(charger.id, "reservation-7")

        await eventually(delivered)
        again = asyncio.create_task(commands.reserve(is_repeat=True))
        await station.answer((await station.asked("ReserveNow"))[0], {"status": "Accepted"})
        assert (await again).sent


async def test_events_of_others_and_a_first_question_do_not_wait(
    stack: Stack, charger: Charger, commands: Commands
) -> None:
    await stack.database.events.store(charger.id, "reservation-8", "port_status", "{}")
    await stack.database.events.store(charger.id + 1, "reservation-7", "port_status", "{}")
    async with ready(stack) as station:
        for is_repeat in (True, False):
            asking = asyncio.create_task(commands.reserve(is_repeat=is_repeat))
            await station.answer((await station.asked("ReserveNow"))[0], {"status": "Accepted"})
            assert (await asking).sent


# --- not sent -----------------------------------------------------------------------------------------


async def test_a_charger_that_is_not_here_gets_nothing(commands: Commands) -> None:
    with pytest.raises(ApplicationError) as raised:
        await commands.reserve()
    assert failure(raised) == (NOT_SENT, "not_connected")
    with pytest.raises(ApplicationError) as raised:
        await commands.cancel()
    assert failure(raised) == (NOT_SENT, "not_connected")


async def test_a_charger_that_has_not_booted_gets_nothing(stack: Stack, commands: Commands) -> None:
    async with stack.station():
        await until(lambda: len(stack.registry))
        with pytest.raises(ApplicationError) as raised:
            await commands.reserve()
    assert failure(raised) == (NOT_SENT, "not_ready")


async def test_a_route_of_an_earlier_socket_is_the_wrong_one(stack: Stack, commands: Commands) -> None:
    async with ready(stack) as station:
        epoch = (await stack.session()).epoch
        with pytest.raises(ApplicationError) as raised:
            await commands.reserve(epoch=epoch - 1)
        assert station.calls.empty()
    assert failure(raised) == (NOT_SENT, "wrong_gateway")


async def test_a_socket_that_another_gateway_took_over_writes_nothing_more(
    stack: Stack, charger: Charger, commands: Commands
) -> None:
    async with ready(stack) as station:
        await stack.database.links.take(charger.id, "another", "ocpp1.6")
        with pytest.raises(ApplicationError) as raised:
            await commands.reserve()
        assert await station.closed() == (1000, "replaced by a newer connection")
        assert station.calls.empty()
    assert failure(raised) == (NOT_SENT, "wrong_gateway")


async def test_a_frame_that_cannot_go_out_in_time_is_dropped(stack: Stack, commands: Commands) -> None:
    async with ready(stack) as station:
        first = asyncio.create_task(commands.reserve())
        message_id, _ = await station.asked("ReserveNow")
        with pytest.raises(ApplicationError) as raised:
            await commands.cancel(write_within=timedelta(milliseconds=50))
        assert failure(raised) == (NOT_SENT, "too_late")
        await station.answer(message_id, {"status": "Accepted"})
        await first
        await station.call("Heartbeat")
        assert station.calls.empty()


async def test_a_call_that_waits_for_its_turn_when_the_socket_dies_was_not_sent(
    stack: Stack, commands: Commands
) -> None:
    async with ready(stack) as station:
        first = asyncio.create_task(commands.reserve())
        await station.asked("ReserveNow")
        second = asyncio.create_task(commands.cancel())
        await asyncio.sleep(0)
        station.socket.transport.abort()
        with pytest.raises(ApplicationError) as raised:
            await second
        assert failure(raised) == (NOT_SENT, "socket_closed")
        with pytest.raises(ApplicationError) as raised:
            await first
        assert failure(raised) == (IN_DOUBT, "socket_closed")


async def test_without_its_database_nothing_is_sent(stack: Stack, commands: Commands) -> None:
    async with ready(stack) as station:
        await stack.database.close()
        with pytest.raises(ApplicationError) as raised:
            await commands.reserve()
        assert failure(raised) == (NOT_SENT, "not_ready")
        for changes in ({}, {"moving_to": 2}, {"unless_live": True}):
            with pytest.raises(ApplicationError) as raised:
                await commands.cancel(**changes)
            assert failure(raised) == (NOT_SENT, "not_ready")
        with pytest.raises(ApplicationError) as raised:
            await commands.reserve(is_repeat=True)
        assert failure(raised) == (NOT_SENT, "not_ready")
        assert station.calls.empty()


async def hangs(*_: object, **__: object) -> None:
    """A database that does not answer."""
    await asyncio.get_running_loop().create_future()


async def test_a_database_that_hangs_leaves_the_frame_unsent_while_somebody_waits_for_that(
    stack: Stack, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = timedelta(milliseconds=50)
    async with ready(stack) as station:
        for name in ("claim", "is_held", "of_charger"):
            monkeypatch.setattr(stack.database.subscriptions, name, hangs)
        monkeypatch.setattr(stack.database.events, "is_waiting_for", hangs)
        for asking in (
            commands.reserve(write_within=soon),
            commands.reserve(write_within=soon, is_repeat=True),
            commands.cancel(write_within=soon, moving_to=2),
            commands.cancel(write_within=soon, unless_live=True),
        ):
            with pytest.raises(ApplicationError) as raised:
                await asking
            assert failure(raised) == (NOT_SENT, "not_ready")
        assert station.calls.empty()


async def test_a_database_that_hangs_after_the_answer_does_not_keep_it(
    stack: Stack, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.charger_commands._KEEP_WITHIN", 0.05)
    monkeypatch.setattr(stack.database.subscriptions, "mark_accepted", hangs)
    async with ready(stack) as station:
        result = await reserve_at(station, commands, 7)
    assert result == ReserveNowResult(status=ReserveStatus.ACCEPTED, is_event_lost=True)


# --- in doubt -----------------------------------------------------------------------------------------


async def test_silence_is_in_doubt_and_a_late_answer_is_noted(stack: Stack, commands: Commands) -> None:
    async with ready(stack) as station:
        reserving = asyncio.create_task(commands.reserve(call_timeout=timedelta(milliseconds=100)))
        message_id, _ = await station.asked("ReserveNow")
        with pytest.raises(ApplicationError) as raised:
            await reserving
        assert failure(raised) == (IN_DOUBT, "timeout")
        assert raised.value.details[0].after >= timedelta(milliseconds=100)
        with structlog.testing.capture_logs() as logs:
            await station.answer(message_id, {"status": "Accepted"})
            await station.call("Heartbeat")
        (late,) = [line for line in logs if line["event"] == "late_answer"]
        assert (late["action"], late["status"]) == ("ReserveNow", "Accepted")


async def test_a_socket_that_dies_after_the_frame_leaves_doubt(stack: Stack, commands: Commands) -> None:
    async with ready(stack) as station:
        cancelling = asyncio.create_task(commands.cancel())
        await station.asked("CancelReservation")
        station.socket.transport.abort()
        with pytest.raises(ApplicationError) as raised:
            await cancelling
    assert failure(raised) == (IN_DOUBT, "socket_closed")
    assert raised.value.details[0].after < timedelta(seconds=5)


async def test_three_silent_calls_in_a_row_close_the_socket(stack: Stack, commands: Commands) -> None:
    async with ready(stack) as station:
        for _ in range(3):
            with pytest.raises(ApplicationError):
                await commands.cancel(call_timeout=timedelta(milliseconds=20))
        code, reason = await station.closed()
    assert (code, reason) == (1011, "three calls in a row were not answered")


async def test_a_slow_charger_is_not_a_silent_one(stack: Stack, commands: Commands) -> None:
    async with ready(stack) as station:
        for _ in range(4):
            with pytest.raises(ApplicationError):
                await commands.cancel(call_timeout=timedelta(milliseconds=20))
            await station.answer((await station.asked("CancelReservation"))[0], {"status": "Accepted"})
            await station.call("Heartbeat")


async def test_calls_go_out_one_at_a_time(stack: Stack, commands: Commands) -> None:
    async with ready(stack) as station:
        calls = [asyncio.create_task(commands.cancel()) for _ in range(3)]
        for _ in calls:
            message_id, _ = await station.asked("CancelReservation")
            await station.call("Heartbeat")
            assert station.calls.empty()
            await station.answer(message_id, {"status": "Rejected"})
        assert {(await call).status for call in calls} == {CancelStatus.REJECTED}


async def test_temporal_hears_of_a_waiting_command(
    stack: Stack, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.charger_commands._HEARTBEAT_EVERY", 0.01)
    async with ready(stack) as station:
        cancelling = asyncio.create_task(commands.cancel())
        message_id, _ = await station.asked("CancelReservation")
        await until(lambda: commands.heartbeats >= 2)
        await station.answer(message_id, {"status": "Accepted"})
        await cancelling


# --- who holds the socket -----------------------------------------------------------------------------


async def test_the_newest_connection_wins(stack: Stack, charger: Charger, commands: Commands) -> None:
    async with ready(stack) as older:
        doubted = asyncio.create_task(commands.cancel())
        await older.asked("CancelReservation")
        first = await stack.session()
        async with stack.station() as newer:
            assert await older.closed() == (1000, "replaced by a newer connection")
            with pytest.raises(ApplicationError) as raised:
                await doubted
            assert failure(raised) == (IN_DOUBT, "socket_closed")
            await newer.boot()
            second = await stack.session()
            assert second.epoch > first.epoch
            # The end of the older socket must not take the newer one's route away.
            await newer.call("Heartbeat")
            link = await stack.database.links.route(charger.id)
            assert link is not None
            assert link.epoch == second.epoch


async def test_a_charger_that_left_has_no_route(stack: Stack, charger: Charger) -> None:
    async with ready(stack):
        assert await stack.database.links.route(charger.id) is not None

    async def gone() -> bool:
        return await stack.database.links.route(charger.id) is None and not len(stack.registry)

    await eventually(gone)


async def test_a_charger_that_left_leaves_nothing_in_memory(stack: Stack) -> None:
    gc.disable()  # thousands that leave at once would be one long collection
    try:
        async with ready(stack):
            session = weakref.ref(await stack.session())
        await until(lambda: session() is None)
    finally:
        gc.enable()


@pytest.mark.parametrize("speaks", [False, True])
async def test_a_charger_that_boots_no_more_is_ready_after_a_while(
    database: Database, temporal: Temporal, charger: Charger, speaks: bool
) -> None:
    if not speaks:  # known to have booted before
        await database.chargers.set_identity_facts(charger.id, manufacturer="V", model="M")
    async with Stack(database, temporal, boot_wait=0.05) as stack, stack.station() as station:
        if speaks:  # as an accepted charger does
            await station.call("Heartbeat")
        await stack.session()


async def test_a_charger_that_never_booted_and_says_nothing_is_not_ready(
    database: Database, temporal: Temporal, charger: Charger
) -> None:
    async with Stack(database, temporal, boot_wait=0.05) as stack, stack.station() as station:
        await until(lambda: len(stack.registry))
        session = stack.registry.of(charger.id)
        assert session is not None
        await until(lambda: session._is_boot_wait_over)
        assert not session.is_ready
        await station.boot()
        await stack.session()


async def test_commands_log_the_outcome_and_never_the_token(stack: Stack, commands: Commands) -> None:
    with structlog.testing.capture_logs() as logs:
        async with ready(stack) as station:
            reserving = asyncio.create_task(commands.reserve(terms=terms(id_tag="SECRET-TAG")))
            await station.answer((await station.asked("ReserveNow"))[0], {"status": "Accepted"})
            await reserving
    assert "reserve_now_answered" in [line["event"] for line in logs]
    assert "SECRET-TAG" not in str(logs)


async def test_the_webhook_event_of_an_accepted_reservation_has_the_workflows_id_and_time_and_is_stored_once(
    stack: Stack, commands: Commands
) -> None:
    _, key = await stack.database.keys.create("app", ["read"])
    webhook = await stack.database.webhooks.add(key.id, "https://app.example/", "whsec_1")
    async with stack.station() as station:
        await station.boot()
        await stack.session()
        for event_id in ("e-1", "e-1", ""):  # it is asked again after a doubt, and while it is active
            asking = asyncio.create_task(
                commands.reserve(event_id=event_id, event_at=EVENT_AT, site_id="north")
            )
            message_id, _ = await station.asked("ReserveNow")
            await station.answer(message_id, {"status": "Accepted"})
            assert await asking == ReserveNowResult(status=ReserveStatus.ACCEPTED)
    deliveries = await stack.database.deliveries.of_webhook(webhook.id, state=None, limit=10)
    (active,) = [one for one in deliveries if one.event_type == "reservation.active"]
    assert active.event_id == "e-1"
    body = json.loads(active.body_json)
    assert body["data"]["siteId"] == "north"
    assert body["createdAt"] == "2026-11-22T14:32:37Z", "the gateway's clock may be ahead"
    assert "aBc" not in active.body_json, "the token"


async def test_a_failing_database_leaves_the_webhook_event_to_the_workflow(
    stack: Stack, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> bool:
        raise OSError("disk full")

    monkeypatch.setattr(stack.database.subscriptions, "mark_accepted", fails)
    async with stack.station() as station:
        await station.boot()
        await stack.session()
        asking = asyncio.create_task(commands.reserve(event_id="e-1", event_at=EVENT_AT))
        message_id, _ = await station.asked("ReserveNow")
        await station.answer(message_id, {"status": "Accepted"})
        assert await asking == ReserveNowResult(status=ReserveStatus.ACCEPTED, is_event_lost=True)
