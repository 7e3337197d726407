"""Reading a charger's answer to our commands; both versions use the same words."""

from enum import StrEnum
from typing import TypeVar

from gateway import fields
from gateway.frames import Answer, CallError, CallResult, Payload
from workflows.messages import (
    CancelReservationResult,
    CancelStatus,
    ChangePasswordResult,
    PasswordStatus,
    ReserveNowResult,
    ReserveStatus,
)

INVALID_RESPONSE = "InvalidResponse"
"""Error of an answer that says nothing: no status, an unknown one, a broken frame."""

_LONGEST_WORD = 50
"""Characters kept of a code or a reason, which OCPP bounds likewise: they go into every timeline."""

_PASSWORD_REFUSALS = frozenset(
    {
        "Rejected",
        "NotSupported",
        "UnknownComponent",
        "UnknownVariable",
        "NotSupportedAttributeType",
    }
)

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


def read_password_answer(answer: Answer) -> ChangePasswordResult:
    """The answer to ChangeConfiguration (1.6); each word but Accepted and RebootRequired is a refusal."""
    return _password_result(answer, answer.payload if isinstance(answer, CallResult) else {}, "status")


def read_set_password_answer(answer: Answer) -> ChangePasswordResult:
    """The answer to SetVariables of one variable (2.0.1), likewise."""
    results = answer.payload.get("setVariableResult") if isinstance(answer, CallResult) else None
    only = results[0] if isinstance(results, list) and len(results) == 1 else None
    return _password_result(answer, only if isinstance(only, dict) else {}, "attributeStatus")


def _password_result(answer: Answer, said: Payload, field: str) -> ChangePasswordResult:
    if isinstance(answer, CallError):
        return _password_refused(f"OcppError:{answer.code[:_LONGEST_WORD]}")
    word = fields.text(said, field)
    if word in (PasswordStatus.ACCEPTED, PasswordStatus.REBOOT_REQUIRED):
        return ChangePasswordResult(status=PasswordStatus(word))
    if word in _PASSWORD_REFUSALS:
        reason = fields.text(fields.record(said, "attributeStatusInfo"), "reasonCode")
        return _password_refused((reason or word)[:_LONGEST_WORD])
    return ChangePasswordResult(reason=INVALID_RESPONSE)


def _password_refused(reason: str) -> ChangePasswordResult:
    return ChangePasswordResult(status=PasswordStatus.REJECTED, reason=reason)


def _status(answer: Answer, statuses: type[S]) -> S | None:
    if not isinstance(answer, CallResult):
        return None
    said = fields.text(answer.payload, "status")
    return statuses(said) if said in set(statuses) else None
