"""What a charger does when told to, in either version: reservations, and the answers all share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.ports import PortStatus
from simulator.reservations import Answer
from simulator.wire import NoAnswer, Payload, Posted, error_text, result_text

if TYPE_CHECKING:
    from simulator.charger import SimulatedCharger

Handler = Callable[["SimulatedCharger", Payload], Awaitable["Reply | None"]]
"""Does what a CALL asks; None is a charger that dies of it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and what happens once it is written."""

    payload: Payload
    then: Callable[[], Any] | None = None
    code: str | None = None
    description: str = ""
    details: Any = None

    @classmethod
    def error(cls, code: str, description: str = "", details: Any = None) -> "Reply":
        """A CALLERROR."""
        return cls({}, None, code, description, details)

    def text(self, message_id: str) -> str:
        """The frame."""
        if self.code is None:
            return result_text(message_id, self.payload)
        return error_text(message_id, self.code, self.description, self.details)


def change_password(charger: "SimulatedCharger", password: bytes) -> tuple[str, Callable[[], Any] | None]:
    """A new password: the status to answer, and what to do then (security white paper, 2.0.1 A01)."""
    status = charger.change_password(password)
    return status, charger.hang_up_soon if status == "Accepted" else None


async def reserve_now(charger: "SimulatedCharger", payload: Payload) -> Reply | None:
    """ReserveNow (1.6 §5.13, 2.0.1 H01)."""
    p = charger.personality
    try:
        request = charger.dialect.reservation(payload)
    except ValueError:
        return _worded(charger, Answer(p.bad_date, "bad_date"))
    if p.authorizes_before_answer:
        accepted, _ = await charger.authorize(request.id_tag, request.id_tag_type)
        if not accepted:
            return _worded(charger, Answer("Rejected", "token"))
    answer = charger.table.reserve(request)
    charger.reservations_changed()
    reply = _worded(charger, answer)
    if p.reserved_status == "before_answer":
        await _wait_for(charger, charger.report_changes())
        return reply
    if p.reserved_status == "never":
        charger.conceal_changes()
        return reply
    return Reply(reply.payload, charger.report_changes, reply.code, reply.description, reply.details)


async def cancel_reservation(charger: "SimulatedCharger", payload: Payload) -> Reply | None:
    """CancelReservation (1.6 §5.1, 2.0.1 H02)."""
    p = charger.personality
    held = {one.reservation_id: one.port_number for one in charger.table.held}
    answer = charger.table.cancel(payload["reservationId"])
    if answer is None:
        return None
    charger.reservations_changed()
    reply = _worded(charger, answer)
    port_number = held.get(payload["reservationId"])

    def report() -> list[Posted]:
        if answer.accepted and p.cancel_always_reports_available and port_number is not None:
            charger.reported[port_number] = PortStatus.AVAILABLE
            return charger.report(port_number, PortStatus.AVAILABLE)
        return charger.report_changes()

    if p.available_on_cancel == "before_answer":
        await _wait_for(charger, report())
        return reply
    if p.available_on_cancel == "never":
        charger.conceal_changes()
        return reply
    return Reply(reply.payload, report, reply.code, reply.description, reply.details)


def answering(payload: Payload) -> Handler:
    """A handler that always gives this answer."""

    async def handler(charger: "SimulatedCharger", request: Payload) -> Reply | None:
        return Reply(payload)

    return handler


def _worded(charger: "SimulatedCharger", answer: Answer) -> Reply:
    if answer.is_status:
        return Reply(charger.dialect.reserve_answer(answer))
    p = charger.personality
    return Reply.error(answer.reply, p.error_text, p.error_details)


async def _wait_for(charger: "SimulatedCharger", reports: list[Posted]) -> None:
    for posted in reports:
        waited = posted.answer if charger.personality.waits_for_status_reply else posted.written
        try:
            await waited
        except NoAnswer:
            return
