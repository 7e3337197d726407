"""What a reservation does next, as data: the workflow performs it and hands its outcome back."""

from dataclasses import dataclass
from datetime import datetime

from workflows.messages import CancelReservationInput, ReserveNowInput, Route, Subscription
from workflows.reservation.inputs import Decision, LookFor
from workflows.webhook_events import UnsubscribeInput, WebhookEvent


@dataclass(frozen=True)
class SendReserveNow:
    """Send ReserveNow over the route; `summary` is for the Temporal UI."""

    argument: ReserveNowInput
    route: Route
    summary: str


@dataclass(frozen=True)
class SendCancelReservation:
    """Send CancelReservation over the route."""

    argument: CancelReservationInput
    route: Route
    summary: str


@dataclass(frozen=True)
class Look:
    """Look at what the database knows of the charger and the port (None: of the charger alone)."""

    purpose: LookFor
    port_number: int | None


@dataclass(frozen=True)
class WaitForCharger:
    """Wait until the charger is ready on a socket, at most until `until`; an input comes first."""

    subscription: Subscription
    until: datetime | None


@dataclass(frozen=True)
class StoreEvents:
    """Store webhook events; `forever`: until that succeeds. Else the reservation goes on after a while."""

    events: tuple[WebhookEvent, ...]
    forever: bool


@dataclass(frozen=True)
class Unsubscribe:
    """Remove the subscription, and store the last webhook events with that."""

    argument: UnsubscribeInput


@dataclass(frozen=True)
class Wait:
    """Sleep until an input comes, at most until `until`."""

    until: datetime | None
    summary: str


@dataclass(frozen=True)
class Close:
    """Return, unless an input comes before all callers have their answers."""


Step = (
    Decision
    | SendReserveNow
    | SendCancelReservation
    | Look
    | WaitForCharger
    | StoreEvents
    | Unsubscribe
    | Wait
    | Close
)
