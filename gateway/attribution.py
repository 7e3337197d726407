"""Which reservation a transaction uses up, and which runs get its start.

A number of ours decides (OCPP 1.6 §4.8, 2.0.1 E01.FR.13). Where there is none, or nobody's, the token does,
or its group; then it is one reservation that is used up, however many a driver has at the charger.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from berth.database import EventSubscription, ReportedStart

_CLOCK_UNSET_BEFORE = 2020
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Start:
    """What the charger says of a transaction's start."""

    port_number: int
    reservation_id: int | None = None
    id_tag: str | None = None
    parent_id_tag: str | None = None
    started_at: datetime | None = None  # by its own clock
    offline: bool = False  # reported from an offline queue: it began by its own time


def same_token(one: str | None, other: str | None) -> bool:
    """Whether two tokens are the same, case ignored (OCPP 1.6 §7.28); absent ones never are."""
    return one is not None and other is not None and one.casefold() == other.casefold()


def is_id_live(subscribers: Iterable[EventSubscription], reservation_id: int | None) -> bool:
    """Whether the number is that of a reservation, or none at all; 0 and -1 stand for none (MicroOcpp)."""
    return (reservation_id or 0) <= 0 or _owner(subscribers, reservation_id) is not None


def is_known(subscriber: EventSubscription, reported: ReportedStart) -> bool:
    """Whether what is reported had been reported before the frame was sent for this subscriber.

    By the ids the database gave, no clock. A token or a number that a known transaction gets later is news:
    the cable came first (OCPP 2.0.1 E02).
    """
    return not reported.is_addition and reported.transaction_id <= (subscriber.transactions_before or 0)


def rivals(subscribers: Iterable[EventSubscription], start: Start) -> dict[str, int]:
    """The workflows whose token or group fits, each with the greatest transaction id before its frame."""
    return {
        one.workflow_id: one.transactions_before or 0
        for one in subscribers
        if one.was_asked and _is_token_of(one, start) and _is_at_port_of(one, start)
    }


def attribute(
    subscribers: Sequence[EventSubscription], start: Start, reported: ReportedStart, tolerance: timedelta
) -> tuple[str | None, list[EventSubscription]]:
    """The workflow that the transaction is attributed to, and who gets its start.

    Beside that one these are the port's subscribers, for whom it may be a violation: none by their token,
    since a transaction uses up one reservation.
    """
    owner = _owner(subscribers, start.reservation_id)
    if owner is not None:
        return owner.workflow_id, [one for one in subscribers if one is owner or _is_at_port_of(one, start)]
    ours = [one for one in subscribers if _is_token_of(one, start)]
    strangers = [one for one in subscribers if one not in ours and _is_at_port_of(one, start)]
    if reported.attributed_to is not None:  # a repeat: the other reservations of the driver stay
        strangers = [one for one in strangers if one.workflow_id != reported.attributed_to]
        chosen = [one for one in subscribers if one.workflow_id == reported.attributed_to]
        return reported.attributed_to, [*chosen, *strangers]
    candidates = [
        one
        for one in sorted(ours, key=lambda one: _precedence(one, reported))
        if one.was_asked and _is_at_port_of(one, start) and not is_known(one, reported)
    ]
    possible = [one for one in candidates if _is_in_time(one, start, reported, tolerance)]
    if not possible:
        # One that is being moved may be held at its former port, which its run knows.
        moving = [one for one in ours if one.was_asked and not _is_at_port_of(one, start)]
        # One whose time does not fit has the transaction in its timeline, and sends nothing over it.
        return None, [*moving, *candidates[:1], *strangers]
    return possible[0].workflow_id, [possible[0], *strangers]


def _precedence(one: EventSubscription, reported: ReportedStart) -> tuple[bool, bool, datetime, str]:
    """That no other transaction used up yet, then that of the port, then the oldest."""
    is_taken = one.workflow_id in reported.taken
    return is_taken, one.port_number is None, one.asked_at or _LONG_AGO, one.workflow_id


def _owner(subscribers: Iterable[EventSubscription], reservation_id: int | None) -> EventSubscription | None:
    if reservation_id is None or reservation_id <= 0:
        return None
    return next((one for one in subscribers if one.reservation_id == reservation_id), None)


def _is_token_of(one: EventSubscription, start: Start) -> bool:
    return same_token(one.id_tag, start.id_tag) or same_token(one.parent_id_tag, start.parent_id_tag)


def _is_at_port_of(one: EventSubscription, start: Start) -> bool:
    return one.port_number is None or one.port_number == start.port_number


def _is_in_time(one: EventSubscription, start: Start, reported: ReportedStart, tolerance: timedelta) -> bool:
    """Whether it can have used up this reservation: a live transaction now, a queued one when it began."""
    # A charger that never learned the time reports years long gone: then the receipt counts.
    knows_time = start.started_at is not None and start.started_at.year >= _CLOCK_UNSET_BEFORE
    began_at = start.started_at if start.offline and start.started_at and knows_time else reported.at
    is_after_asking = not start.offline or one.asked_at is None or one.asked_at - tolerance <= began_at
    return is_after_asking and began_at <= one.expires_at + tolerance
