"""What goes in and out of a reservation's workflow and its activities.

Every record is frozen and grows only by fields with defaults: histories outlive releases.
Instants are aware UTC, durations are timedeltas.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, JsonValue


class Record(BaseModel):
    """Base of every message."""

    model_config = ConfigDict(frozen=True)


class ReservationState(StrEnum):
    """Where a reservation stands; the last six are ends."""

    REQUESTED = "requested"
    SENDING = "sending"
    ACTIVE = "active"
    UNKNOWN = "unknown"
    USED = "used"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REMOVED = "removed"
    REJECTED = "rejected"
    FAILED = "failed"

    @property
    def is_end(self) -> bool:
        """Whether a reservation in this state is over."""
        return self in _ENDS


_ENDS = frozenset(
    {
        ReservationState.USED,
        ReservationState.EXPIRED,
        ReservationState.CANCELLED,
        ReservationState.REMOVED,
        ReservationState.REJECTED,
        ReservationState.FAILED,
    }
)


class ReserveStatus(StrEnum):
    """A charger's answer to ReserveNow (OCPP 1.6 §7.40, OCPP 2.0.1 ReserveNowStatusEnumType)."""

    ACCEPTED = "Accepted"
    FAULTED = "Faulted"
    OCCUPIED = "Occupied"
    REJECTED = "Rejected"
    UNAVAILABLE = "Unavailable"


class CancelStatus(StrEnum):
    """A charger's answer to CancelReservation; Rejected means "no reservation with that id"."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


class IdTagType(StrEnum):
    """OCPP 2.0.1 IdTokenEnumType, less NoAuthorization."""

    CENTRAL = "Central"
    EMAID = "eMAID"
    ISO14443 = "ISO14443"
    ISO15693 = "ISO15693"
    KEY_CODE = "KeyCode"
    LOCAL = "Local"
    MAC_ADDRESS = "MacAddress"


Pending = Literal["Pending"]
PENDING: Pending = "Pending"
"""The outcome is not known yet; ask again."""


class Route(Record):
    """Which gateway holds a charger's socket."""

    queue: str
    epoch: int


class Terms(Record):
    """What is reserved, for whom, until when. Two POSTs with equal terms ask for the same thing."""

    port_id: int | None
    port_number: int | None  # None = any port of the charger
    expires_at: AwareDatetime
    id_tag: str
    id_tag_type: IdTagType = IdTagType.CENTRAL
    parent_id_tag: str | None = None


class Policy(Record):
    """Durations a reservation lives by; they travel in the start input, workflows read no settings."""

    call_timeout: timedelta = timedelta(seconds=30)
    expiry_grace: timedelta = timedelta(seconds=30)
    settle: timedelta = timedelta(seconds=60)
    connection_timeout: timedelta = timedelta(seconds=120)
    linger: timedelta = timedelta(hours=24)
    quiet: timedelta = timedelta(seconds=1)  # for the last events, before a run closes
    # Real time in tests with skipped time, hence adjustable (not settings).
    schedule_to_start: timedelta = timedelta(seconds=5)
    heartbeat_timeout: timedelta = timedelta(seconds=10)
    write_within: timedelta = timedelta(seconds=10)


# --- the workflow ---------------------------------------------------------------------------------


class ReservationStart(Record):
    """Input of `ReservationWorkflow.run`: who this reservation is. What it asks for comes by `reserve`."""

    charger_id: int
    ocpp_identity: str
    reservation_id: int
    site_id: str | None = None
    policy: Policy = Policy()
    carried: dict[str, JsonValue] | None = None  # the record of the run that continued as this one


class ReserveRequest(Record):
    """Argument of the update `reserve`."""

    terms: Terms
    request_id: str = ""  # of the caller's request: taken once, however often and by whatever way it comes
    route: Route | None = None  # the API's look-up, a hint
    wait: timedelta = timedelta(seconds=35)  # answers Pending after this
    hold_while_offline: bool = False  # else an offline charger answers Pending at once
    offline_policy: Literal["retry", "reject"] = "retry"
    force: bool = False  # skips the one-holder-per-port check


class ReserveAnswer(Record):
    """Result of the update `reserve`: the charger's answer, or Pending."""

    status: ReserveStatus | Pending
    state: ReservationState
    reason: str | None = None
    holds: Terms | None = None  # what the charger holds now; after a refused change the former terms
    is_taken_up: bool = True  # False: Temporal has the request, no worker has seen it yet


class CancelRequest(Record):
    """Argument of the update `cancel`, and of the signal if it has one."""

    request_id: str = ""  # as that of a `ReserveRequest`
    wait: timedelta = timedelta(seconds=35)


class CancelAnswer(Record):
    """Result of the update `cancel`."""

    status: CancelStatus | Pending
    state: ReservationState
    reason: str | None = None
    was_live: bool = True  # False: no reservation lived under the number when the cancel's turn came


class ForwardCancelInput(Record):
    """Input of `ForwardCancelWorkflow.run`: a number that no reservation lives under."""

    charger_id: int
    ocpp_identity: str
    reservation_id: int
    policy: Policy = Policy()


class PasswordStatus(StrEnum):
    """A charger's answer to a new password, in words of OCPP 1.6 (ConfigurationStatus)."""

    ACCEPTED = "Accepted"
    REBOOT_REQUIRED = "RebootRequired"
    REJECTED = "Rejected"


class PasswordChange(Record):
    """Input of `ChangePasswordWorkflow.run`: whose password is changed. The gateway makes the new one up."""

    charger_id: int
    ocpp_identity: str
    policy: Policy = Policy()


class PasswordAnswer(Record):
    """Result of `ChangePasswordWorkflow.run`; Pending: the charger may have it or not."""

    status: PasswordStatus | Pending
    reason: str | None = None


class TimelineEntry(Record):
    """One line of a reservation's timeline, in words for people; never a token."""

    at: datetime
    event: str
    detail: str = ""


class Snapshot(Record):
    """Result of the query `snapshot`, and of the workflow itself."""

    charger_id: int
    reservation_id: int
    state: ReservationState
    terms: Terms | None
    status: ReserveStatus | None = None  # the charger's last answer to ReserveNow
    reason: str | None = None
    evidence: str | None = None  # which message said so
    waiting_since: datetime | None = None  # the charger is offline since
    ended_at: datetime | None = None
    transaction_id: str | None = None
    violations: int = 0
    commands_waiting: int = 0
    timeline: tuple[TimelineEntry, ...] = ()


# --- activities -----------------------------------------------------------------------------------


class ReserveNowInput(Record):
    """Argument of activity `ReserveNow` (runs in the gateway)."""

    charger_id: int
    reservation_id: int
    terms: Terms
    epoch: int | None = None  # the route's; another one now means wrong gateway
    force: bool = False
    call_timeout: timedelta = timedelta(seconds=30)
    write_within: timedelta = timedelta(seconds=10)
    first_run_id: str = ""
    generation: int = 1  # counts the ReserveNows of the number, in its first run and those that continue it
    is_repeat: bool = False  # the charger was asked before: an event on its way stands before this frame
    event_id: str = ""  # of the webhook event of an Accepted; empty: it is active already
    event_at: AwareDatetime | None = None  # the instant of that event, by the workflow's clock
    site_id: str | None = None


class ReserveNowResult(Record):
    """The charger's answer to ReserveNow: a status, or a CALLERROR."""

    status: ReserveStatus | None = None
    error: str | None = None  # a CALLERROR code, or "InvalidResponse"
    reason: str | None = None  # statusInfo.reasonCode, or "ReservedByOther" when no frame was sent
    sent: bool = True  # False: answered by Berth, the charger never saw a frame
    is_event_lost: bool = False  # accepted, and its webhook event could not be stored


class CancelReservationInput(Record):
    """Argument of activity `CancelReservation` (runs in the gateway)."""

    charger_id: int
    reservation_id: int
    epoch: int | None = None
    call_timeout: timedelta = timedelta(seconds=30)
    write_within: timedelta = timedelta(seconds=10)
    unless_live: bool = False  # refuse when a reservation of ours lives under the number
    moving_to: int | None = None  # the port number of a move: refused while another reservation holds it


class CancelReservationResult(Record):
    """The charger's answer to CancelReservation: a status, or a CALLERROR."""

    status: CancelStatus | None = None
    error: str | None = None
    is_port_held: bool = False  # no frame was sent: another reservation holds the port `moving_to`


class ChangePasswordInput(Record):
    """Argument of activity `ChangePassword` (runs in the gateway)."""

    charger_id: int
    epoch: int | None = None
    call_timeout: timedelta = timedelta(seconds=30)
    write_within: timedelta = timedelta(seconds=10)


class ChangePasswordResult(Record):
    """The charger's answer to its new password; no status: nothing that can be understood."""

    status: PasswordStatus | None = None
    reason: str | None = None  # its own word for a refusal, a CALLERROR as "OcppError:…", "InvalidResponse"


NOT_SENT = "NotSent"
"""Application error type: nothing reached the charger. Details: one `NotSentDetail`."""

IN_DOUBT = "InDoubt"
"""Application error type: written, and no valid answer came. Details: one `InDoubtDetail`."""

CHARGER_OFFLINE = "ChargerOffline"
"""Application error type of `WaitForCharger`: no ready socket yet; Temporal tries again."""


class NotSentDetail(Record):
    """Why a frame was not written."""

    cause: Literal[
        "wrong_gateway", "not_connected", "not_ready", "too_late", "socket_closed", "live", "events_waiting"
    ]


class InDoubtDetail(Record):
    """Why there is no answer to a frame that was written."""

    cause: Literal["timeout", "socket_closed", "gateway_lost"]
    after: timedelta = timedelta(0)  # from the write to the end of the socket or of the wait


class Subscription(Record):
    """A run that its charger's events are sent to: a row of `berth.database.subscriptions`."""

    charger_id: int
    reservation_id: int
    first_run_id: str
    terms: Terms


class LookInput(Record):
    """Argument of `LookAtCharger`."""

    charger_id: int
    port_number: int | None


class PortView(Record):
    """Result of `LookAtCharger`: what the database knows of a charger and one of its ports now."""

    route: Route | None  # None = offline
    ready_for: timedelta = timedelta(0)  # how long its socket has been ready
    protocol: str | None = None  # "ocpp1.6" | "ocpp2.0.1", while connected
    status: str | None = None  # the port's last reported status
    status_at: datetime | None = None  # when it was reported, by the gateway's clock
    events_waiting: bool = False  # events of this workflow are stored and not delivered yet


# --- signals: facts reported by the gateway -------------------------------------------------------


class Event(Record):
    """Base of the events. `first_run_id` names the run that subscribed; others ignore it.

    `generation` says, by the order of the database's transactions and no clock, what the charger had been
    sent when the event was stored: the `ReserveNowInput.generation` of the last ReserveNow, 0 before any.
    """

    event_id: int = 0  # our own id, increasing per charger; 0 = not stored, may repeat
    first_run_id: str = ""
    generation: int | None = None  # None: of a gateway that does not say; taken as the present one
    epoch: int | None = None  # of the socket on which it was reported; grows with each of a charger's sockets
    at: AwareDatetime  # when the gateway received it


class ChargerConnected(Event):
    """The charger is ready for commands on a new socket."""

    route: Route


class ChargerBooted(Event):
    """BootNotification was answered Accepted."""


class PortStatusChanged(Event):
    """A port reports another status than before, or its first one since the charger connected or booted.

    A change to Reserved is not sent: it is what a reservation expects.
    """

    port_number: int
    before: str | None = None  # equal to `status`: the first report, and no change
    status: str  # 1.6 ChargePointStatus, or the status derived from a 2.0.1 EVSE's connectors


class TransactionStarted(Event):
    """StartTransaction, or a TransactionEvent that is Started or carries a reservation id."""

    transaction_id: str
    port_number: int
    reservation_id: int | None = None
    is_id_live: bool = True  # a live reservation of this charger has that number
    is_known: bool = False  # it had been reported before the frame of this `generation` was sent
    id_tag: str | None = None
    parent_id_tag: str | None = None
    started_at: AwareDatetime | None = None  # the charger's own timestamp
    offline: bool = False  # reported from an offline queue: it began by its own time, not by its receipt


class TransactionEnded(Event):
    """StopTransaction, or TransactionEvent(Ended)."""

    transaction_id: str
    port_number: int | None = None


class PortReservedByOther(Event):
    """The charger accepted another reservation of the same port: it has replaced this one, or holds both."""

    port_number: int


class ReservationEnded(Event):
    """ReservationStatusUpdate (OCPP 2.0.1 H04.FR.01, H01.FR.16/17)."""

    reservation_id: int
    status: str  # Expired | Removed | NoTransaction
