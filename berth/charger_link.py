"""What the commands need of a charger's socket; the gateway implements it."""

from datetime import timedelta
from typing import Literal, Protocol

from workflows.messages import CancelReservationResult, ChangePasswordResult, ReserveNowResult, Terms

NotSentCause = Literal[
    "wrong_gateway", "not_connected", "not_ready", "too_late", "socket_closed", "live", "events_waiting"
]
InDoubtCause = Literal["timeout", "socket_closed", "gateway_lost"]


class NotSent(Exception):
    """Nothing reached the charger."""

    def __init__(self, cause: NotSentCause) -> None:
        self.cause: NotSentCause = cause
        super().__init__(cause)

    def __str__(self) -> str:
        return f"the frame was not written: {self.cause.replace('_', ' ')}"


class InDoubt(Exception):
    """The frame was written and no valid answer came; `after` counts from the write."""

    def __init__(self, cause: InDoubtCause, after: timedelta) -> None:
        self.cause: InDoubtCause = cause
        self.after = after
        super().__init__(cause, after)

    def __str__(self) -> str:
        return f"no answer: {self.cause.replace('_', ' ')} {self.after.total_seconds():.1f} s after the write"


class ChargerLink(Protocol):
    """One charger's socket. Its commands go out one at a time; a CALLERROR is a result.

    `write_before` is an instant of the event loop's clock: a frame not written by then is dropped.
    All commands raise NotSent or InDoubt, nothing else.
    """

    @property
    def epoch(self) -> int:
        """Which of the charger's sockets this is."""

    @property
    def is_ready(self) -> bool:
        """Whether the charger takes commands: its BootNotification was accepted, here or before."""

    async def reserve_now(
        self, reservation_id: int, terms: Terms, *, call_timeout: timedelta, write_before: float
    ) -> ReserveNowResult:
        """Send ReserveNow and wait for the answer."""

    async def cancel_reservation(
        self, reservation_id: int, *, call_timeout: timedelta, write_before: float
    ) -> CancelReservationResult:
        """Send CancelReservation and wait for the answer."""

    async def change_password(
        self, password: str, *, call_timeout: timedelta, write_before: float
    ) -> ChangePasswordResult:
        """Tell the charger its new password and wait for the answer."""


class ChargerLinks(Protocol):
    """All sockets this process holds."""

    def of(self, charger_id: int) -> ChargerLink | None:
        """The charger's socket, None when it is not connected here."""
