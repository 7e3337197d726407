"""How one make of charger behaves, as data.

Every field is a row of what was observed on the wire of real chargers; its default is what the
specification asks for. `simulator/personalities/` holds one TOML file for each make, naming only
what differs. Behaviour code reads fields and never asks for a personality's name.
"""

import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import Literal

from pydantic import BaseModel, ConfigDict

from simulator.clock import TimeZone

Version = Literal["1.6", "2.0.1"]
"""The OCPP version a charger speaks."""

Reply = Literal[
    "Accepted",
    "Faulted",
    "Occupied",
    "Rejected",
    "Unavailable",
    "FormationViolation",
    "FormatViolation",
    "GenericError",
    "InternalError",
    "NotImplemented",
    "NotSupported",
    "OccurenceConstraintViolation",
    "OccurrenceConstraintViolation",
    "PropertyConstraintViolation",
    "ProtocolError",
    "SecurityError",
    "TypeConstraintViolation",
]
"""A status of ReserveNow, or the code of a CALLERROR."""

STATUSES = frozenset({"Accepted", "Faulted", "Occupied", "Rejected", "Unavailable"})

Moment = Literal["before_answer", "after_answer", "never"]
"""When a change of status is reported, seen from the answer to the command that caused it."""

ForeignStart = Literal["refused", "starts_without_id", "starts_with_id"]
"""What a token that reserved nothing achieves at a reserved port."""


class Personality(BaseModel):
    """One make of charger."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    name: str
    description: str
    versions: tuple[Version, ...] = ("1.6", "2.0.1")
    vendor: str = "Berth"
    model: str = "Simulator"
    firmware_version: str = "1.0"

    # Answers to ReserveNow
    reservations: Literal["supported", "Rejected", "NotImplemented", "NotSupported"] = "supported"
    """What it makes of ReserveNow and CancelReservation at all; Rejected means switched off."""
    announces_reservations: bool = True
    """The feature is listed in SupportedFeatureProfiles or ReservationCtrlr."""
    holds_reservations: bool = True
    """False: it says Accepted to everything and remembers nothing."""
    reserved_by_other: Reply = "Occupied"
    """Another reservation holds the port; Accepted overwrites that one."""
    one_reservation_per_tag: bool = False
    """A tag that already holds a reservation gets Occupied."""
    same_id_same_port: Reply = "Accepted"
    same_id_other_port: Literal["moves", "holds_both", "Occupied", "Rejected"] = "moves"
    replacement_checks_port: bool = True
    """False: a known id is overwritten whatever the port is doing."""
    failed_replacement_keeps_old: bool = True
    charging: Reply = "Occupied"
    preparing: Reply = "Occupied"
    finishing: Reply = "Occupied"
    faulted: Reply = "Faulted"
    inoperative: Reply = "Unavailable"
    unknown_port: Reply = "Rejected"
    error_text: str = ""
    """The description in its CALLERRORs."""
    error_details: dict[str, str] | str = {}
    """The details in its CALLERRORs; a string where an object is due is seen in the field."""
    reason_codes: dict[str, str] = {}
    """statusInfo.reasonCode by cause (`unknown_port`, `plug_type`), OCPP 2.0.1 only."""
    whole_charger: Literal["Accepted", "Rejected", "first_port"] = "Accepted"
    """Connector 0 or no evseId; `first_port` silently reserves port 1."""
    second_whole_charger: Literal["by_free_ports", "Occupied"] = "by_free_ports"
    keeps_a_port_free: bool = True
    """It shows Reserved, and refuses others, once a whole-charger reservation needs every free port."""
    whole_charger_shows_port_zero: bool = False
    """StatusNotification(0, Reserved), which OCPP 1.6 does not allow."""
    checks_plug_type: bool = True
    past_expiry: Literal["Rejected", "Accepted", "ignored"] = "Rejected"
    """An expiry in the past; `ignored` answers Accepted and holds nothing."""
    bad_date: Reply = "PropertyConstraintViolation"
    missing_token: Reply | None = None
    """None: the error the specification of its version names."""
    ignores_utc_offset: bool = False
    authorizes_before_answer: bool = False
    """Authorize inside ReserveNow; not accepted means Rejected."""
    authorize_timeout: float = 30.0
    """Seconds it waits for the central system's answers."""
    cancel_unknown: Literal["Rejected", "Accepted", "drops_socket"] = "Rejected"
    token_case_sensitive: bool = False
    token_type_matters: bool = True

    # Signalling of reservations
    reserved_status: Moment = "after_answer"
    available_on_cancel: Moment = "after_answer"
    waits_for_status_reply: bool = False
    """It answers only after the central system has answered its StatusNotification."""
    cancel_always_reports_available: bool = False
    """Available after a cancel even while the port is inoperative or faulted."""
    expiry_tick: float | Literal["never"] = 0.0
    """Seconds between looks at its expired reservations; 0 = to the moment, never = it does not look."""
    expiry_survives_disconnect: bool = True
    """False: after an outage reservations no longer expire."""
    available_on_expiry: bool = True
    expired_update: bool = True
    """ReservationStatusUpdate Expired, OCPP 2.0.1 only."""
    expired_update_after_outage: bool = True
    fault_drops_reservation: bool = True
    removed_update: bool = True
    """ReservationStatusUpdate Removed, OCPP 2.0.1 only."""
    status_report: Literal["StatusNotification", "NotifyEvent", "both"] = "StatusNotification"
    """OCPP 2.0.1 only."""
    reports_evse_zero: bool = False
    status_timestamp: bool = True
    """OCPP 1.6 only, where it is optional."""
    timestamps_with_milliseconds: bool = True
    time_zone: TimeZone = "utc"
    """Of its timestamps; `_untold` names no zone."""

    # Use
    authorizes_reserved_tag: bool = True
    authorizes_foreign_tag: bool = True
    """False: a token that does not hold the port is refused with nothing on the wire."""
    authorizes_central_tokens: bool = True
    """False: a token of type Central is let in unasked, OCPP 2.0.1 only."""
    tells_reservation_id: bool = True
    tells_reservation_id_when_ended: bool = False
    group_tag: Literal["starts_with_id", "starts_without_id", "refused"] = "starts_with_id"
    """`starts_without_id` leaves the reservation standing."""
    wrong_tag: ForeignStart = "refused"
    remote_wrong_tag: ForeignStart = "refused"
    remote_wrong_tag_drops_reservation: bool = False
    reservation_usable_elsewhere: bool = False
    """A reservation of port 1 is used by its tag at port 2."""
    use_clears_all_of_tag: bool = False
    reports_token_type: str | None = None
    """The idToken type it reports whatever was reserved, OCPP 2.0.1 only."""
    transaction_starts: Literal["authorized_and_plugged", "plugged"] = "authorized_and_plugged"
    """`plugged`: the transaction is Started by the cable, the token follows in Updated; OCPP 2.0.1 only."""

    # Security
    password_change: Literal["Accepted", "RebootRequired", "Rejected"] = "Accepted"  # noqa: S105
    """Its answer to a new password; Accepted also reconnects with it."""

    # Connection, restart, offline
    reconnect_seconds: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    """Waits before each attempt; the last one repeats."""
    reconnects: bool = True
    """False: its process ends with the socket; only a reboot brings it back."""
    boots_on_reconnect: bool = False
    reports_on_reconnect: Literal["changed", "all", "none"] = "changed"
    forgets_on_reconnect: bool = False
    restart: Literal["keeps", "keeps_shows_available", "forgets"] = "keeps"
    offline_transactions: Literal["before_status", "after_status"] = "after_status"
    offline_tells_reservation_id: bool = True
    offline_keeps_timestamp: bool = True
    offline_accepts_unknown_tags: bool = True

    # Frames
    message_ids: Literal["uuid", "numbers"] = "uuid"
    message_ids_repeat_each_boot: bool = False
    pipelines_calls: bool = False
    """It sends a CALL before the last one is answered."""


@lru_cache
def load_personality(name: str = "specification") -> Personality:
    """The personality of that name.

    Raises ValueError when there is no such file, or the file breaks the schema (pydantic's ValidationError).
    """
    source = files("simulator") / "personalities" / f"{name}.toml"
    if name not in personality_names():
        raise ValueError(f"no personality {name!r}; there are {', '.join(personality_names())}")
    return Personality(name=name, **tomllib.loads(source.read_text("utf-8")))


@lru_cache
def personality_names() -> tuple[str, ...]:
    """All personalities there are, sorted."""
    folder = files("simulator") / "personalities"
    return tuple(sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml")))
