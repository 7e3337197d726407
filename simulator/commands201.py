"""The commands of OCPP 2.0.1."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simulator.clock import wire_time
from simulator.commands import (
    Handler,
    Reply,
    answering,
    cancel_reservation,
    change_password,
    reserve_now,
)
from simulator.ports import Phase, Port
from simulator.wire import Payload

if TYPE_CHECKING:
    from simulator.charger import SimulatedCharger

_PASSWORD = ("SecurityCtrlr", "BasicAuthPassword")
"""It is never shown."""

_READ_ONLY = {
    ("ReservationCtrlr", "Available"),
    ("ReservationCtrlr", "NonEvseSpecific"),
}


async def change_availability(charger: "SimulatedCharger", payload: Payload) -> Reply | None:
    """ChangeAvailability (G03, G04); without an EVSE it is all of them."""
    number = payload.get("evse", {}).get("id", 0)
    if number not in (0, *charger.ports):
        return Reply({"status": "Rejected"})
    ports = [charger.ports[number]] if number else list(charger.ports.values())
    operative = payload["operationalStatus"] == "Operative"
    if not operative and any(port.phase is Phase.CHARGING for port in ports):
        return Reply({"status": "Scheduled"})

    def apply() -> None:
        for port in ports:
            charger.set_operative(port.number, operative)

    return Reply({"status": "Accepted"}, apply)


async def reset(charger: "SimulatedCharger", payload: Payload) -> Reply | None:
    """Reset (B11, B12); a single EVSE cannot be reset."""
    if "evseId" in payload:
        return Reply({"status": "Rejected"})
    return Reply({"status": "Accepted"}, lambda: charger.reset("HardReset"))


async def get_variables(charger: "SimulatedCharger", payload: Payload) -> Reply | None:
    """GetVariables (B06)."""
    known = _variables(charger)
    components = {component for component, _ in known}
    results: list[Payload] = []
    for asked in payload["getVariableData"]:
        name = (asked["component"]["name"], asked["variable"]["name"])
        result: Payload = {"component": asked["component"], "variable": asked["variable"]}
        if name in known:
            result |= {"attributeStatus": "Accepted", "attributeValue": known[name]}
        else:
            missing = "UnknownVariable" if name[0] in components else "UnknownComponent"
            result["attributeStatus"] = missing
        results.append(result)
    return Reply({"getVariableResult": results})


async def set_variables(charger: "SimulatedCharger", payload: Payload) -> Reply | None:
    """SetVariables (B05)."""
    known = _variables(charger)
    results: list[Payload] = []
    then: Callable[[], Any] | None = None
    for wanted in payload["setVariableData"]:
        name = (wanted["component"]["name"], wanted["variable"]["name"])
        status = "UnknownComponent"
        if name == _PASSWORD:
            status = "Rejected"
            if 16 <= len(wanted["attributeValue"]) <= 40:
                status, then = change_password(charger, wanted["attributeValue"].encode())
        elif name in known:
            status = "Rejected" if name in _READ_ONLY else "Accepted"
        if status == "Accepted" and name != _PASSWORD:
            charger.configuration["/".join(name)] = wanted["attributeValue"]
        if status == "Accepted" and name == ("ReservationCtrlr", "Enabled"):
            charger.table.is_enabled = wanted["attributeValue"].casefold() == "true"
        results.append(
            {"component": wanted["component"], "variable": wanted["variable"], "attributeStatus": status}
        )
    return Reply({"setVariableResult": results}, then)


async def get_base_report(charger: "SimulatedCharger", payload: Payload) -> Reply | None:
    """GetBaseReport (B07): the variables there are, in one part."""
    data: list[dict[str, Any]] = [
        {
            "component": {"name": component},
            "variable": {"name": variable},
            "variableAttribute": [{"type": "Actual", "value": value}],
        }
        for (component, variable), value in _variables(charger).items()
    ]
    report = {
        "requestId": payload["requestId"],
        "generatedAt": wire_time(charger.clock()),
        "seqNo": 0,
        "tbc": False,
        "reportData": data,
    }
    return Reply({"status": "Accepted"}, lambda: charger.post("NotifyReport", report))


async def trigger_message(charger: "SimulatedCharger", payload: Payload) -> Reply | None:
    """TriggerMessage (F06)."""
    number = payload.get("evse", {}).get("id")
    if number is not None and number not in charger.ports:
        return Reply({"status": "Rejected"})
    wanted = payload["requestedMessage"]

    def send() -> None:
        if wanted == "BootNotification":
            charger.post(*charger.dialect.boot(charger.identity, "Triggered"))
        elif wanted == "Heartbeat":
            charger.post("Heartbeat", {})
        elif wanted in ("TransactionEvent", "MeterValues"):
            for port in _ports(charger, number):
                charger.charging.flow(port, watt_hours=0)
        else:
            for port in _ports(charger, number):
                charger.report(port.number, charger.status(port.number))

    answered = ("BootNotification", "Heartbeat", "MeterValues", "TransactionEvent", "StatusNotification")
    if wanted not in answered:
        return Reply({"status": "NotImplemented"})
    return Reply({"status": "Accepted"}, send)


async def request_start_transaction(charger: "SimulatedCharger", payload: Payload) -> Reply | None:
    """RequestStartTransaction (F01, F02), accepted without Authorize (AuthorizeRemoteStart=false)."""
    begin = charger.charging.start_from_afar(
        payload["idToken"]["idToken"],
        payload.get("evseId"),
        id_tag_type=payload["idToken"]["type"],
        parent_id_tag=payload.get("groupIdToken", {}).get("idToken"),
        remote_start_id=payload["remoteStartId"],
    )
    return Reply({"status": "Rejected"}) if begin is None else Reply({"status": "Accepted"}, begin)


async def request_stop_transaction(charger: "SimulatedCharger", payload: Payload) -> Reply | None:
    """RequestStopTransaction (F03)."""
    session = charger.charging.session_of(payload["transactionId"])
    if session is None:
        return Reply({"status": "Rejected"})
    port = charger.ports[session.port_number]
    return Reply({"status": "Accepted"}, lambda: charger.charging.end(port, "Remote"))


async def get_transaction_status(charger: "SimulatedCharger", payload: Payload) -> Reply | None:
    """GetTransactionStatus (E14)."""
    answer: Payload = {"messagesInQueue": len(charger.charging.queue) > 0}
    if "transactionId" in payload:
        answer["ongoingIndicator"] = charger.charging.session_of(payload["transactionId"]) is not None
    return Reply(answer)


async def unlock_connector(charger: "SimulatedCharger", payload: Payload) -> Reply | None:
    """UnlockConnector (F05)."""
    port = charger.ports.get(payload["evseId"])
    if port is None:
        return Reply({"status": "UnknownConnector"})
    busy = charger.charging.session(port.number) is not None
    return Reply({"status": "OngoingAuthorizedTransaction" if busy else "Unlocked"})


def _ports(charger: "SimulatedCharger", number: int | None) -> list[Port]:
    return list(charger.ports.values()) if number is None else [charger.ports[number]]


def _variables(charger: "SimulatedCharger") -> dict[tuple[str, str], str]:
    p = charger.personality
    variables = {
        ("OCPPCommCtrlr", "HeartbeatInterval"): "300",
        ("OCPPCommCtrlr", "WebSocketPingInterval"): "0",
        ("DeviceDataCtrlr", "ItemsPerMessage"): "16",
        ("TxCtrlr", "EVConnectionTimeOut"): "60",
    }
    if p.announces_reservations:
        enabled = "true" if p.reservations == "supported" else "false"
        variables[("ReservationCtrlr", "Available")] = "true"
        variables[("ReservationCtrlr", "Enabled")] = enabled
        whole_charger = "false" if p.whole_charger == "Rejected" else "true"
        variables[("ReservationCtrlr", "NonEvseSpecific")] = whole_charger
    for name, value in charger.configuration.items():
        component, _, variable = name.partition("/")
        variables[(component, variable)] = value
    return variables


HANDLERS: dict[str, Handler] = {
    "ReserveNow": reserve_now,
    "CancelReservation": cancel_reservation,
    "ChangeAvailability": change_availability,
    "Reset": reset,
    "GetVariables": get_variables,
    "SetVariables": set_variables,
    "GetBaseReport": get_base_report,
    "TriggerMessage": trigger_message,
    "RequestStartTransaction": request_start_transaction,
    "RequestStopTransaction": request_stop_transaction,
    "GetTransactionStatus": get_transaction_status,
    "UnlockConnector": unlock_connector,
    "ClearCache": answering({"status": "Accepted"}),
    "DataTransfer": answering({"status": "UnknownVendorId"}),
    "GetLocalListVersion": answering({"versionNumber": 0}),
    "SendLocalList": answering({"status": "Accepted"}),
    "SetChargingProfile": answering({"status": "Accepted"}),
    "ClearChargingProfile": answering({"status": "Unknown"}),
    "GetReport": answering({"status": "EmptyResultSet"}),
    "GetLog": answering({"status": "Rejected"}),
    "UpdateFirmware": answering({"status": "Rejected"}),
    "SetNetworkProfile": answering({"status": "Rejected"}),
}
