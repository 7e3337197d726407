"""What chargers report reaches the workflows that listen: all of it and in order, at no cost to chargers."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.api.common.v1 import GrpcStatus
from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.service import RPCError, RPCStatusCode

from berth.database import Charger, Database, NewEvent, Token
from berth.database.tables import links, live_reservations
from gateway import event_dispatcher as delivery
from tests.database.time_passes import age
from tests.gateway.stack import QUEUE, Stack, Temporal, eventually, until
from tests.gateway.station import Payload, Station
from workflows.messages import (
    ChargerBooted,
    ChargerConnected,
    PortStatusChanged,
    ReservationEnded,
    TransactionEnded,
    TransactionStarted,
)

TIME = "2026-11-22T14:32:37Z"


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_FIRST_RETRY", 0.02)
    monkeypatch.setattr(delivery, "_ORPHANS_EVERY", 0.02)


def status(port_number: int, word: str) -> Payload:
    return {"connectorId": port_number, "errorCode": "NoError", "status": word}


def start(**changes: Any) -> Payload:
    return {"connectorId": 1, "idTag": "ABC", "meterStart": 0, "timestamp": TIME} | changes


def transaction_event(event_type: str, **changes: Any) -> Payload:
    payload: Payload = {
        "eventType": event_type,
        "timestamp": TIME,
        "triggerReason": "Authorized",
        "seqNo": 0,
        "transactionInfo": {"transactionId": "T1"},
        "evse": {"id": 1, "connectorId": 1},
        "idToken": {"idToken": "abc", "type": "ISO14443"},
    }
    return {key: value for key, value in (payload | changes).items() if value is not None}


async def undelivered(database: Database, charger: Charger) -> list[str]:
    return [event.kind for event in await database.events.next_of(charger.id)]


async def test_the_first_word_is_that_the_charger_is_there(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    row = await stack.subscribe(charger.id)
    async with stack.station() as station:
        await station.boot()
        session = await stack.session()
        await until(lambda: len(temporal.heard) == 2)
    assert temporal.signals(row.workflow_id) == ["charger_booted", "charger_connected"]
    booted, connected = (event for _, _, event in temporal.heard)
    assert isinstance(booted, ChargerBooted)
    assert isinstance(connected, ChargerConnected)
    assert (connected.route.queue, connected.route.epoch) == (QUEUE, session.epoch)
    assert 0 < booted.event_id < connected.event_id
    assert {booted.first_run_id, connected.first_run_id} == {"run-1"}


async def test_a_boot_on_a_ready_socket_is_told_again_but_not_the_connection(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    row = await stack.subscribe(charger.id)
    async with stack.station() as station:
        await station.boot()
        await stack.session()
        await station.boot()
        await until(lambda: len(temporal.heard) == 3)
    assert sorted(temporal.signals(row.workflow_id)) == [
        "charger_booted",
        "charger_booted",
        "charger_connected",
    ]


async def test_a_port_status_is_told_when_it_changes_to_unreserved_and_to_whom_it_concerns(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    mine = await stack.subscribe(charger.id, reservation_id=1, port_number=1)
    other = await stack.subscribe(charger.id, reservation_id=2, port_number=2)
    whole = await stack.subscribe(charger.id, reservation_id=3, port_number=None)
    async with stack.station() as station:
        for word in ("Available", "Available", "Reserved", "Available"):
            await station.call("StatusNotification", status(1, word))
        await until(lambda: len(temporal.heard) == 4)
        await station.call("StatusNotification", status(0, "Faulted"))
        await until(lambda: len(temporal.heard) == 7)
    assert temporal.signals(mine.workflow_id) == ["port_status"] * 3
    assert temporal.signals(whole.workflow_id) == ["port_status"] * 3
    assert temporal.signals(other.workflow_id) == ["port_status"]
    told = [event for heard_by, _, event in temporal.heard if heard_by == mine.workflow_id]
    changes = [event for event in told if isinstance(event, PortStatusChanged)]
    assert [(event.port_number, event.before, event.status) for event in changes] == [
        (1, None, "Available"),
        (1, "Reserved", "Available"),
        (0, None, "Faulted"),
    ]


STATUS_201 = {"timestamp": TIME, "connectorStatus": "Available", "evseId": 1, "connectorId": 1}


def report(version: str, word: str) -> tuple[str, Payload]:
    """A status of port 1 in the words of a version, or of a NotifyEvent."""
    if version == "1.6":
        return "StatusNotification", status(1, word)
    if version == "2.0.1":
        return "StatusNotification", STATUS_201 | {"connectorStatus": word}
    data = {
        "eventId": 1,
        "timestamp": TIME,
        "trigger": "Delta",
        "actualValue": word,
        "eventNotificationType": "HardWiredNotification",
        "component": {"name": "Connector", "evse": {"id": 1, "connectorId": 1}},
        "variable": {"name": "AvailabilityState"},
    }
    return "NotifyEvent", {"generatedAt": TIME, "seqNo": 0, "eventData": [data]}


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "NotifyEvent"])
async def test_the_first_status_of_a_socket_and_after_a_boot_is_told_also_when_nothing_changed(
    stack: Stack, charger: Charger, temporal: Temporal, version: str
) -> None:
    subprotocol = "1.6" if version == "1.6" else "2.0.1"
    async with stack.station(subprotocol) as station:
        await station.call(*report(version, "Reserved"))
    row = await stack.subscribe(charger.id)
    async with stack.station(subprotocol) as station:
        for _ in range(2):
            await station.call(*report(version, "Reserved"))
        await station.boot()
        for _ in range(2):
            await station.call(*report(version, "Reserved"))
        await station.call(*report(version, "Available"))
        await station.call(*report(version, "Reserved"))
        await station.call(*report(version, "Faulted"))
        await until(lambda: temporal.said("port_status")[-1:][0].status == "Faulted")
    # ChargerConnected comes some time after the boot.
    assert [signal for signal in temporal.signals(row.workflow_id) if signal != "charger_connected"] == [
        "port_status",
        "charger_booted",
        "port_status",
        "port_status",
        "port_status",
    ]
    assert [(event.before, event.status) for event in temporal.said("port_status")] == [
        ("Reserved", "Reserved"),
        ("Reserved", "Reserved"),
        ("Reserved", "Available"),
        ("Reserved", "Faulted"),
    ]


async def test_the_first_status_of_a_201_port_is_that_of_all_its_connectors(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    async with stack.station("2.0.1") as station:
        await station.call("StatusNotification", STATUS_201 | {"connectorStatus": "Reserved"})
        await station.call("StatusNotification", STATUS_201 | {"connectorId": 2})
        await stack.subscribe(charger.id)
        await station.boot()
        await station.call("StatusNotification", STATUS_201 | {"connectorId": 2})
        await until(lambda: temporal.said("port_status"))
    (event,) = temporal.said("port_status")
    assert (event.before, event.status) == ("Reserved", "Reserved")


async def test_a_first_status_that_could_not_be_told_is_told_when_it_is_repeated(
    stack: Stack, charger: Charger, temporal: Temporal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stack.station() as station:
        await station.call("StatusNotification", status(1, "Reserved"))
    await stack.subscribe(charger.id)

    async def fail(*_: object) -> None:
        raise OSError("the database is busy")

    async with stack.station() as station:
        with monkeypatch.context() as patch:
            patch.setattr(stack.database.subscriptions, "of_charger", fail)
            assert (await station.ask("StatusNotification", status(1, "Reserved")))[2] == "InternalError"
        await station.call("StatusNotification", status(1, "Reserved"))
        await until(lambda: temporal.heard)
    assert [event.status for event in temporal.said("port_status")] == ["Reserved"]


async def test_without_a_subscriber_a_status_that_is_known_costs_one_look_up(
    stack: Stack, charger: Charger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stack.station() as station:
        await station.call("StatusNotification", status(1, "Available"))
    async with stack.station() as station:
        await station.call("Heartbeat")
        with watched(stack.database, monkeypatch) as asked:
            for _ in range(3):
                await station.call("StatusNotification", status(1, "Available"))
        assert asked == ["lookup"]


@contextmanager
def watched(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """How the database is asked."""
    asked: list[str] = []
    connections = database._connections

    def noting(name: str) -> Callable[..., Awaitable[Any]]:
        real = getattr(connections, name)

        async def note(*arguments: Any, **more: Any) -> Any:
            asked.append(name)
            return await real(*arguments, **more)

        return note

    with monkeypatch.context() as patch:
        for name in ("query", "lookup", "change", "transaction"):
            patch.setattr(connections, name, noting(name))
        yield asked


async def test_a_transaction_that_names_a_reservation_is_told_to_it_and_to_the_ports(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    elsewhere = {"port_number": 2, "id_tag": "XYZ"}
    heard_by = [
        await stack.subscribe(charger.id, reservation_id=1, port_number=1, id_tag="XYZ"),
        await stack.subscribe(charger.id, reservation_id=2, port_number=None, id_tag="XYZ"),
        await stack.subscribe(charger.id, reservation_id=3, **elsewhere),
    ]
    strangers = [
        await stack.subscribe(
            charger.id, reservation_id=4, port_number=2, id_tag="abc", parent_id_tag="HOME"
        ),
        await stack.subscribe(charger.id, reservation_id=5, parent_id_tag="home", **elsewhere),
        await stack.subscribe(charger.id, reservation_id=6, **elsewhere),
    ]
    async with stack.station() as station:
        answer = await station.call("StartTransaction", start(reservationId=3))
        await until(lambda: len(temporal.heard) == len(heard_by))
    assert answer["idTagInfo"]["parentIdTag"] == "HOME"
    assert {workflow for workflow, _, _ in temporal.heard} == {row.workflow_id for row in heard_by}
    assert not any(temporal.signals(one.workflow_id) for one in strangers)
    event = temporal.said("transaction_started")[0]
    assert isinstance(event, TransactionStarted)
    assert event.transaction_id == str(answer["transactionId"])
    assert (event.port_number, event.reservation_id, event.id_tag, event.parent_id_tag) == (
        1,
        3,
        "ABC",
        "HOME",
    )
    assert (event.is_id_live, event.is_known, event.offline) == (True, False, False)
    assert event.started_at == datetime(2026, 11, 22, 14, 32, 37, tzinfo=UTC)


async def test_every_event_says_what_the_charger_had_been_asked_and_over_which_socket_it_came(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    row = await stack.subscribe(charger.id, accepted=False, generation=0)
    async with stack.station() as station:
        await station.boot()
        epoch = (await stack.session()).epoch
        await station.call("StatusNotification", status(1, "Available"))
        await stack.subscribe(charger.id, generation=3)
        await station.call("StatusNotification", status(1, "Faulted"))
        await station.call("StartTransaction", start())
        await until(lambda: len(temporal.heard) == 5)
    assert [(signal, event.generation) for _, signal, event in temporal.heard] == [
        ("charger_booted", 0),
        ("charger_connected", 0),
        ("port_status", 0),
        ("port_status", 3),
        ("transaction_started", 3),
    ]
    assert {event.epoch for _, _, event in temporal.heard} == {epoch}
    assert {event.first_run_id for _, _, event in temporal.heard} == {row.first_run_id}


async def test_events_of_a_row_without_a_generation_say_none(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    await stack.subscribe(charger.id, generation=0)  # accepted by an older release
    async with stack.station() as station:
        await station.call("StatusNotification", status(1, "Faulted"))
        await until(lambda: temporal.heard)
    assert temporal.said("port_status")[0].generation is None


async def test_a_transaction_that_began_before_the_frame_is_known_however_slow_the_clocks(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    async with stack.station() as station:
        await station.call("StartTransaction", start(reservationId=1))
        await stack.subscribe(charger.id, reservation_id=1)
        await station.call("StartTransaction", start(reservationId=1))
        await station.call("StartTransaction", start(reservationId=1, meterStart=5))
        await until(lambda: len(temporal.heard) == 2)
    assert [event.is_known for event in temporal.said("transaction_started")] == [True, False]


async def test_a_known_201_transaction_whose_card_comes_after_the_frame_is_news(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    async with stack.station("2.0.1") as station:
        await station.call("TransactionEvent", transaction_event("Started", idToken=None))
        await stack.subscribe(charger.id, port_number=None)
        await station.call("TransactionEvent", transaction_event("Updated", reservationId=7))
        await until(lambda: temporal.heard)
    assert [event.is_known for event in temporal.said("transaction_started")] == [False]


# --- one transaction, one reservation -----------------------------------------------------------------


async def two_of_one_driver(stack: Stack, charger: Charger) -> tuple[str, str]:
    first = await stack.subscribe(charger.id, reservation_id=1, port_number=None)
    second = await stack.subscribe(charger.id, reservation_id=2, port_number=None)
    return first.workflow_id, second.workflow_id


async def test_a_transaction_without_a_number_uses_up_the_oldest_reservation_of_its_driver(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    first, second = await two_of_one_driver(stack, charger)
    async with stack.station() as station:
        await station.call("StartTransaction", start())
        await station.call("StatusNotification", status(0, "Faulted"))
        await until(lambda: len(temporal.heard) == 3)
    assert temporal.signals(first) == ["transaction_started", "port_status"]
    assert temporal.signals(second) == ["port_status"]


async def test_a_repeated_start_goes_to_the_one_it_used_up_and_to_nobody_when_that_is_over(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    first, second = await two_of_one_driver(stack, charger)
    async with stack.station() as station:
        await station.call("StartTransaction", start())
        await station.call("StartTransaction", start())
        await until(lambda: len(temporal.heard) == 2)
        await stack.database.subscriptions.remove(first, "run-1")
        await station.call("StartTransaction", start())
        await station.call("StatusNotification", status(0, "Faulted"))
        await until(lambda: len(temporal.heard) == 3)
    assert temporal.signals(first) == ["transaction_started"] * 2
    assert temporal.signals(second) == ["port_status"]


async def test_a_second_transaction_uses_up_the_second_also_before_the_first_has_heard(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    first, second = await two_of_one_driver(stack, charger)
    temporal.failure = RPCError("unavailable", RPCStatusCode.UNAVAILABLE, b"")
    async with stack.station() as station:
        await station.call("StartTransaction", start(reservationId=99))
        await station.call("StartTransaction", start(connectorId=2))
        temporal.failure = None
        await until(lambda: len(temporal.heard) == 2)
    assert (temporal.signals(first), temporal.signals(second)) == (["transaction_started"],) * 2
    assert [event.is_id_live for event in temporal.said("transaction_started")] == [False, True]


async def test_the_end_goes_to_the_one_that_was_used_up_whatever_it_asks_for_now(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    await stack.subscribe(charger.id, port_number=None, id_tag="Other", parent_id_tag="Fleet")
    await stack.database.tokens.put(Token("ABC", "Fleet"))
    async with stack.station() as station:
        answer = await station.call("StartTransaction", start())
        await stack.subscribe(charger.id, port_number=2, id_tag="Other", parent_id_tag="Fleet")
        stop = {"transactionId": answer["transactionId"], "meterStop": 9, "timestamp": TIME}
        await station.call("StopTransaction", stop)
        await until(lambda: len(temporal.heard) == 2)
    assert [signal for _, signal, _ in temporal.heard] == ["transaction_started", "transaction_ended"]


# --- live or offline ----------------------------------------------------------------------------------


def stamp(ago: timedelta) -> str:
    return (datetime.now(UTC) - ago).isoformat()


async def away(stack: Stack, charger: Charger, since: timedelta) -> None:
    """The charger had a socket that ended so long ago."""
    async with stack.station() as station:
        await station.boot()
        await stack.session()
    await until(lambda: not len(stack.registry))

    async def released() -> bool:
        return await stack.database.links.route(charger.id) is None

    await eventually(released)
    connections = stack.database._connections
    await age(connections, links.c.disconnected_at, since)


@pytest.mark.parametrize(
    ("ago", "is_queued"),
    [
        (timedelta(minutes=5), True),
        (timedelta(minutes=10, seconds=50), True),  # the socket was dead before it was found out
        (timedelta(minutes=30), False),
        (timedelta(seconds=-40), False),
        (timedelta(hours=5), False),
    ],
)
async def test_a_16_start_is_from_the_queue_if_it_falls_into_the_outage_before_its_socket(
    database: Database, charger: Charger, temporal: Temporal, ago: timedelta, is_queued: bool
) -> None:
    async with Stack(database, temporal, ocpp_ping_interval=20) as stack:
        await away(stack, charger, timedelta(minutes=10))
        await stack.subscribe(charger.id)
        temporal.heard.clear()
        async with stack.station() as station:
            await station.call("StartTransaction", start(timestamp=stamp(ago), reservationId=7))
            await until(lambda: temporal.heard)
    assert [event.offline for event in temporal.said("transaction_started")] == [is_queued]


async def test_a_clock_that_is_40_seconds_behind_makes_no_live_start_one_from_the_queue(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    await away(stack, charger, timedelta(hours=1))
    async with stack.station() as station:
        await station.call("Heartbeat")
        connected_for = timedelta(seconds=40)  # by then; the socket began this long before
        (session,) = stack.registry
        outage = session._reports._outage
        assert outage is not None
        session._reports._outage = replace(outage, ended_at=outage.ended_at - connected_for)
        await stack.subscribe(charger.id)
        slow = timedelta(seconds=39)
        await station.call("StartTransaction", start(timestamp=stamp(slow)))
        await until(lambda: temporal.heard)
    assert [event.offline for event in temporal.said("transaction_started")] == [False]


async def test_a_charger_that_never_had_a_socket_was_never_offline(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    await stack.subscribe(charger.id)
    async with stack.station() as station:
        await station.call("StartTransaction", start(timestamp=stamp(timedelta(minutes=5))))
        await until(lambda: temporal.heard)
    assert [event.offline for event in temporal.said("transaction_started")] == [False]


async def test_a_start_from_the_queue_uses_up_what_had_not_expired_then(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    await away(stack, charger, timedelta(minutes=10))
    expired = await stack.subscribe(
        charger.id, reservation_id=1, expires_at=datetime.now(UTC) - timedelta(minutes=2)
    )
    await age(stack.database._connections, live_reservations.c.asked_at, timedelta(hours=1))
    younger = await stack.subscribe(charger.id, reservation_id=2)
    async with stack.station() as station:
        await station.call("StartTransaction", start(timestamp=stamp(timedelta(minutes=5))))
        await station.call("StartTransaction", start())
        await until(lambda: len(temporal.said("transaction_started")) == 2)
    assert temporal.signals(expired.workflow_id) == temporal.signals(younger.workflow_id)


async def test_the_end_of_a_transaction_is_told_with_its_port(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    await stack.subscribe(charger.id)
    async with stack.station() as station:
        answer = await station.call("StartTransaction", start())
        await station.call(
            "StopTransaction", {"transactionId": answer["transactionId"], "meterStop": 9, "timestamp": TIME}
        )
        await until(lambda: len(temporal.heard) == 2)
    (event,) = temporal.said("transaction_ended")
    assert isinstance(event, TransactionEnded)
    assert (event.transaction_id, event.port_number) == (str(answer["transactionId"]), 1)


async def test_a_201_transaction_names_its_reservation_whenever_it_knows_it(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    await stack.subscribe(charger.id)
    async with stack.station("2.0.1") as station:
        # Cable first: the token and the reservation come with a later event, which names no EVSE.
        await station.call("TransactionEvent", transaction_event("Started", idToken=None, offline=True))
        answer = await station.call(
            "TransactionEvent", transaction_event("Updated", reservationId=7, evse=None)
        )
        await station.call("TransactionEvent", transaction_event("Updated", evse=None, idToken=None))
        await station.call("TransactionEvent", transaction_event("Ended", reservationId=7, evse=None))
        await until(lambda: len(temporal.heard) == 3)
    assert answer["idTokenInfo"]["status"] == "Accepted"
    cable, token = temporal.said("transaction_started")
    assert (cable.transaction_id, cable.port_number, cable.id_tag, cable.offline) == ("T1", 1, None, True)
    assert (token.transaction_id, token.port_number, token.reservation_id, token.id_tag) == (
        "T1",
        1,
        7,
        "abc",
    )
    (ended,) = temporal.said("transaction_ended")
    assert (ended.transaction_id, ended.port_number) == ("T1", 1)


@pytest.mark.parametrize("trigger", ["Authorized", "RemoteStart"])
async def test_a_201_transaction_that_the_cable_began_is_told_again_with_its_token(
    stack: Stack, charger: Charger, temporal: Temporal, trigger: str
) -> None:
    await stack.subscribe(charger.id)
    async with stack.station("2.0.1") as station:
        await station.call("TransactionEvent", transaction_event("Started", idToken=None))
        await station.call("TransactionEvent", transaction_event("Updated", triggerReason=trigger))
        await until(lambda: len(temporal.heard) == 2)
    assert [event.id_tag for event in temporal.said("transaction_started")] == [None, "abc"]


async def test_a_start_that_is_yet_to_come_is_told_as_of_now_and_its_repeat_is_the_same(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    await stack.subscribe(charger.id)
    two_hours_ahead = (datetime.now(UTC) + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S")
    async with stack.station() as station:
        answers = [await station.call("StartTransaction", start(timestamp=two_hours_ahead)) for _ in range(2)]
        await until(lambda: len(temporal.heard) == 2)
    assert answers[0]["transactionId"] == answers[1]["transactionId"]
    assert all(event.started_at == event.at for event in temporal.said("transaction_started"))


async def test_a_201_end_may_be_the_first_that_names_the_reservation(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    await stack.subscribe(charger.id, port_number=2)
    async with stack.station("2.0.1") as station:
        await station.call("TransactionEvent", transaction_event("Ended", reservationId=7))
        await until(lambda: len(temporal.heard) == 2)
    assert [signal for _, signal, _ in temporal.heard] == ["transaction_started", "transaction_ended"]


@pytest.mark.parametrize("event_type", ["Ended", "Updated"])
@pytest.mark.parametrize("changes", [{}, {"idToken": None, "reservationId": 7}], ids=["token", "number"])
async def test_a_201_transaction_whose_start_was_lost_is_told_by_whatever_names_it_first(
    stack: Stack, charger: Charger, temporal: Temporal, event_type: str, changes: Payload
) -> None:
    await stack.subscribe(charger.id)
    await age(stack.database._connections, live_reservations.c.asked_at, timedelta(days=3650))
    info = {"transactionId": "T1", "timeSpentCharging": 600}
    event = transaction_event(event_type, triggerReason="StopAuthorized", transactionInfo=info, **changes)
    async with stack.station("2.0.1") as station:
        for _ in range(2):
            await station.call("TransactionEvent", event)
        await station.call("StatusNotification", STATUS_201)
        await until(lambda: temporal.said("port_status"))
    (started,) = temporal.said("transaction_started")
    assert (started.transaction_id, started.port_number) == ("T1", 1)
    assert started.offline, "it began by its own time, not with this"
    assert started.started_at == datetime(2026, 11, 22, 14, 22, 37, tzinfo=UTC)
    assert len(temporal.said("transaction_ended")) == (2 if event_type == "Ended" else 0)


async def test_a_card_at_the_reader_begins_a_201_transaction_that_was_unknown(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    await stack.subscribe(charger.id)
    async with stack.station("2.0.1") as station:
        await station.call("TransactionEvent", transaction_event("Updated"))
        await until(lambda: temporal.heard)
    assert [event.offline for event in temporal.said("transaction_started")] == [False]


async def test_a_201_transaction_that_nobody_is_named_for_is_not_told_as_a_start(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    await stack.subscribe(charger.id)
    async with stack.station("2.0.1") as station:
        for number in (None, 0, -1):
            event = transaction_event("Ended", idToken=None, reservationId=number)
            await station.call("TransactionEvent", event)
        await until(lambda: len(temporal.heard) == 3)
    assert {signal for _, signal, _ in temporal.heard} == {"transaction_ended"}


@pytest.mark.parametrize("word", ["Expired", "Removed"])
async def test_a_reservation_status_update_is_told_to_its_reservation_only(
    stack: Stack, charger: Charger, temporal: Temporal, word: str
) -> None:
    row = await stack.subscribe(charger.id, reservation_id=7, port_number=None)
    await stack.subscribe(charger.id, reservation_id=8, port_number=None)
    async with stack.station("2.0.1") as station:
        for reservation_id in (7, 99):
            payload = {"reservationId": reservation_id, "reservationUpdateStatus": word}
            assert await station.call("ReservationStatusUpdate", payload) == {}
        await until(lambda: len(temporal.heard) == 1)
    ((workflow_id, signal, event),) = temporal.heard
    assert (workflow_id, signal) == (row.workflow_id, "reservation_ended")
    assert isinstance(event, ReservationEnded)
    assert (event.reservation_id, event.status) == (7, word)


async def test_without_a_subscriber_nothing_is_stored(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    async with stack.station() as station:
        await station.boot()
        await station.call("StartTransaction", start())
        await stack.session()
    assert await undelivered(stack.database, charger) == []
    assert temporal.heard == []


# --- delivery -----------------------------------------------------------------------------------------


async def busy(station: Station) -> None:
    for word in ("Available", "Preparing", "Charging", "Finishing"):
        await station.call("StatusNotification", status(1, word))


def no_namespace() -> RPCError:
    """What a server says that does not have our namespace."""
    details = GrpcStatus()
    details.details.add().Pack(NamespaceNotFoundFailure(namespace="default"))
    return RPCError("Namespace default is not found.", RPCStatusCode.NOT_FOUND, details.SerializeToString())


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError("Failed client connect"),
        RPCError("unavailable", RPCStatusCode.UNAVAILABLE, b""),
        no_namespace(),
    ],
    ids=["lazy client", "server away", "no namespace"],
)
async def test_while_temporal_is_away_chargers_are_answered_and_events_are_kept_in_order(
    stack: Stack, charger: Charger, temporal: Temporal, failure: Exception
) -> None:
    await stack.subscribe(charger.id)
    temporal.failure = failure
    async with stack.station() as station:
        await busy(station)
        assert await undelivered(stack.database, charger) == ["port_status"] * 4
        temporal.failure = None
        await until(lambda: len(temporal.heard) == 4)
    words = [event.status for event in temporal.said("port_status")]
    assert words == ["Available", "Preparing", "Charging", "Finishing"]
    ids = [event.event_id for event in temporal.said("port_status")]
    assert ids == sorted(set(ids))

    async def forgotten() -> bool:
        return await undelivered(stack.database, charger) == []

    await eventually(forgotten)


async def test_a_closed_workflow_does_not_hold_up_the_others(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    closed = await stack.subscribe(charger.id, reservation_id=1)
    row = await stack.subscribe(charger.id, reservation_id=2)
    temporal.closed.add(closed.workflow_id)
    async with stack.station() as station:
        await busy(station)
        await until(lambda: len(temporal.heard) == 4)
    assert temporal.signals(row.workflow_id) == ["port_status"] * 4


async def test_events_left_over_go_first_when_the_charger_comes_back(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    row = await stack.subscribe(charger.id)
    await leave_behind(stack.database, charger, row.workflow_id)
    async with stack.station() as station:
        await station.boot()
        await until(lambda: len(temporal.heard) == 3)
    assert temporal.signals(row.workflow_id) == ["port_status", "charger_booted", "charger_connected"]


async def test_events_of_a_charger_without_a_gateway_are_found(
    stack: Stack, charger: Charger, temporal: Temporal
) -> None:
    await leave_behind(stack.database, charger, "reservation-1")
    sweep = asyncio.create_task(stack.event_dispatcher.sweep())
    await until(lambda: temporal.signals("reservation-1") == ["port_status"])
    sweep.cancel()


async def leave_behind(database: Database, charger: Charger, workflow_id: str) -> None:
    """An event of a gateway that died before it delivered it."""
    event = PortStatusChanged(at=datetime.now(UTC), port_number=1, status="Reserved")
    await database.events.store_many(
        [NewEvent(charger.id, workflow_id, "port_status", event.model_dump_json())]
    )
