"""What chargers report reaches the workflows that listen: all of it and in order, at no cost to chargers."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.api.common.v1 import GrpcStatus
from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.service import RPCError, RPCStatusCode

from directory import Charger, Directory, NewEvent
from gateway import delivery
from tests.gateway.house import QUEUE, House, Temporal, eventually, until
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


async def undelivered(directory: Directory, charger: Charger) -> list[str]:
    return [event.kind for event in await directory.events.next_of(charger.id)]


async def test_the_first_word_is_that_the_charger_is_there(
    house: House, charger: Charger, temporal: Temporal
) -> None:
    row = await house.subscribe(charger.id)
    async with house.station() as station:
        await station.boot()
        session = await house.session()
        await until(lambda: len(temporal.heard) == 2)
    assert temporal.signals(row.workflow_id) == ["charger_booted", "charger_connected"]
    booted, connected = (event for _, _, event in temporal.heard)
    assert isinstance(booted, ChargerBooted)
    assert isinstance(connected, ChargerConnected)
    assert (connected.route.queue, connected.route.epoch) == (QUEUE, session.epoch)
    assert 0 < booted.event_id < connected.event_id
    assert {booted.first_run_id, connected.first_run_id} == {"run-1"}


async def test_a_boot_on_a_ready_socket_is_told_again_but_not_the_connection(
    house: House, charger: Charger, temporal: Temporal
) -> None:
    row = await house.subscribe(charger.id)
    async with house.station() as station:
        await station.boot()
        await house.session()
        await station.boot()
        await until(lambda: len(temporal.heard) == 3)
    assert sorted(temporal.signals(row.workflow_id)) == [
        "charger_booted",
        "charger_booted",
        "charger_connected",
    ]


async def test_a_port_status_is_told_when_it_changes_to_unreserved_and_to_whom_it_concerns(
    house: House, charger: Charger, temporal: Temporal
) -> None:
    mine = await house.subscribe(charger.id, reservation_id=1, port_number=1)
    other = await house.subscribe(charger.id, reservation_id=2, port_number=2)
    whole = await house.subscribe(charger.id, reservation_id=3, port_number=None)
    async with house.station() as station:
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


async def test_a_status_that_could_not_be_told_is_told_when_it_is_repeated(
    house: House, charger: Charger, temporal: Temporal, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await house.subscribe(charger.id)

    async def fail(*_: object) -> None:
        raise OSError("the database is busy")

    async with house.station() as station:
        with monkeypatch.context() as patch:
            patch.setattr(house.directory.subscriptions, "of_charger", fail)
            assert (await station.ask("StatusNotification", status(1, "Faulted")))[2] == "InternalError"
        await station.call("StatusNotification", status(1, "Faulted"))
        await until(lambda: temporal.heard)
    assert temporal.signals(row.workflow_id) == ["port_status"]


async def test_a_transaction_is_told_by_port_reservation_token_and_group(
    house: House, charger: Charger, temporal: Temporal
) -> None:
    elsewhere = {"port_number": 2, "id_tag": "XYZ"}
    heard_by = [
        await house.subscribe(charger.id, reservation_id=1, port_number=1, id_tag="XYZ"),
        await house.subscribe(charger.id, reservation_id=2, port_number=None, id_tag="XYZ"),
        await house.subscribe(charger.id, reservation_id=3, **elsewhere),
        await house.subscribe(
            charger.id, reservation_id=4, port_number=2, id_tag="abc", parent_id_tag="HOME"
        ),
        await house.subscribe(charger.id, reservation_id=5, parent_id_tag="home", **elsewhere),
    ]
    stranger = await house.subscribe(charger.id, reservation_id=6, **elsewhere)
    async with house.station() as station:
        answer = await station.call("StartTransaction", start(reservationId=3))
        await until(lambda: len(temporal.heard) == len(heard_by))
    assert answer["idTagInfo"]["parentIdTag"] == "HOME"
    assert {workflow for workflow, _, _ in temporal.heard} == {row.workflow_id for row in heard_by}
    assert temporal.signals(stranger.workflow_id) == []
    event = temporal.said("transaction_started")[0]
    assert isinstance(event, TransactionStarted)
    assert event.transaction_id == str(answer["transactionId"])
    assert (event.port_number, event.reservation_id, event.id_tag, event.parent_id_tag) == (
        1,
        3,
        "ABC",
        "HOME",
    )
    assert event.started_at == datetime(2026, 11, 22, 14, 32, 37, tzinfo=UTC)


async def test_the_end_of_a_transaction_is_told_with_its_port(
    house: House, charger: Charger, temporal: Temporal
) -> None:
    await house.subscribe(charger.id)
    async with house.station() as station:
        answer = await station.call("StartTransaction", start())
        await station.call(
            "StopTransaction", {"transactionId": answer["transactionId"], "meterStop": 9, "timestamp": TIME}
        )
        await until(lambda: len(temporal.heard) == 2)
    (event,) = temporal.said("transaction_ended")
    assert isinstance(event, TransactionEnded)
    assert (event.transaction_id, event.port_number) == (str(answer["transactionId"]), 1)


async def test_a_201_transaction_names_its_reservation_whenever_it_knows_it(
    house: House, charger: Charger, temporal: Temporal
) -> None:
    await house.subscribe(charger.id)
    async with house.station("2.0.1") as station:
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
    house: House, charger: Charger, temporal: Temporal, trigger: str
) -> None:
    await house.subscribe(charger.id)
    async with house.station("2.0.1") as station:
        await station.call("TransactionEvent", transaction_event("Started", idToken=None))
        await station.call("TransactionEvent", transaction_event("Updated", triggerReason=trigger))
        await until(lambda: len(temporal.heard) == 2)
    assert [event.id_tag for event in temporal.said("transaction_started")] == [None, "abc"]


async def test_a_start_that_is_yet_to_come_is_told_as_of_now_and_its_repeat_is_the_same(
    house: House, charger: Charger, temporal: Temporal
) -> None:
    await house.subscribe(charger.id)
    two_hours_ahead = (datetime.now(UTC) + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S")
    async with house.station() as station:
        answers = [await station.call("StartTransaction", start(timestamp=two_hours_ahead)) for _ in range(2)]
        await until(lambda: len(temporal.heard) == 2)
    assert answers[0]["transactionId"] == answers[1]["transactionId"]
    assert all(event.started_at == event.at for event in temporal.said("transaction_started"))


async def test_a_201_end_may_be_the_first_that_names_the_reservation(
    house: House, charger: Charger, temporal: Temporal
) -> None:
    await house.subscribe(charger.id, port_number=2)
    async with house.station("2.0.1") as station:
        await station.call("TransactionEvent", transaction_event("Ended", reservationId=7))
        await until(lambda: len(temporal.heard) == 2)
    assert [signal for _, signal, _ in temporal.heard] == ["transaction_started", "transaction_ended"]


@pytest.mark.parametrize("word", ["Expired", "Removed"])
async def test_a_reservation_status_update_is_told_to_its_reservation_only(
    house: House, charger: Charger, temporal: Temporal, word: str
) -> None:
    row = await house.subscribe(charger.id, reservation_id=7, port_number=None)
    await house.subscribe(charger.id, reservation_id=8, port_number=None)
    async with house.station("2.0.1") as station:
        for reservation_id in (7, 99):
            payload = {"reservationId": reservation_id, "reservationUpdateStatus": word}
            assert await station.call("ReservationStatusUpdate", payload) == {}
        await until(lambda: len(temporal.heard) == 1)
    ((workflow_id, signal, event),) = temporal.heard
    assert (workflow_id, signal) == (row.workflow_id, "reservation_ended")
    assert isinstance(event, ReservationEnded)
    assert (event.reservation_id, event.status) == (7, word)


async def test_without_a_subscriber_nothing_is_stored(
    house: House, charger: Charger, temporal: Temporal
) -> None:
    async with house.station() as station:
        await station.boot()
        await station.call("StartTransaction", start())
        await house.session()
    assert await undelivered(house.directory, charger) == []
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
    house: House, charger: Charger, temporal: Temporal, failure: Exception
) -> None:
    await house.subscribe(charger.id)
    temporal.failure = failure
    async with house.station() as station:
        await busy(station)
        assert await undelivered(house.directory, charger) == ["port_status"] * 4
        temporal.failure = None
        await until(lambda: len(temporal.heard) == 4)
    words = [event.status for event in temporal.said("port_status")]
    assert words == ["Available", "Preparing", "Charging", "Finishing"]
    ids = [event.event_id for event in temporal.said("port_status")]
    assert ids == sorted(set(ids))

    async def forgotten() -> bool:
        return await undelivered(house.directory, charger) == []

    await eventually(forgotten)


async def test_a_closed_workflow_does_not_hold_up_the_others(
    house: House, charger: Charger, temporal: Temporal
) -> None:
    closed = await house.subscribe(charger.id, reservation_id=1)
    row = await house.subscribe(charger.id, reservation_id=2)
    temporal.closed.add(closed.workflow_id)
    async with house.station() as station:
        await busy(station)
        await until(lambda: len(temporal.heard) == 4)
    assert temporal.signals(row.workflow_id) == ["port_status"] * 4


async def test_events_left_over_go_first_when_the_charger_comes_back(
    house: House, charger: Charger, temporal: Temporal
) -> None:
    row = await house.subscribe(charger.id)
    await leave_behind(house.directory, charger, row.workflow_id)
    async with house.station() as station:
        await station.boot()
        await until(lambda: len(temporal.heard) == 3)
    assert temporal.signals(row.workflow_id) == ["port_status", "charger_booted", "charger_connected"]


async def test_events_of_a_charger_without_a_gateway_are_found(
    house: House, charger: Charger, temporal: Temporal
) -> None:
    await leave_behind(house.directory, charger, "reservation-1")
    sweep = asyncio.create_task(house.deliverer.sweep())
    await until(lambda: temporal.signals("reservation-1") == ["port_status"])
    sweep.cancel()


async def leave_behind(directory: Directory, charger: Charger, workflow_id: str) -> None:
    """An event of a gateway that died before it delivered it."""
    event = PortStatusChanged(at=datetime.now(UTC), port_number=1, status="Reserved")
    await directory.events.store_many(
        [NewEvent(charger.id, workflow_id, "port_status", event.model_dump_json())]
    )
