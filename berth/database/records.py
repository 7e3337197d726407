"""What the database gives and takes: frozen records, instants aware in UTC."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from berth.database.passwords import check_password

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

RIGHTS = frozenset({"reservations", "read", "admin"})
"""What an API key may be allowed to do."""

TOKEN_STATUSES = frozenset({"Accepted", "Blocked", "Expired", "Invalid"})
"""How a listed token may be answered (OCPP 1.6 §7.2, OCPP 2.0.1 AuthorizationStatusEnumType)."""


def as_row(record: "DataclassInstance") -> dict[str, Any]:
    """The record's fields by name, as they are: dataclasses.asdict would copy every value deeply."""
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class Port:
    """A place to plug in: a 1.6 connector or a 2.0.1 EVSE, with its last reported status."""

    id: int
    charger_id: int
    port_number: int
    name: str | None
    plug_type: str | None
    maximum_power_kw: float | None
    status: str | None
    status_at: datetime | None
    error_code: str | None
    vendor_error_code: str | None
    info: str | None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a charger can do; None = unknown, which is no "no" (OCPP leaves most of it unsaid)."""

    reservations: bool | None = None
    whole_charger: bool | None = None  # a reservation of any port: connector 0 (1.6), no EVSE (2.0.1)

    def updated(self, newer: "Capabilities") -> "Capabilities":
        """These, less what `newer` knows better."""
        return Capabilities(
            self.reservations if newer.reservations is None else newer.reservations,
            self.whole_charger if newer.whole_charger is None else newer.whole_charger,
        )


@dataclass(frozen=True, slots=True)
class Charger:
    """A charging device. `online` = its socket is ready for commands, `status_at` = since when (not)."""

    id: int
    ocpp_identity: str
    name: str | None
    site_id: str | None
    external_id: str | None
    manufacturer: str | None
    model: str | None
    serial_number: str | None
    firmware_version: str | None
    latitude: float | None
    longitude: float | None
    charger_type: str | None
    has_password: bool
    online: bool
    status_at: datetime | None  # None: never seen
    protocol: str | None  # of its last socket
    ports: tuple[Port, ...]
    capabilities: Capabilities = Capabilities()
    security_profile: int | None = (
        None  # the least it may connect with (OCPP 2.0.1 part 2 A00); None: not set
    )
    has_newer_password: bool = False  # it was sent one that it has not used yet


@dataclass(frozen=True, slots=True)
class NewPort:
    """A port to add or to change; its number is the one the charger uses (1, 2, …)."""

    port_number: int
    plug_type: str | None = None
    maximum_power_kw: float | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class NewCharger:
    """A charger to add."""

    ocpp_identity: str
    name: str | None = None
    site_id: str | None = None
    external_id: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    charger_type: str | None = None
    ports: Sequence[NewPort] = ()
    password: str | None = field(default=None, repr=False)
    security_profile: int | None = None


class ChargerChanges(TypedDict, total=False):
    """What can be changed of a charger; what is not named stays.

    Ports named are added or changed, the others stay. A password of None takes the password away; each
    password ends a change of it that is under way.
    """

    ocpp_identity: str
    name: str | None
    site_id: str | None
    external_id: str | None
    latitude: float | None
    longitude: float | None
    charger_type: str | None
    ports: Sequence[NewPort]
    password: str | None
    security_profile: int | None


@dataclass(frozen=True, slots=True)
class PortTarget:
    """Where a command for a port goes; `queue` and `epoch` are None unless its charger is ready."""

    port_id: int
    port_number: int
    charger_id: int
    ocpp_identity: str
    site_id: str | None
    queue: str | None
    epoch: int | None


@dataclass(frozen=True, slots=True)
class ChargerTarget:
    """Where a command for a whole charger goes; `queue` and `epoch` are None unless it is ready."""

    charger_id: int
    ocpp_identity: str
    site_id: str | None
    queue: str | None
    epoch: int | None


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A port shows another status than before; `port_id` is None for the charger itself (number 0).

    Where it is said so, `after` may be what it was before.
    """

    port_id: int | None
    port_number: int
    before: str | None
    after: str


@dataclass(frozen=True, slots=True)
class ChargerLook:
    """What is known of a charger and one of its ports at one moment."""

    queue: str | None  # where to reach it; None = offline
    epoch: int | None
    protocol: str | None
    ready_for: timedelta | None
    status: str | None  # of the port
    status_at: datetime | None
    events_waiting: bool  # for the workflow that looks


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a charger must show before its socket is opened."""

    charger_id: int
    password_hash: str | None = field(repr=False)
    security_profile: int | None = None
    newer_password_hashes: tuple[str, ...] = field(default=(), repr=False)

    async def check_password(self, presented: bytes) -> bool:
        """Whether these bytes, or the bytes they spell in hexadecimal, are the password (OCPP 1.6-J §6.2.2).

        False when the charger has none: whether it may come in without one is the caller's decision.
        """
        if self.password_hash is None:
            return False
        return await asyncio.to_thread(check_password, presented, self.password_hash)

    async def newer_password(self, presented: bytes) -> str | None:
        """The hash of the newer password that these bytes are; None when they are none of them."""
        for password_hash in self.newer_password_hashes:
            if await asyncio.to_thread(check_password, presented, password_hash):
                return password_hash
        return None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Who is calling and what they may see; a scope of None means all. The key itself is not kept."""

    id: int
    name: str
    rights: frozenset[str]
    site_ids: frozenset[str] | None
    charger_ids: frozenset[int] | None
    flipturn: bool
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None  # to the minute


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a request under an idempotency key was answered."""

    body_hash: str
    status_code: int
    answer_json: str


@dataclass(frozen=True, slots=True)
class Token:
    """A known driver's token, its group, and one of `TOKEN_STATUSES`."""

    id_tag: str
    parent_id_tag: str | None = None
    status: str = "Accepted"


@dataclass(frozen=True, slots=True)
class Link:
    """The live, ready socket of a charger."""

    charger_id: int
    incarnation: str
    queue: str
    epoch: int
    ready_at: datetime
    connected_at: datetime
    protocol: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A new socket of a charger."""

    epoch: int
    outage: timedelta | None  # from the end of its ready socket before; None: it never had one


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway process and how many sockets it holds, by the database's clock."""

    incarnation: str
    gateway_id: str
    chargers: int
    silent_for: timedelta  # since its last heartbeat
    lives: bool  # silent for less than 15 s
    drains: bool  # takes no new commands


@dataclass(frozen=True, slots=True)
class EventSubscription:
    """A run that its charger's events are sent to; it says who gets them, not what the charger holds."""

    workflow_id: str
    first_run_id: str
    charger_id: int
    reservation_id: int
    port_number: int | None  # None = any port
    id_tag: str
    parent_id_tag: str | None
    accepted: bool
    expires_at: datetime
    generation: int = 0  # of the last frame that was about to be sent for it; 0: none yet
    asked_at: datetime | None = None  # when the first one of this generation was, by the database's clock
    transactions_before: int | None = None  # the greatest transaction id there was then

    @property
    def was_asked(self) -> bool:
        """Whether a frame was about to be sent: the charger may hold this."""
        # A release that does not count enters accepted ones too.
        return self.generation > 0 or self.accepted

    @property
    def known_generation(self) -> int | None:
        """The generation, None for a row of a release that does not count."""
        return self.generation if self.generation > 0 or not self.accepted else None


@dataclass(frozen=True, slots=True)
class Transaction:
    """A charging session, open while `ended_at` is None. Meter values in Wh."""

    id: int
    charger_id: int
    port_number: int
    ocpp_transaction_id: str | None
    id_tag: str | None
    started_at: datetime
    meter_start: float | None
    reservation_id: int | None
    ended_at: datetime | None
    meter_stop: float | None
    reason: str | None
    attributed_to: str | None = None  # the workflow whose reservation it used up


@dataclass(frozen=True, slots=True)
class ReportedStart:
    """A transaction once a report of its start, or of more of it, is entered."""

    transaction_id: int
    at: datetime  # when it was entered, by the database's clock
    is_addition: bool  # it was known, and not its token or its reservation
    attributed_to: str | None  # so far
    taken: frozenset[str] = frozenset()  # of the rivals, those that other transactions were attributed to


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A fact to deliver to a workflow; `payload_json` is the signal's argument."""

    charger_id: int
    workflow_id: str
    kind: str
    payload_json: str


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A fact not yet delivered; ids increase in the order of storing and are never used twice."""

    id: int
    charger_id: int
    workflow_id: str
    kind: str
    payload_json: str
    stored_at: datetime


@dataclass(frozen=True, slots=True)
class Backlog:
    """Events not yet delivered: how many, and how old the oldest is (0 without any)."""

    count: int
    oldest_age: timedelta


@dataclass(frozen=True, slots=True)
class LoggedMessage:
    """One CALL with its answer, as shown by the message log. `id` is None until it is written."""

    created_at: datetime
    charger_id: int | None
    ocpp_identity: str
    protocol: str
    sender: Literal["charger", "berth"]
    message_type: str  # the action
    payload_json: str
    response_json: str | None = None
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where events go; it sees what its API key sees, less what its own scope leaves out."""

    id: int
    api_key_id: int
    url: str = field(repr=False)  # some receivers are known by it alone
    secret: str = field(repr=False)
    event_types: frozenset[str] | None  # None: all
    site_id: str | None  # None: all sites of its key
    created_at: datetime


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """An event, on its way to the webhooks that want it; `body_json` is what they get."""

    event_id: str
    event_type: str
    charger_id: int
    site_id: str | None
    body_json: str
    not_for_newer_than: datetime | None = None  # webhooks made after it do not receive it


DeliveryState = Literal["pending", "delivered", "given_up"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one webhook. `round` counts its replays, `attempts` go on through them."""

    id: int
    webhook_id: int
    event_id: str
    event_type: str
    body_json: str
    created_at: datetime
    state: DeliveryState
    round: int
    attempts: int
    last_attempt_at: datetime | None
    last_status: int | None  # of HTTP
    last_error: str | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """A delivery whose workflow is to be started."""

    id: int
    round: int
    webhook_id: int
    event_type: str


@dataclass(frozen=True, slots=True)
class DeliveryTarget:
    """What one attempt needs."""

    webhook_id: int
    event_id: str
    event_type: str
    body_json: str
    state: DeliveryState
    round: int
    url: str = field(repr=False)
    secret: str = field(repr=False)
    key_is_good: bool  # neither revoked nor expired


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A gateway lives."""

    loss_was_told: bool  # its chargers' disconnection was reported to webhooks


@dataclass(frozen=True, slots=True)
class Presence:
    """A charger came, or went: its socket `epoch` became ready, or ended, at `at`.

    `losses` distinguishes the events of one socket: it grows when a loss turns out to be none.
    """

    charger_id: int
    ocpp_identity: str
    site_id: str | None
    epoch: int
    losses: int
    is_connected: bool
    at: datetime
