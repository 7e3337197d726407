"""Reading a charger's answer to ReserveNow and CancelReservation; both versions use the same words."""

from enum import StrEnum
from typing import TypeVar

from gateway import fields
from gateway.frames import Answer, CallError, CallResult
from workflows.messages import CancelReservationResult, CancelStatus, ReserveNowResult, ReserveStatus

INVALID_RESPONSE = "InvalidResponse"
"""Error of an answer that says nothing: no status, an unknown one, a broken frame."""

_LONGEST_WORD = 50
"""Characters kept of a code or a reason, which OCPP bounds likewise: they go into every workflow's story."""

S = TypeVar("S", bound=StrEnum)


def read_reserve_answer(answer: Answer) -> ReserveNowResult:
    """The status, a CALLERROR's code, or INVALID_RESPONSE; the reason is statusInfo.reasonCode (2.0.1)."""
    if isinstance(answer, CallError):
        return ReserveNowResult(error=answer.code[:_LONGEST_WORD] or INVALID_RESPONSE)
    status = _status(answer, ReserveStatus)
    if status is None or not isinstance(answer, CallResult):
        return ReserveNowResult(error=INVALID_RESPONSE)
    reason = fields.text(fields.record(answer.payload, "statusInfo"), "reasonCode") or ""
    return ReserveNowResult(status=status, reason=reason[:_LONGEST_WORD] or None)


def read_cancel_answer(answer: Answer) -> CancelReservationResult:
    """The status, a CALLERROR's code, or INVALID_RESPONSE."""
    if isinstance(answer, CallError):
        return CancelReservationResult(error=answer.code[:_LONGEST_WORD] or INVALID_RESPONSE)
    status = _status(answer, CancelStatus)
    return CancelReservationResult(status=status, error=None if status else INVALID_RESPONSE)


def _status(answer: Answer, statuses: type[S]) -> S | None:
    if not isinstance(answer, CallResult):
        return None
    said = fields.text(answer.payload, "status")
    return statuses(said) if said in set(statuses) else None
