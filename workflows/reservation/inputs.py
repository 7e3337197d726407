"""The inputs of a reservation: a command, an event of its charger, the outcome of a step."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from workflows.messages import (
    CancelReservationResult,
    Event,
    InDoubtDetail,
    NotSentDetail,
    PortView,
    ReserveNowInput,
    ReserveNowResult,
    ReserveRequest,
    Route,
)


@dataclass(frozen=True)
class ReserveCommand:
    """A caller's `reserve`.

    `key` names the call to answer and `answer_by` when it is answered Pending; both None: nobody waits.
    """

    request: ReserveRequest
    key: int | None = None
    answer_by: datetime | None = None

    @property
    def request_id(self) -> str:
        """Which request it is: a call and a signal with one id are one request."""
        return self.request.request_id


@dataclass(frozen=True)
class CancelCommand:
    """A caller's `cancel`; `key` and `answer_by` as of a ReserveCommand."""

    request_id: str = ""
    key: int | None = None
    answer_by: datetime | None = None
    note: str = ""  # how it came, for the timeline


Command = ReserveCommand | CancelCommand


@dataclass(frozen=True)
class ReserveOutcome:
    """What became of a ReserveNow that was asked for at `asked_at`."""

    argument: ReserveNowInput
    asked_at: datetime
    result: ReserveNowResult | NotSentDetail | InDoubtDetail


@dataclass(frozen=True)
class CancelOutcome:
    """What became of a CancelReservation."""

    result: CancelReservationResult | NotSentDetail | InDoubtDetail


class LookFor(Enum):
    """Why the charger is looked at."""

    ROUTE = auto()
    CHECK = auto()
    EXPIRY = auto()


@dataclass(frozen=True)
class Looked:
    """What a look at the charger showed."""

    purpose: LookFor
    view: PortView


@dataclass(frozen=True)
class ChargerBack:
    """The wait for the charger is over."""

    route: Route


@dataclass(frozen=True)
class EventsStored:
    """Whether the webhook events of a StoreEvents are in the database."""

    count: int
    succeeded: bool


@dataclass(frozen=True)
class Unsubscribed:
    """The subscription is gone, and `count` webhook events were stored with that."""

    count: int


@dataclass(frozen=True)
class Tick:
    """Time has passed: callers whose time is over are answered Pending; in a hurry, all of them."""

    in_hurry: bool = False


class Decision(Enum):
    """Steps that need nothing from outside are inputs themselves."""

    FINISH = "what was asked for is done: the end that was under way is reached"
    GIVE_UP_UNASKED = "nobody asked for anything"
    EXPIRE_UNHELD = "the time is over, and the charger holds nothing"
    STOP_WATCHING = "the time for late reports is over"
    CONCLUDE_REFUSED_CANCEL = "no transaction explains why the charger did not know the number we cancelled"
    BEGIN_SENDING = "the charger is reached: its first frame goes out next"


Outcome = ReserveOutcome | CancelOutcome | Looked | ChargerBack | EventsStored | Unsubscribed
Input = Command | Event | Outcome | Decision | Tick
