"""The commands of OCPP 1.6."""

from typing import TYPE_CHECKING

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

_READ_ONLY = {"SupportedFeatureProfiles", "NumberOfConnectors", "ReserveConnectorZeroSupported"}


async def change_availability(charger: "SimulatedCharger", payload: Payload) -> Reply | None:
    """ChangeAvailability (§5.2); connector 0 is all of them."""
    number = payload["connectorId"]
    if number not in (0, *charger.ports):
        return Reply({"status": "Rejected"})
    ports = [charger.ports[number]] if number else list(charger.ports.values())
    operative = payload["type"] == "Operative"
    if not operative and any(port.phase is Phase.CHARGING for port in ports):
        return Reply({"status": "Scheduled"})

    def apply() -> None:
        for port in ports:
            charger.set_operative(port.number, operative)

    return Reply({"status": "Accepted"}, apply)


async def reset(charger: "SimulatedCharger", payload: Payload) -> Reply | None:
    """Reset (§5.14)."""
    return Reply({"status": "Accepted"}, lambda: charger.reset(f"{payload['type']}Reset"))


async def get_configuration(charger: "SimulatedCharger", payload: Payload) -> Reply | None:
    """GetConfiguration (§5.8)."""
    known = _configuration(charger)
    asked = payload.get("key") or list(known)
    answer: Payload = {
        "configurationKey": [
            {"key": key, "readonly": key in _READ_ONLY, "value": known[key]} for key in asked if key in known
        ]
    }
    unknown = [key for key in asked if key not in known]
    if unknown:
        answer["unknownKey"] = unknown
    return Reply(answer)


async def change_configuration(charger: "SimulatedCharger", payload: Payload) -> Reply | None:
    """ChangeConfiguration (§5.3)."""
    key = payload["key"]
    if key == "AuthorizationKey":
        return _authorization_key(charger, payload["value"])
    if key not in _configuration(charger):
        return Reply({"status": "NotSupported"})
    if key in _READ_ONLY:
        return Reply({"status": "Rejected"})
    charger.configuration[key] = payload["value"]
    return Reply({"status": "Accepted"})


async def trigger_message(charger: "SimulatedCharger", payload: Payload) -> Reply | None:
    """TriggerMessage (§5.17)."""
    number = payload.get("connectorId")
    if number is not None and number not in charger.ports:
        return Reply({"status": "Rejected"})
    wanted = payload["requestedMessage"]

    def send() -> None:
        if wanted == "BootNotification":
            charger.post(*charger.dialect.boot(charger.identity, "Triggered"))
        elif wanted == "Heartbeat":
            charger.post("Heartbeat", {})
        elif wanted == "MeterValues":
            for port in _ports(charger, number):
                charger.charging.flow(port, watt_hours=0)
        else:
            for port in _ports(charger, number):
                charger.report(port.number, charger.status(port.number))

    if wanted not in ("BootNotification", "Heartbeat", "MeterValues", "StatusNotification"):
        return Reply({"status": "NotImplemented"})
    return Reply({"status": "Accepted"}, send)


async def remote_start_transaction(charger: "SimulatedCharger", payload: Payload) -> Reply | None:
    """RemoteStartTransaction (§5.11), accepted without Authorize (AuthorizeRemoteTxRequests=false)."""
    begin = charger.charging.start_from_afar(payload["idTag"], payload.get("connectorId"))
    return Reply({"status": "Rejected"}) if begin is None else Reply({"status": "Accepted"}, begin)


async def remote_stop_transaction(charger: "SimulatedCharger", payload: Payload) -> Reply | None:
    """RemoteStopTransaction (§5.12)."""
    session = charger.charging.session_of(payload["transactionId"])
    if session is None:
        return Reply({"status": "Rejected"})
    port = charger.ports[session.port_number]
    return Reply({"status": "Accepted"}, lambda: charger.charging.end(port, "Remote"))


async def unlock_connector(charger: "SimulatedCharger", payload: Payload) -> Reply | None:
    """UnlockConnector (§5.18)."""
    port = charger.ports.get(payload["connectorId"])
    if port is None:
        return Reply({"status": "NotSupported"})
    return Reply({"status": "Unlocked"}, lambda: charger.charging.end(port, "UnlockCommand"))


def _authorization_key(charger: "SimulatedCharger", value: str) -> Reply:
    """The password as hexadecimal text; it is never shown (security white paper)."""
    try:
        password = bytes.fromhex(value)
    except ValueError:
        return Reply({"status": "Rejected"})
    if not 16 <= len(password) <= 20:
        return Reply({"status": "Rejected"})
    status, then = change_password(charger, password)
    return Reply({"status": status}, then)


def _ports(charger: "SimulatedCharger", number: int | None) -> list[Port]:
    return list(charger.ports.values()) if number is None else [charger.ports[number]]


def _configuration(charger: "SimulatedCharger") -> dict[str, str]:
    p = charger.personality
    profiles = ["Core", "FirmwareManagement", "LocalAuthListManagement", "SmartCharging", "RemoteTrigger"]
    if p.announces_reservations:
        profiles.append("Reservation")
    return {
        "SupportedFeatureProfiles": ",".join(profiles),
        "NumberOfConnectors": str(len(charger.ports)),
        "ReserveConnectorZeroSupported": "true" if p.whole_charger == "Accepted" else "false",
        "HeartbeatInterval": "300",
        "ConnectionTimeOut": "60",
        "MeterValueSampleInterval": "60",
        "AuthorizeRemoteTxRequests": "false",
        "WebSocketPingInterval": "0",
        **charger.configuration,
    }


HANDLERS: dict[str, Handler] = {
    "ReserveNow": reserve_now,
    "CancelReservation": cancel_reservation,
    "ChangeAvailability": change_availability,
    "Reset": reset,
    "GetConfiguration": get_configuration,
    "ChangeConfiguration": change_configuration,
    "TriggerMessage": trigger_message,
    "RemoteStartTransaction": remote_start_transaction,
    "RemoteStopTransaction": remote_stop_transaction,
    "UnlockConnector": unlock_connector,
    "ClearCache": answering({"status": "Accepted"}),
    "DataTransfer": answering({"status": "UnknownVendorId"}),
    "GetLocalListVersion": answering({"listVersion": 0}),
    "SendLocalList": answering({"status": "Accepted"}),
    "SetChargingProfile": answering({"status": "Accepted"}),
    "ClearChargingProfile": answering({"status": "Unknown"}),
    "GetCompositeSchedule": answering({"status": "Rejected"}),
    "GetDiagnostics": answering({}),
    "UpdateFirmware": answering({}),
}
