"""OCPP 1.6: the one place that translates between its messages and Berth's own types.

Inbound: every action of a charger, answered with a payload that fits its schema whatever came in.
Outbound: ReserveNow and CancelReservation.
"""

from datetime import UTC, datetime

from gateway import capability_answers as capabilities
from gateway import fields
from gateway.command_answers import read_password_answer
from gateway.dialect import Dialect
from gateway.frames import Payload
from gateway.reports import (
    ChargerReports,
    PortReport,
    TokenVerdict,
    TransactionEndReport,
    TransactionReport,
)
from workflows.messages import Terms

HEARTBEAT_INTERVAL = 300
"""Seconds between a charger's heartbeats; websocket pings find dead sockets sooner."""

ANY_CONNECTOR = 0

_MAX_ID_TAG = 20
_STATUSES = {
    status.casefold(): status
    for status in (
        "Available",
        "Preparing",
        "Charging",
        "SuspendedEVSE",
        "SuspendedEV",
        "Finishing",
        "Reserved",
        "Unavailable",
        "Faulted",
    )
}


async def boot_notification(reports: ChargerReports, payload: Payload) -> Payload:
    """OCPP 1.6 §4.2."""
    await reports.booted(
        manufacturer=fields.text(payload, "chargePointVendor"),
        model=fields.text(payload, "chargePointModel"),
        serial_number=fields.text(payload, "chargePointSerialNumber")
        or fields.text(payload, "chargeBoxSerialNumber"),
        firmware_version=fields.text(payload, "firmwareVersion"),
    )
    return {"status": "Accepted", "currentTime": _now(), "interval": HEARTBEAT_INTERVAL}


async def heartbeat(reports: ChargerReports, payload: Payload) -> Payload:
    """OCPP 1.6 §4.6: the charger sets its clock by the answer."""
    return {"currentTime": _now()}


async def status_notification(reports: ChargerReports, payload: Payload) -> Payload:
    """OCPP 1.6 §4.9; connector 0 is the charger itself."""
    port_number = fields.integer(payload, "connectorId")
    status = _STATUSES.get((fields.text(payload, "status") or "").casefold())
    if port_number is not None and status is not None:
        await reports.port_status(
            PortReport(
                port_number=port_number,
                connector_id=1,
                status=status,
                error_code=fields.text(payload, "errorCode"),
                vendor_error_code=fields.text(payload, "vendorErrorCode"),
                info=fields.text(payload, "info"),
            )
        )
    return {}


async def authorize(reports: ChargerReports, payload: Payload) -> Payload:
    """OCPP 1.6 §4.1; the parent makes group reservations work (§5.13)."""
    return {"idTagInfo": _id_tag_info(await reports.token(fields.text(payload, "idTag")))}


async def start_transaction(reports: ChargerReports, payload: Payload) -> Payload:
    """OCPP 1.6 §4.8. The transaction is entered also for a token that is not accepted: it has begun."""
    id_tag = fields.text(payload, "idTag")
    verdict = await reports.token(id_tag)
    transaction_id = await reports.transaction_started(
        TransactionReport(
            port_number=fields.integer(payload, "connectorId") or ANY_CONNECTOR,
            id_tag=id_tag,
            started_at=fields.instant(payload, "timestamp"),
            meter_start=fields.number(payload, "meterStart"),
            reservation_id=fields.integer(payload, "reservationId"),
        ),
        verdict.parent_id_tag,
    )
    return {"idTagInfo": _id_tag_info(verdict), "transactionId": transaction_id}


async def stop_transaction(reports: ChargerReports, payload: Payload) -> Payload:
    """OCPP 1.6 §4.10. A charger that never got its id sends -1 (errata §3.18): answered as usual."""
    transaction_id = fields.integer(payload, "transactionId")
    if transaction_id is not None and transaction_id > 0:
        await reports.transaction_ended(
            TransactionEndReport(
                transaction_id=transaction_id,
                ended_at=fields.instant(payload, "timestamp"),
                meter_stop=fields.number(payload, "meterStop"),
                reason=fields.text(payload, "reason"),
            )
        )
    id_tag = fields.text(payload, "idTag")
    return {"idTagInfo": _id_tag_info(await reports.token(id_tag))} if id_tag else {}


async def data_transfer(reports: ChargerReports, payload: Payload) -> Payload:
    """OCPP 1.6 §4.3: Berth knows no vendor."""
    return {"status": "UnknownVendorId"}


async def sign_certificate(reports: ChargerReports, payload: Payload) -> Payload:
    """Security extension: no CertificateSigned would follow."""
    return {"status": "Rejected"}


async def acknowledge(reports: ChargerReports, payload: Payload) -> Payload:
    """Messages that need no more than an answer."""
    return {}


def reserve_now(reservation_id: int, terms: Terms, name_group: bool) -> Payload:
    """ReserveNow.req (§6.37). The tag keeps its case: some chargers compare it exactly (MicroOcpp)."""
    payload: Payload = {
        "connectorId": ANY_CONNECTOR if terms.port_number is None else terms.port_number,
        "expiryDate": fields.wire_time(terms.expires_at),
        "idTag": terms.id_tag,
        "reservationId": reservation_id,
    }
    if terms.parent_id_tag is not None:
        payload["parentIdTag"] = terms.parent_id_tag
    return payload


def cancel_reservation(reservation_id: int) -> Payload:
    """CancelReservation.req (§6.3)."""
    return {"reservationId": reservation_id}


def change_password(password: str) -> tuple[str, Payload]:
    """ChangeConfiguration.req of AuthorizationKey: bytes as hexadecimal text (security white paper, A01)."""
    return "ChangeConfiguration", {"key": "AuthorizationKey", "value": password.encode().hex()}


def _id_tag_info(verdict: TokenVerdict) -> Payload:
    info: Payload = {"status": verdict.status}
    if verdict.parent_id_tag and len(verdict.parent_id_tag) <= _MAX_ID_TAG:
        info["parentIdTag"] = verdict.parent_id_tag
    return info


def _now() -> str:
    return fields.wire_time(datetime.now(UTC))


OCPP16 = Dialect(
    version="1.6",
    subprotocol="ocpp1.6",
    routes={
        "Authorize": authorize,
        "BootNotification": boot_notification,
        "DataTransfer": data_transfer,
        "DiagnosticsStatusNotification": acknowledge,
        "FirmwareStatusNotification": acknowledge,
        "Heartbeat": heartbeat,
        "LogStatusNotification": acknowledge,
        "MeterValues": acknowledge,
        "SecurityEventNotification": acknowledge,
        "SignCertificate": sign_certificate,
        "SignedFirmwareStatusNotification": acknowledge,
        "StartTransaction": start_transaction,
        "StatusNotification": status_notification,
        "StopTransaction": stop_transaction,
    },
    # Sic (OCPP-J 1.6 §4.2.3). Unknown message types are ignored (§4.1.3), messages without an id too.
    fault_codes={"FormatViolation": "FormationViolation"},
    reserve_now=reserve_now,
    cancel_reservation=cancel_reservation,
    change_password=change_password,
    read_password_answer=read_password_answer,
    inquiry=("GetConfiguration", capabilities.ASK_CONFIGURATION),
    read_capabilities=capabilities.read_configuration,
)
