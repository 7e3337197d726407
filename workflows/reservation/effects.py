"""What follows from an input, as data: the workflow carries it out."""

from dataclasses import dataclass

from workflows.messages import (
    CancelAnswer,
    ReservationState,
    ReserveAnswer,
    ReserveStatus,
    Terms,
    TimelineEntry,
)


@dataclass(frozen=True)
class Answer:
    """Answer the call of that key."""

    key: int
    answer: ReserveAnswer | CancelAnswer


@dataclass(frozen=True)
class Note:
    """The timeline has a new line, for the Temporal UI too."""

    entry: TimelineEntry


@dataclass(frozen=True)
class StateReached:
    """The reservation is in this state now: count it, log it, let lists find it."""

    state: ReservationState
    reason: str | None
    status: ReserveStatus | None


@dataclass(frozen=True)
class TermsShown:
    """Let lists find the reservation by its port and expiry."""

    terms: Terms


Effect = Answer | Note | StateReached | TermsShown
