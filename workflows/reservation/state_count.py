"""The metric of states that reservations reach: its name and labels; the workflow counts.

The SDK's meter is part of no history and silent in replay, so a workflow that counts stays deterministic, and
no replay counts twice. A step that a dying worker had not finished is taken, and counted, again.
"""

from workflows.messages import ReservationState, ReserveStatus

NAME = "berth_reservations"
"""The exporter adds `_total`."""

DESCRIPTION = (
    "Reservations that reached a state, counted by the workflow itself; a change of the reason alone counts "
    "too. "
    "`reason` is one of Berth's own words, the charger's status for a refusal without one, `OcppError`, "
    "`none`, or `other`: what chargers say by themselves is no label."
)
LABELS = ("state", "reason")

NO_REASON, OTHER, OCPP_ERROR = "none", "other", "OcppError"

OWN_REASONS = frozenset(
    {
        "ChangeRefused",
        "ChargerFailsOnCommand",
        "ChargerNotReady",
        "ChargerOffline",
        "ConsumedWithoutTransaction",
        "InvalidRequest",
        "InvalidResponse",
        "LostByCharger",
        "NeverRequested",
        "NoResponse",
        "PortFaulted",
        "PortUnavailable",
        "RemovedByCharger",
        "ReservationUnsupported",
        "ReservedByOther",
        "Superseded",
        "UnknownReservation",
    }
)


def reason_class(state: ReservationState, reason: str | None, status: ReserveStatus | None) -> str:
    """The reason as one of a closed list."""
    if reason in OWN_REASONS:
        return str(reason)
    if state is ReservationState.REJECTED and status is not None:
        return status.value
    if reason is None:
        return NO_REASON
    return OCPP_ERROR if reason.startswith(f"{OCPP_ERROR}:") else OTHER
