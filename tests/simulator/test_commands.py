"""Commands beside the reservation, answered sensibly and to the schema."""

from typing import Any

import pytest

from tests.simulator.central_system import Payload
from tests.simulator.conftest import Bench, BenchMaker
from tests.simulator.until import until

ANSWERS_16: list[tuple[str, Payload, str]] = [
    ("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}, "Accepted"),
    ("ChangeAvailability", {"connectorId": 9, "type": "Operative"}, "Rejected"),
    ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "60"}, "Accepted"),
    ("ChangeConfiguration", {"key": "NumberOfConnectors", "value": "9"}, "Rejected"),
    ("ChangeConfiguration", {"key": "Nonsense", "value": "9"}, "NotSupported"),
    ("ClearCache", {}, "Accepted"),
    ("DataTransfer", {"vendorId": "x"}, "UnknownVendorId"),
    ("SendLocalList", {"listVersion": 1, "updateType": "Full"}, "Accepted"),
    ("TriggerMessage", {"requestedMessage": "FirmwareStatusNotification"}, "NotImplemented"),
    ("TriggerMessage", {"requestedMessage": "Heartbeat", "connectorId": 9}, "Rejected"),
    ("UnlockConnector", {"connectorId": 1}, "Unlocked"),
    ("RemoteStopTransaction", {"transactionId": 5}, "Rejected"),
    ("RemoteStartTransaction", {"idTag": "A", "connectorId": 9}, "Rejected"),
]
ANSWERS_201: list[tuple[str, Payload, str]] = [
    ("ChangeAvailability", {"operationalStatus": "Inoperative"}, "Accepted"),
    ("ChangeAvailability", {"operationalStatus": "Operative", "evse": {"id": 9}}, "Rejected"),
    ("Reset", {"type": "Immediate", "evseId": 1}, "Rejected"),
    ("ClearCache", {}, "Accepted"),
    ("DataTransfer", {"vendorId": "x"}, "UnknownVendorId"),
    ("TriggerMessage", {"requestedMessage": "LogStatusNotification"}, "NotImplemented"),
    ("TriggerMessage", {"requestedMessage": "StatusNotification", "evse": {"id": 9}}, "Rejected"),
    ("UnlockConnector", {"evseId": 1, "connectorId": 1}, "Unlocked"),
    ("UnlockConnector", {"evseId": 9, "connectorId": 1}, "UnknownConnector"),
    ("RequestStopTransaction", {"transactionId": "x"}, "Rejected"),
]


@pytest.mark.parametrize(("action", "payload", "status"), ANSWERS_16)
async def test_a_16_command_gets_its_status(
    bench: BenchMaker, action: str, payload: Payload, status: str
) -> None:
    b = await bench()
    assert (await b.link.call(action, payload))["status"] == status


@pytest.mark.parametrize(("action", "payload", "status"), ANSWERS_201)
async def test_a_201_command_gets_its_status(
    bench: BenchMaker, action: str, payload: Payload, status: str
) -> None:
    b = await bench(version="2.0.1")
    assert (await b.link.call(action, payload))["status"] == status


async def test_a_charging_port_is_taken_out_of_service_later(bench: BenchMaker) -> None:
    b = await bench()
    await b.charger.start_charging("TAG-A")
    assert await b.change_availability(1, operative=False) == "Scheduled"


async def test_configuration_is_read_and_unknown_keys_are_named(bench: BenchMaker) -> None:
    b = await bench()
    await b.link.call("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "60"})
    answer = await b.link.call("GetConfiguration", {"key": ["HeartbeatInterval", "Nonsense"]})
    assert answer["configurationKey"][0]["value"] == "60"
    assert answer["unknownKey"] == ["Nonsense"]
    everything = await b.link.call("GetConfiguration", {})
    keys = {entry["key"]: entry["value"] for entry in everything["configurationKey"]}
    assert "Reservation" in keys["SupportedFeatureProfiles"]
    assert keys["NumberOfConnectors"] == "2"


async def test_variables_are_read_and_written(bench: BenchMaker) -> None:
    b = await bench(version="2.0.1")

    def named(component: str, variable: str) -> Payload:
        return {"component": {"name": component}, "variable": {"name": variable}}

    asked = [
        named("ReservationCtrlr", "NonEvseSpecific"),
        named("ReservationCtrlr", "Colour"),
        named("Nothing", "Enabled"),
    ]
    answer = await b.link.call("GetVariables", {"getVariableData": asked})
    results = [result["attributeStatus"] for result in answer["getVariableResult"]]
    assert results == ["Accepted", "UnknownVariable", "UnknownComponent"]
    wanted: list[dict[str, Any]] = [
        {**named("ReservationCtrlr", "Enabled"), "attributeValue": "false"},
        {**named("ReservationCtrlr", "Available"), "attributeValue": "false"},
    ]
    answer = await b.link.call("SetVariables", {"setVariableData": wanted})
    results = [result["attributeStatus"] for result in answer["setVariableResult"]]
    assert results == ["Accepted", "Rejected"]
    assert await b.reserve(1) == "Rejected"


async def test_a_base_report_follows_its_answer(bench: BenchMaker) -> None:
    b = await bench(version="2.0.1")
    await b.link.call("GetBaseReport", {"requestId": 4, "reportBase": "FullInventory"})
    await until(lambda: b.calls("NotifyReport"))
    assert b.calls("NotifyReport")[0]["requestId"] == 4


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
@pytest.mark.parametrize("message", ["BootNotification", "Heartbeat", "StatusNotification"])
async def test_a_triggered_message_is_sent(bench: BenchMaker, version: str, message: str) -> None:
    b = await bench(version=version)
    before = len(b.calls(message))
    await b.link.call("TriggerMessage", {"requestedMessage": message})
    await until(lambda: len(b.calls(message)) > before)


async def test_triggered_meter_values_need_a_transaction(bench: BenchMaker) -> None:
    b = await bench()
    await b.charger.start_charging("TAG-A")
    await b.link.call("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 1})
    await until(lambda: b.calls("MeterValues"))


async def test_a_transaction_has_a_status(bench: BenchMaker) -> None:
    b = await bench(version="2.0.1")
    await b.charger.start_charging("TAG-A")
    transaction_id = b.charger.charging.transaction_id(1)
    answer = await b.link.call("GetTransactionStatus", {"transactionId": transaction_id})
    assert answer["ongoingIndicator"] is True


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_unknown_commands_and_broken_payloads_get_their_error(bench: BenchMaker, version: str) -> None:
    b: Bench = await bench(version=version)
    assert (await b.link.ask("MakeCoffee", {}))[2] == "NotImplemented"
    extra = await b.reserve(1, colour="green")
    assert extra == ("FormationViolation" if version == "1.6" else "FormatViolation")
    key = "reservationId" if version == "1.6" else "id"
    assert await b.reserve(1, **{key: "one"}) == "TypeConstraintViolation"  # type: ignore[arg-type]  # wrong on purpose
    missing = b.reserve_payload(1)
    del missing["idTag" if version == "1.6" else "idToken"]
    spelled = "OccurenceConstraintViolation" if version == "1.6" else "OccurrenceConstraintViolation"
    assert (await b.link.ask("ReserveNow", missing))[2] == spelled


async def test_a_charger_beats(bench: BenchMaker) -> None:
    b = await bench(heartbeat_seconds=0.02)
    await until(lambda: len(b.calls("Heartbeat")) >= 2)


async def test_a_session_reports_its_meter_by_itself(bench: BenchMaker) -> None:
    b = await bench(meter_seconds=0.02)
    await b.charger.start_charging("TAG-A")
    await until(lambda: len(b.calls("MeterValues")) >= 2)
