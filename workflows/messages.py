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
    carried: dict[str, JsonValue] | None = None  # the memory of the run that continued as this one
    revision: int = 0  # of the steps it takes (workflows/revision.py)


class ReserveRequest(Record):
    """Argument of the update `reserve`."""

    terms: Terms
    route: Route | None = None  # the API's look-up, a hint
    wait: timedelta = timedelta(seconds=35)  # answers Pending after this
    hold_while_offline: bool = False  # else an offline charger answers Pending at once
    offline_policy: Literal["retry", "reject"] = "retry"
    force: bool = False  # skips the one-holder-per-port check


class ReserveAnswer(Record):
    """Result of the update `reserve`: the charger's word, or Pending."""

    status: ReserveStatus | Pending
    state: ReservationState
    reason: str | None = None
    holds: Terms | None = None  # what the charger holds now; after a refused change the former terms


class CancelRequest(Record):
    """Argument of the update `cancel`."""

    wait: timedelta = timedelta(seconds=35)


class CancelAnswer(Record):
    """Result of the update `cancel`."""

    status: CancelStatus | Pending
    state: ReservationState
    reason: str | None = None


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
    """One line of a reservation's story, in words for people; never a token."""

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
    event_id: str = ""  # under which webhooks are told of an Accepted; empty: it is active already
    site_id: str | None = None


class ReserveNowResult(Record):
    """What the charger said to ReserveNow: a status, or a CALLERROR."""

    status: ReserveStatus | None = None
    error: str | None = None  # a CALLERROR code, or "InvalidResponse"
    reason: str | None = None  # statusInfo.reasonCode, or "ReservedByOther" when no frame was sent
    sent: bool = True  # False: answered by Berth, the charger never saw a frame
    is_untold: bool = False  # accepted, and webhooks could not be told


class CancelReservationInput(Record):
    """Argument of activity `CancelReservation` (runs in the gateway)."""

    charger_id: int
    reservation_id: int
    epoch: int | None = None
    call_timeout: timedelta = timedelta(seconds=30)
    write_within: timedelta = timedelta(seconds=10)
    unless_live: bool = False  # refuse when a reservation of ours lives under the number


class CancelReservationResult(Record):
    """What the charger said to CancelReservation: a status, or a CALLERROR."""

    status: CancelStatus | None = None
    error: str | None = None


class ChangePasswordInput(Record):
    """Argument of activity `ChangePassword` (runs in the gateway)."""

    charger_id: int
    epoch: int | None = None
    call_timeout: timedelta = timedelta(seconds=30)
    write_within: timedelta = timedelta(seconds=10)


class ChangePasswordResult(Record):
    """What the charger said to its new password; no status: nothing that can be understood."""

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

    cause: Literal["wrong_gateway", "not_connected", "not_ready", "too_late", "socket_closed", "live"]


class InDoubtDetail(Record):
    """Why there is no answer to a frame that was written."""

    cause: Literal["timeout", "socket_closed", "gateway_lost"]
    after: timedelta = timedelta(0)  # from the write to the end of the socket or of the wait


class Listener(Record):
    """A run that wants to hear of its charger's events: a row of `directory.live`."""

    charger_id: int
    reservation_id: int
    first_run_id: str
    terms: Terms


class LookInput(Record):
    """Argument of the local activity `LookAtCharger`."""

    charger_id: int
    port_number: int | None


class ForgetInput(Record):
    """Argument of the local activity `ForgetListener`."""

    charger_id: int
    reservation_id: int
    first_run_id: str


class PortView(Record):
    """Result of `LookAtCharger`: what the directory knows of a charger and one of its ports now."""

    route: Route | None  # None = offline
    ready_for: timedelta = timedelta(0)  # how long its socket has been ready
    protocol: str | None = None  # "ocpp1.6" | "ocpp2.0.1", while connected
    status: str | None = None  # the port's last reported status
    status_at: datetime | None = None  # when Berth was told (its own clock)


# --- signals: facts reported by the gateway -------------------------------------------------------


class Event(Record):
    """Base of the events. `first_run_id` names the run that listens; others ignore it."""

    event_id: int = 0  # our own id, increasing per charger; 0 = not stored, may repeat
    first_run_id: str = ""
    at: AwareDatetime  # when the gateway received it


class ChargerConnected(Event):
    """The charger is ready for commands on a new socket."""

    route: Route


class ChargerBooted(Event):
    """BootNotification was answered Accepted."""


class PortStatusChanged(Event):
    """A port reports another status than before. Nobody is told of Reserved: it is what they expect."""

    port_number: int
    before: str | None = None
    status: str  # 1.6 ChargePointStatus, or the status derived from a 2.0.1 EVSE's connectors


class TransactionStarted(Event):
    """StartTransaction, or a TransactionEvent that is Started or carries a reservation id."""

    transaction_id: str
    port_number: int
    reservation_id: int | None = None
    id_tag: str | None = None
    parent_id_tag: str | None = None
    started_at: AwareDatetime | None = None  # the charger's own timestamp
    offline: bool = False


class TransactionEnded(Event):
    """StopTransaction, or TransactionEvent(Ended)."""

    transaction_id: str
    port_number: int | None = None


class ReservationEnded(Event):
    """ReservationStatusUpdate (OCPP 2.0.1 H04.FR.01, H01.FR.16/17)."""

    reservation_id: int
    status: str  # Expired | Removed | NoTransaction
