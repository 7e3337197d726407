"""Words for a charger's refusal."""

from workflows.messages import ReserveNowResult, ReserveStatus

CANNOT_RESERVE = frozenset({"NotImplemented", "NotSupported"})
"""CALLERRORs of chargers that know no reservations."""


def status_of(answer: ReserveNowResult) -> ReserveStatus:
    """The status callers are told; a CALLERROR is a Rejected."""
    return answer.status or ReserveStatus.REJECTED


def reason_of(answer: ReserveNowResult) -> str | None:
    """The reason callers are told."""
    if answer.error in CANNOT_RESERVE:
        return "ReservationUnsupported"
    if answer.error is not None:
        return answer.error if answer.error == "InvalidResponse" else f"OcppError:{answer.error}"
    return answer.reason
