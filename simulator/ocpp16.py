"""OCPP 1.6: how a charger words what it has to say."""

from datetime import datetime
from typing import Any

from simulator.clock import NEVER, read_time, wire_time
from simulator.dialect import EndedBecause, Message
from simulator.personality import Personality, Version
from simulator.ports import Port, PortStatus
from simulator.reservations import Answer, Reservation
from simulator.sessions import Session, TransactionMessage
from simulator.wire import Payload

_UNKNOWN_TRANSACTION = -1  # what a charger uses when StartTransaction was never answered (errata 3.18)


class Ocpp16:
    """The 1.6 dialect of a personality."""

    version: Version = "1.6"
    subprotocol = "ocpp1.6"

    def __init__(self, personality: Personality) -> None:
        self.personality = personality

    def boot(self, identity: str, reason: str) -> Message:
        """BootNotification.req."""
        p = self.personality
        return "BootNotification", {
            "chargePointVendor": p.vendor[:20],
            "chargePointModel": p.model[:20],
            "chargePointSerialNumber": identity[:25],
            "firmwareVersion": p.firmware_version,
        }

    def statuses(self, port: Port | None, status: PortStatus, at: datetime) -> list[Message]:
        """StatusNotification.req."""
        payload: Payload = {
            "connectorId": 0 if port is None else port.number,
            "errorCode": "GroundFailure" if status is PortStatus.FAULTED else "NoError",
            "status": status.value,
        }
        if self.personality.status_timestamp:
            payload["timestamp"] = self._time(at)
        return [("StatusNotification", payload)]

    def authorize(self, id_tag: str, id_tag_type: str | None) -> Message:
        """Authorize.req."""
        return "Authorize", {"idTag": id_tag}

    def authorized(self, answer: Payload) -> tuple[bool, str | None]:
        """Read Authorize.conf."""
        info: dict[str, Any] = answer.get("idTagInfo", {})
        return info.get("status") == "Accepted", info.get("parentIdTag")

    def reservation(self, payload: Payload) -> Reservation:
        """Read ReserveNow.req; connector 0 is the whole charger. Raises ValueError."""
        return Reservation(
            reservation_id=payload["reservationId"],
            port_number=payload["connectorId"] or None,
            id_tag=payload["idTag"],
            parent_id_tag=payload.get("parentIdTag"),
            expires_at=_expiry(payload["expiryDate"], self.personality),
        )

    def reserve_answer(self, answer: Answer) -> Payload:
        """ReserveNow.conf or CancelReservation.conf."""
        return {"status": answer.reply}

    def reservation_ended(self, reservation_id: int, because: EndedBecause) -> Message | None:
        """Version 1.6 tells by status only."""
        return None

    def started(self, session: Session, was_offline: bool) -> TransactionMessage:
        """StartTransaction.req."""
        payload: Payload = {
            "connectorId": session.port_number,
            "idTag": session.id_tag,
            "meterStart": session.meter_start,
            "timestamp": self._time(session.started_at),
        }
        tells = self.personality.tells_reservation_id
        if was_offline:
            tells = tells and self.personality.offline_tells_reservation_id
        if session.reservation_id is not None and tells:
            payload["reservationId"] = session.reservation_id  # 1.6 §4.8
        return TransactionMessage(session, "StartTransaction", payload, was_offline)

    def authorized_later(
        self, session: Session, was_offline: bool, at: datetime
    ) -> TransactionMessage | None:
        """In 1.6 a transaction starts with its token."""
        return None

    def metered(self, session: Session, port: Port, was_offline: bool, at: datetime) -> TransactionMessage:
        """MeterValues.req."""
        sample = {"value": str(port.meter), "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
        payload: Payload = {
            "connectorId": port.number,
            "meterValue": [{"timestamp": self._time(at), "sampledValue": [sample]}],
        }
        return TransactionMessage(session, "MeterValues", payload, was_offline)

    def ended(
        self, session: Session, port: Port, reason: str, was_offline: bool, at: datetime
    ) -> TransactionMessage:
        """StopTransaction.req."""
        payload: Payload = {"meterStop": port.meter, "timestamp": self._time(at), "reason": reason}
        if session.id_tag is not None and reason == "Local":
            payload["idTag"] = session.id_tag
        return TransactionMessage(session, "StopTransaction", payload, was_offline)

    def completed(self, message: TransactionMessage, now: datetime) -> Payload:
        """The payload with the transaction id, which StartTransaction.conf brought."""
        payload = dict(message.payload)
        if message.was_offline and not self.personality.offline_keeps_timestamp and "timestamp" in payload:
            payload["timestamp"] = self._time(now)
        if message.action != "StartTransaction":
            known = message.session.transaction_id
            payload["transactionId"] = _UNKNOWN_TRANSACTION if known is None else known
        return payload

    def taken(self, message: TransactionMessage, answer: Payload) -> bool:
        """Read StartTransaction.conf; the others bring nothing."""
        if message.action != "StartTransaction":
            return True
        message.session.transaction_id = answer.get("transactionId")
        accepted, parent_id_tag = self.authorized(answer)
        message.session.parent_id_tag = parent_id_tag or message.session.parent_id_tag
        return accepted

    def _time(self, at: datetime) -> str:
        p = self.personality
        return wire_time(at, p.timestamps_with_milliseconds, p.time_zone)


def _expiry(text: str, personality: Personality) -> datetime:
    try:
        return read_time(text, personality.ignores_utc_offset)
    except ValueError:
        if personality.bad_date == "Accepted":
            return NEVER
        raise
