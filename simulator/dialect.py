"""What the two versions say differently; everything else in the simulator is version-free."""

from datetime import datetime
from typing import Literal, Protocol

from simulator.personality import Personality, Version
from simulator.ports import Port, PortStatus
from simulator.reservations import Answer, Reservation
from simulator.sessions import Session, TransactionMessage
from simulator.wire import Payload

Message = tuple[str, Payload]
"""An action and its payload."""

EndedBecause = Literal["Expired", "Removed"]
"""ReservationUpdateStatusEnumType of OCPP 2.0.1."""


class Dialect(Protocol):
    """One version's wording of the messages a charger sends, and its reading of those it receives."""

    version: Version
    subprotocol: str
    personality: Personality

    def boot(self, identity: str, reason: str) -> Message:
        """BootNotification; reason in the words of 2.0.1 BootReasonEnumType."""

    def statuses(self, port: Port | None, status: PortStatus, at: datetime) -> list[Message]:
        """The status of a port, or of the charger itself (None)."""

    def authorize(self, id_tag: str, id_tag_type: str | None) -> Message:
        """Ask whether a token is welcome."""

    def authorized(self, answer: Payload) -> tuple[bool, str | None]:
        """Whether it is, and its group."""

    def reservation(self, payload: Payload) -> Reservation:
        """What ReserveNow asks for. Raises ValueError when the date cannot be read."""

    def reserve_answer(self, answer: Answer) -> Payload:
        """The answer to ReserveNow or CancelReservation."""

    def reservation_ended(self, reservation_id: int, because: EndedBecause) -> Message | None:
        """A reservation ended by itself; None where the version has no word for it."""

    def started(self, session: Session, was_offline: bool) -> TransactionMessage:
        """A session began."""

    def authorized_later(
        self, session: Session, was_offline: bool, at: datetime
    ) -> TransactionMessage | None:
        """The token came after the session began."""

    def metered(self, session: Session, port: Port, was_offline: bool, at: datetime) -> TransactionMessage:
        """A meter reading."""

    def ended(
        self, session: Session, port: Port, reason: str, was_offline: bool, at: datetime
    ) -> TransactionMessage:
        """A session ended; reason in the words of 1.6 Reason and 2.0.1 ReasonEnumType."""

    def completed(self, message: TransactionMessage, now: datetime) -> Payload:
        """The payload as it goes out now."""

    def taken(self, message: TransactionMessage, answer: Payload) -> bool:
        """Learn from the answer; False when the token was refused."""
