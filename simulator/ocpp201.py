"""OCPP 2.0.1: how a charger words what it has to say."""

from datetime import datetime
from typing import Any

from simulator.clock import NEVER, read_time, wire_time
from simulator.dialect import EndedBecause, Message
from simulator.personality import Personality, Version
from simulator.ports import Phase, Port, PortStatus
from simulator.reservations import Answer, Reservation
from simulator.sessions import Session, TransactionMessage
from simulator.wire import Payload

_STOPPED_BY = {
    "Local": "StopAuthorized",
    "Remote": "RemoteStop",
    "EVDisconnected": "EVCommunicationLost",
    "DeAuthorized": "Deauthorized",
}
_WORDS = {
    PortStatus.PREPARING: "Occupied",
    PortStatus.CHARGING: "Occupied",
    PortStatus.FINISHING: "Occupied",
}


class Ocpp201:
    """The 2.0.1 dialect of a personality."""

    version: Version = "2.0.1"
    subprotocol = "ocpp2.0.1"

    def __init__(self, personality: Personality) -> None:
        self.personality = personality
        self._event_id = 0

    def boot(self, identity: str, reason: str) -> Message:
        """BootNotificationRequest."""
        p = self.personality
        station = {
            "vendorName": p.vendor[:50],
            "model": p.model[:20],
            "serialNumber": identity[:25],
            "firmwareVersion": p.firmware_version,
        }
        return "BootNotification", {"reason": reason, "chargingStation": station}

    def statuses(self, port: Port | None, status: PortStatus, at: datetime) -> list[Message]:
        """One report for each connector of the EVSE (H01.FR.20, H01.FR.23)."""
        p = self.personality
        if port is None:
            return [self._status(0, 0, "Available", at)] if p.reports_evse_zero else []
        messages: list[Message] = []
        for connector_id in range(1, len(port.plug_types) + 1):
            word = _word(port, status, connector_id)
            if p.status_report != "NotifyEvent":
                messages.append(self._status(port.number, connector_id, word, at))
            if p.status_report != "StatusNotification":
                messages.append(self._event(port.number, connector_id, word, at))
        return messages

    def authorize(self, id_tag: str, id_tag_type: str | None) -> Message:
        """AuthorizeRequest."""
        return "Authorize", {"idToken": self._token(id_tag, id_tag_type)}

    def authorized(self, answer: Payload) -> tuple[bool, str | None]:
        """Read AuthorizeResponse, or the idTokenInfo of a TransactionEventResponse."""
        info: dict[str, Any] = answer.get("idTokenInfo", {})
        group: dict[str, Any] = info.get("groupIdToken", {})
        return info.get("status") == "Accepted", group.get("idToken")

    def reservation(self, payload: Payload) -> Reservation:
        """Read ReserveNowRequest. Raises ValueError."""
        try:
            expires_at = read_time(payload["expiryDateTime"], self.personality.ignores_utc_offset)
        except ValueError:
            if self.personality.bad_date != "Accepted":
                raise
            expires_at = NEVER
        return Reservation(
            reservation_id=payload["id"],
            port_number=payload.get("evseId"),
            id_tag=payload["idToken"]["idToken"],
            id_tag_type=payload["idToken"]["type"],
            parent_id_tag=payload.get("groupIdToken", {}).get("idToken"),
            plug_type=payload.get("connectorType"),
            expires_at=expires_at,
        )

    def reserve_answer(self, answer: Answer) -> Payload:
        """ReserveNowResponse or CancelReservationResponse."""
        reason_code = self.personality.reason_codes.get(answer.cause)
        if reason_code is None:
            return {"status": answer.reply}
        info = {"reasonCode": reason_code, "additionalInfo": answer.cause.replace("_", " ")}
        return {"status": answer.reply, "statusInfo": info}

    def reservation_ended(self, reservation_id: int, because: EndedBecause) -> Message | None:
        """ReservationStatusUpdateRequest."""
        p = self.personality
        if not (p.expired_update if because == "Expired" else p.removed_update):
            return None
        return "ReservationStatusUpdate", {
            "reservationId": reservation_id,
            "reservationUpdateStatus": because,
        }

    def started(self, session: Session, was_offline: bool) -> TransactionMessage:
        """TransactionEventRequest Started, by the token or by the cable."""
        trigger, info = _authorized(session)
        if session.id_tag is None:
            trigger, info = "CablePluggedIn", {"chargingState": "EVConnected"}
        return self._event_of(session, "Started", trigger, info, was_offline, session.started_at)

    def authorized_later(
        self, session: Session, was_offline: bool, at: datetime
    ) -> TransactionMessage | None:
        """TransactionEventRequest Updated, the first with the token (E03.FR.02, F02)."""
        trigger, info = _authorized(session)
        return self._event_of(session, "Updated", trigger, info, was_offline, at)

    def metered(self, session: Session, port: Port, was_offline: bool, at: datetime) -> TransactionMessage:
        """TransactionEventRequest Updated with a reading."""
        info: Payload = {"chargingState": "Charging"}
        message = self._event_of(session, "Updated", "MeterValuePeriodic", info, was_offline, at)
        sample = {"value": port.meter, "measurand": "Energy.Active.Import.Register"}
        message.payload["meterValue"] = [{"timestamp": self._time(at), "sampledValue": [sample]}]
        return message

    def ended(
        self, session: Session, port: Port, reason: str, was_offline: bool, at: datetime
    ) -> TransactionMessage:
        """TransactionEventRequest Ended."""
        stopped = reason if reason not in ("HardReset", "SoftReset") else "ImmediateReset"
        trigger = _STOPPED_BY.get(reason, "AbnormalCondition")
        message = self._event_of(session, "Ended", trigger, {"stoppedReason": stopped}, was_offline, at)
        if self.personality.tells_reservation_id_when_ended and session.reservation_id is not None:
            message.payload["reservationId"] = session.reservation_id
        return message

    def completed(self, message: TransactionMessage, now: datetime) -> Payload:
        """The payload; an old one may get a new time."""
        payload = dict(message.payload)
        if message.was_offline and not self.personality.offline_keeps_timestamp:
            payload["timestamp"] = self._time(now)
        return payload

    def taken(self, message: TransactionMessage, answer: Payload) -> bool:
        """Read TransactionEventResponse."""
        if "idTokenInfo" not in answer:
            return True
        accepted, parent_id_tag = self.authorized(answer)
        message.session.parent_id_tag = parent_id_tag or message.session.parent_id_tag
        return accepted

    def _event_of(
        self, session: Session, kind: str, trigger: str, info: Payload, was_offline: bool, at: datetime
    ) -> TransactionMessage:
        payload: Payload = {
            "eventType": kind,
            "timestamp": self._time(at),
            "triggerReason": trigger,
            "seqNo": session.sequence,
            "transactionInfo": {"transactionId": session.transaction_id, **info},
        }
        session.sequence += 1
        if kind == "Started" or trigger in ("Authorized", "RemoteStart"):
            payload["evse"] = {"id": session.port_number, "connectorId": session.connector_id}
        if session.id_tag is not None and trigger in ("Authorized", "RemoteStart", "StopAuthorized"):
            payload["idToken"] = self._token(session.id_tag, session.id_tag_type)
        tells = self.personality.tells_reservation_id
        if was_offline:
            payload["offline"] = True
            tells = tells and self.personality.offline_tells_reservation_id
        if session.reservation_id is not None and not session.reservation_told and tells:
            payload["reservationId"] = session.reservation_id  # E01.FR.13, E02.FR.03, E03.FR.03, F02.FR.06
            session.reservation_told = True
        return TransactionMessage(session, "TransactionEvent", payload, was_offline)

    def _status(self, evse_id: int, connector_id: int, word: str, at: datetime) -> Message:
        return "StatusNotification", {
            "timestamp": self._time(at),
            "connectorStatus": word,
            "evseId": evse_id,
            "connectorId": connector_id,
        }

    def _event(self, evse_id: int, connector_id: int, word: str, at: datetime) -> Message:
        self._event_id += 1
        event = {
            "eventId": self._event_id,
            "timestamp": self._time(at),
            "trigger": "Delta",
            "actualValue": word,
            "eventNotificationType": "HardWiredNotification",
            "component": {"name": "Connector", "evse": {"id": evse_id, "connectorId": connector_id}},
            "variable": {"name": "AvailabilityState"},
        }
        return "NotifyEvent", {"generatedAt": self._time(at), "seqNo": 0, "eventData": [event]}

    def _token(self, id_tag: str, id_tag_type: str | None) -> Payload:
        return {"idToken": id_tag, "type": self.personality.reports_token_type or id_tag_type or "ISO14443"}

    def _time(self, at: datetime) -> str:
        p = self.personality
        return wire_time(at, p.timestamps_with_milliseconds, p.time_zone)


def _authorized(session: Session) -> tuple[str, Payload]:
    """The trigger and transactionInfo of the event that brings the token."""
    info: Payload = {"chargingState": "Charging"}
    if session.remote_start_id is None:
        return "Authorized", info
    return "RemoteStart", {**info, "remoteStartId": session.remote_start_id}


def _word(port: Port, status: PortStatus, connector_id: int) -> str:
    if status not in _WORDS:
        return status.value
    if port.phase is Phase.AUTHORIZED and not port.is_plugged:
        return "Available"  # H03.FR.10: the token has come, the cable has not
    # The other connectors of a busy EVSE cannot be used meanwhile.
    return "Occupied" if connector_id == port.plugged_connector else "Unavailable"
