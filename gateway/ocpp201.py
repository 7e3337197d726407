"""OCPP 2.0.1: the one place that translates between its messages and Berth's own types.

Inbound: every action of a charging station, answered with a payload that fits its schema whatever came in.
Outbound: ReserveNow and CancelReservation. A port is an EVSE; its connectors are reported one by one.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from berth.database import Transaction
from gateway import capability_answers as capabilities
from gateway import fields
from gateway.charger_events import WHOLE_CHARGER
from gateway.command_answers import read_set_password_answer
from gateway.dialect import Dialect
from gateway.frames import Payload
from gateway.reports import (
    ACCEPTED,
    ChargerReports,
    PortReport,
    TokenVerdict,
    TransactionEndReport,
    TransactionReport,
)
from workflows.messages import IdTagType, Terms

HEARTBEAT_INTERVAL = 300
"""Seconds between a station's heartbeats; websocket pings find dead sockets sooner."""

_MAX_ID_TOKEN = 36
_STATUSES = {
    status.casefold(): status for status in ("Available", "Occupied", "Reserved", "Unavailable", "Faulted")
}
_AUTHORIZING = ("Authorized", "RemoteStart")  # E03, F02: at the reader, or from afar
_ENDS_OF_RESERVATION = ("Expired", "Removed", "NoTransaction")
_LONGEST_CHARGE = 7 * 86400.0  # seconds; what says more is taken for a mistake


async def boot_notification(reports: ChargerReports, payload: Payload) -> Payload:
    """B01."""
    station = fields.record(payload, "chargingStation")
    await reports.booted(
        manufacturer=fields.text(station, "vendorName"),
        model=fields.text(station, "model"),
        serial_number=fields.text(station, "serialNumber"),
        firmware_version=fields.text(station, "firmwareVersion"),
    )
    return {"status": "Accepted", "currentTime": _now(), "interval": HEARTBEAT_INTERVAL}


async def heartbeat(reports: ChargerReports, payload: Payload) -> Payload:
    """G02: the station sets its clock by the answer."""
    return {"currentTime": _now()}


async def status_notification(reports: ChargerReports, payload: Payload) -> Payload:
    """G01; EVSE 0 is the station itself."""
    await _connector_status(
        reports,
        evse_id=fields.integer(payload, "evseId"),
        connector_id=fields.integer(payload, "connectorId"),
        status=fields.text(payload, "connectorStatus"),
    )
    return {}


async def notify_event(reports: ChargerReports, payload: Payload) -> Payload:
    """N07; AvailabilityState of a Connector says the same as a StatusNotification (errata 2023-09 §2.8.1)."""
    for event in fields.records(payload, "eventData"):
        component = fields.record(event, "component")
        variable = fields.record(event, "variable")
        if _is_named(component, "Connector") and _is_named(variable, "AvailabilityState"):
            evse = fields.record(component, "evse")
            await _connector_status(
                reports,
                evse_id=fields.integer(evse, "id"),
                connector_id=fields.integer(evse, "connectorId"),
                status=fields.text(event, "actualValue"),
            )
    return {}


async def authorize(reports: ChargerReports, payload: Payload) -> Payload:
    """C01; the group must be in the answer (C01.FR.06, C09.FR.09)."""
    id_token = fields.record(payload, "idToken")
    return {"idTokenInfo": _id_token_info(await _verdict(reports, id_token), id_token)}


async def transaction_event(reports: ChargerReports, payload: Payload) -> Payload:
    """E01–E15. The reservation id may come with any event (E01.FR.13, E02.FR.03, E03.FR.03)."""
    id_token = fields.record(payload, "idToken")
    verdict = await _verdict(reports, id_token) if id_token else None
    transaction_id = fields.text(fields.record(payload, "transactionInfo"), "transactionId")
    if transaction_id:
        await _transaction(reports, payload, transaction_id, verdict)
    # E01.FR.12, E02.FR.02, E03.FR.02, C09.FR.12
    return {} if verdict is None else {"idTokenInfo": _id_token_info(verdict, id_token)}


async def reservation_status_update(reports: ChargerReports, payload: Payload) -> Payload:
    """H04.FR.01 (Expired), H01.FR.16/17 (Removed)."""
    reservation_id = fields.integer(payload, "reservationId")
    status = fields.text(payload, "reservationUpdateStatus")
    if reservation_id is not None and status in _ENDS_OF_RESERVATION:
        await reports.reservation_ended(reservation_id, status)
    return {}


async def data_transfer(reports: ChargerReports, payload: Payload) -> Payload:
    """P02: Berth knows no vendor."""
    return {"status": "UnknownVendorId"}


async def accept(reports: ChargerReports, payload: Payload) -> Payload:
    """Messages Berth takes note of."""
    return {"status": "Accepted"}


async def reject(reports: ChargerReports, payload: Payload) -> Payload:
    """Requests for what Berth does not do."""
    return {"status": "Rejected"}


async def fail_certificate_status(reports: ChargerReports, payload: Payload) -> Payload:
    """M06: Berth asks no OCSP server."""
    return {"status": "Failed"}


async def fail_ev_certificate(reports: ChargerReports, payload: Payload) -> Payload:
    """M01/M02: Berth has no contract certificates."""
    return {"status": "Failed", "exiResponse": ""}


async def acknowledge(reports: ChargerReports, payload: Payload) -> Payload:
    """Messages that need no more than an answer."""
    return {}


def reserve_now(reservation_id: int, terms: Terms, name_group: bool) -> Payload:
    """ReserveNowRequest (H01). Never a connectorType; no evseId = any EVSE (H01.FR.04, FR.06)."""
    payload: Payload = {
        "id": reservation_id,
        "expiryDateTime": fields.wire_time(terms.expires_at),
        "idToken": {"idToken": terms.id_tag, "type": terms.id_tag_type.value},
    }
    if terms.port_number is not None:
        payload["evseId"] = terms.port_number
    if terms.parent_id_tag is not None and name_group:
        payload["groupIdToken"] = {"idToken": terms.parent_id_tag, "type": terms.id_tag_type.value}
    return payload


def cancel_reservation(reservation_id: int) -> Payload:
    """CancelReservationRequest (H02)."""
    return {"reservationId": reservation_id}


async def _connector_status(
    reports: ChargerReports, evse_id: int | None, connector_id: int | None, status: str | None
) -> None:
    known = _STATUSES.get((status or "").casefold())
    if evse_id is not None and known is not None:
        await reports.port_status(
            PortReport(port_number=evse_id, connector_id=connector_id or 0, status=known)
        )


def _is_named(thing: Payload, name: str) -> bool:
    # Names of components and variables are case-insensitive.
    return (fields.text(thing, "name") or "").casefold() == name.casefold()


async def _verdict(reports: ChargerReports, id_token: Payload) -> TokenVerdict:
    if fields.text(id_token, "type") == "NoAuthorization":  # C02.FR.01
        return TokenVerdict(ACCEPTED)
    return await reports.token(fields.text(id_token, "idToken"))


async def _transaction(
    reports: ChargerReports, payload: Payload, transaction_id: str, verdict: TokenVerdict | None
) -> None:
    event_type = fields.text(payload, "eventType")
    evse_id = fields.integer(fields.record(payload, "evse"), "id")
    is_first = event_type == "Started"
    says_who = fields.record(payload, "idToken") or fields.integer(payload, "reservationId") is not None
    known = None
    if not is_first and (says_who or evse_id is None):
        known = await reports.known_transaction(transaction_id)
    if evse_id is None and known is not None:
        evse_id = known.port_number
    start = _start(payload, transaction_id, WHOLE_CHARGER if evse_id is None else evse_id)
    if is_first or _is_news(payload, start, known):
        if known is None and not is_first:
            start = _of_lost_start(payload, start)
        await reports.transaction_started(start, verdict.parent_id_tag if verdict else None)
    if event_type == "Ended":
        await reports.transaction_ended(
            TransactionEndReport(
                ocpp_transaction_id=transaction_id,
                port_number=evse_id,
                ended_at=fields.instant(payload, "timestamp"),
                reason=fields.text(fields.record(payload, "transactionInfo"), "stoppedReason"),
            )
        )


def _start(payload: Payload, transaction_id: str, port_number: int) -> TransactionReport:
    return TransactionReport(
        port_number=port_number,
        id_tag=fields.text(fields.record(payload, "idToken"), "idToken") or None,
        started_at=fields.instant(payload, "timestamp"),
        reservation_id=fields.integer(payload, "reservationId"),
        ocpp_transaction_id=transaction_id,
        offline=payload.get("offline") is True,
    )


def _is_news(payload: Payload, start: TransactionReport, known: Transaction | None) -> bool:
    """Whether an event that is no start names the token or the reservation of its transaction first."""
    names_reservation = (start.reservation_id or 0) > 0
    if known is None:
        return names_reservation or start.id_tag is not None
    # A token that authorizes a running transaction is as good as its start: the cable came first (E02).
    names_token = start.id_tag is not None and fields.text(payload, "triggerReason") in _AUTHORIZING
    return (names_token and known.id_tag is None) or (
        names_reservation and known.reservation_id != start.reservation_id
    )


def _of_lost_start(payload: Payload, start: TransactionReport) -> TransactionReport:
    """What stands for a Started that never came, lost with an offline queue (E04, E12).

    Only a card at the reader shows that something begins with it. Else the transaction began by its own time,
    at the latest when it had charged for as long as it says.
    """
    is_authorized_now = fields.text(payload, "triggerReason") in _AUTHORIZING
    if start.started_at is None or (is_authorized_now and payload.get("eventType") == "Updated"):
        return start
    charged = fields.number(fields.record(payload, "transactionInfo"), "timeSpentCharging")
    charged_for = timedelta(seconds=min(max(charged or 0.0, 0.0), _LONGEST_CHARGE))
    return replace(start, started_at=start.started_at - charged_for, offline=True)


def change_password(password: str) -> tuple[str, Payload]:
    """SetVariables of BasicAuthPassword (A01.FR.02)."""
    wanted = {
        "component": {"name": "SecurityCtrlr"},
        "variable": {"name": "BasicAuthPassword"},
        "attributeType": "Actual",
        "attributeValue": password,
    }
    return "SetVariables", {"setVariableData": [wanted]}


def _id_token_info(verdict: TokenVerdict, id_token: Payload) -> Payload:
    info: Payload = {"status": verdict.status}
    if verdict.parent_id_tag and len(verdict.parent_id_tag) <= _MAX_ID_TOKEN:
        token_type = fields.text(id_token, "type")
        known_type = token_type if token_type in set(IdTagType) else IdTagType.CENTRAL.value
        info["groupIdToken"] = {"idToken": verdict.parent_id_tag, "type": known_type}
    return info


def _now() -> str:
    return fields.wire_time(datetime.now(UTC))


OCPP201 = Dialect(
    version="2.0.1",
    subprotocol="ocpp2.0.1",
    routes={
        "Authorize": authorize,
        "BootNotification": boot_notification,
        "ClearedChargingLimit": acknowledge,
        "DataTransfer": data_transfer,
        "FirmwareStatusNotification": acknowledge,
        "Get15118EVCertificate": fail_ev_certificate,
        "GetCertificateStatus": fail_certificate_status,
        "Heartbeat": heartbeat,
        "LogStatusNotification": acknowledge,
        "MeterValues": acknowledge,
        "NotifyChargingLimit": acknowledge,
        "NotifyCustomerInformation": acknowledge,
        "NotifyDisplayMessages": acknowledge,
        "NotifyEVChargingNeeds": reject,
        "NotifyEVChargingSchedule": accept,
        "NotifyEvent": notify_event,
        "NotifyMonitoringReport": acknowledge,
        "NotifyReport": acknowledge,
        "PublishFirmwareStatusNotification": acknowledge,
        "ReportChargingProfiles": acknowledge,
        "ReservationStatusUpdate": reservation_status_update,
        "SecurityEventNotification": acknowledge,
        "SignCertificate": reject,
        "StatusNotification": status_notification,
        "TransactionEvent": transaction_event,
    },
    fault_codes={
        "FormatViolation": "FormatViolation",
        "RpcFrameworkError": "RpcFrameworkError",
        "MessageTypeNotSupported": "MessageTypeNotSupported",
    },
    reserve_now=reserve_now,
    cancel_reservation=cancel_reservation,
    change_password=change_password,
    read_password_answer=read_set_password_answer,
    inquiry=("GetVariables", capabilities.ASK_VARIABLES),
    read_capabilities=capabilities.read_variables,
)
