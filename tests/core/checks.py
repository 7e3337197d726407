"""What must be so, whatever happens: what a reservation says is compared with what is so at the site."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from tests.core.site import Site
from workflows.messages import (
    PENDING,
    CancelAnswer,
    Policy,
    ReservationState,
    ReserveAnswer,
    ReserveStatus,
    Snapshot,
    Terms,
)
from workflows.webhook_events import EventType

POLICY = Policy(
    linger=timedelta(hours=2),
    schedule_to_start=timedelta(seconds=2),
    heartbeat_timeout=timedelta(seconds=2),
)
WAIT = timedelta(seconds=35)
LATEST_ANSWER = WAIT + timedelta(seconds=10)
SETTLED = timedelta(minutes=5)  # settle time, connection time-out and route spacing are over
DOUBTS_OVER = timedelta(minutes=36)  # the rarest attempt to learn a lost answer is over


@dataclass
class Call:
    """One call of a client, and what it was answered."""

    terms: Terms | None  # None: a cancel
    request_id: str
    at: datetime
    held_from: int  # index into `Site.holdings`
    was_lost: bool
    answer: ReserveAnswer | CancelAnswer | None = None
    is_checked: bool = False

    @classmethod
    def begin(cls, site: Site, before: list["Call"], terms: Terms | None, request_id: str) -> "Call":
        """A call made now; asked again, a request gets the answer of then."""
        call = cls(terms, request_id, site.now, len(site.holdings) - 1, site.is_lost)
        first = next((one for one in before if one.request_id == request_id), None)
        if first is not None:
            call.held_from, call.was_lost = first.held_from, first.was_lost
        return call


def check(site: Site, calls: list[Call], snapshot: Snapshot, *, is_closed: bool) -> None:
    """Everything that must be so at any moment."""
    check_site(site)
    check_timeline(snapshot)
    for call in calls:
        check_call(site, call)
    if not site.personality.holds_reservations:
        return
    if is_closed:
        check_end(site, snapshot)
    elif site.is_online and not site.is_thinking and not site.plan:
        check_life(site, snapshot)


def check_site(site: Site) -> None:
    """Nothing was seen at the gateway or in the database that must not be."""
    assert not site.faults, site.faults


_STATES = frozenset(ReservationState)


def check_timeline(snapshot: Snapshot) -> None:
    """An end is an end, unless a use in time is reported late, or the number is used again."""
    timeline = snapshot.timeline
    for earlier, later in pairwise(timeline):
        assert earlier.at <= later.at, f"{earlier} and then {later}"
    states = [entry.event for entry in timeline if entry.event in _STATES]
    for before, after in pairwise(ReservationState(state) for state in states):
        late_use = before is ReservationState.EXPIRED and after is ReservationState.USED
        if before.is_end and not late_use:
            assert after is ReservationState.REQUESTED, f"{before} and then {after}"


def check_call(site: Site, call: Call) -> None:
    """It is answered within its wait, and the answer is true."""
    if call.answer is None:
        waited = site.now - call.at
        assert waited <= LATEST_ANSWER, f"no answer after {waited}: {call}"
        return
    if call.is_checked:
        return
    call.is_checked = True
    answer = call.answer
    if answer.status == PENDING or not site.personality.holds_reservations:
        return
    if isinstance(answer, ReserveAnswer):
        _check_reserve_answer(site, call, answer)
    else:
        _check_cancel_answer(site, call, answer)


def _check_reserve_answer(site: Site, call: Call, answer: ReserveAnswer) -> None:
    held = site.holdings[call.held_from :]
    may_not_know = call.was_lost or site.is_lost
    if answer.holds is not None and not may_not_know:
        assert any(site.is_as_agreed(one, answer.holds) for one in held), f"it never held that: {answer}"
    assert call.terms is not None
    if answer.status is not ReserveStatus.ACCEPTED:
        refused_unsent = answer.reason == "ReservedByOther"
        assert answer.status is ReserveStatus.REJECTED or answer.status in site.answered or refused_unsent, (
            answer
        )
    elif answer.state is not ReservationState.USED and not may_not_know:
        assert any(site.is_as_agreed(one, call.terms) for one in held), f"never accepted: {answer}"


def _check_cancel_answer(site: Site, call: Call, answer: CancelAnswer) -> None:
    # Expired, it is over whatever the charger still holds: the API asks the charger then.
    over = {ReservationState.EXPIRED, ReservationState.FAILED, ReservationState.USED}
    if answer.state not in over:
        assert () in site.holdings[call.held_from :], f"it held on all the time: {answer}"


def check_end(site: Site, snapshot: Snapshot) -> None:
    """The charger holds nothing of a reservation that is over."""
    assert snapshot.state.is_end
    left_standing = snapshot.state is ReservationState.FAILED or (
        snapshot.state is ReservationState.EXPIRED and _ends_by_itself(site, snapshot.terms)
    )
    if left_standing:
        site.left_standing.update(site.ours)
    left = set(site.ours) - site.left_standing
    assert not left, f"{snapshot.state}, and the charger holds {left}"


def _ends_by_itself(site: Site, terms: Terms | None) -> bool:
    """Whether what is left at the charger ends at its next look at the clock, or does not show."""
    is_over = all(held.expires_at <= site.now for held in site.ours)
    port_number = None if terms is None else terms.port_number
    hidden = port_number is None or site.shown[port_number] != "Reserved"
    return is_over and (hidden or site.table.next_expiry() is not None)


def check_life(site: Site, snapshot: Snapshot) -> None:
    """While nothing was done to it for a while, reservation and charger agree."""
    calm = site.now - max(site.calm_since, site.online_since)
    if calm > DOUBTS_OVER:
        is_settled = snapshot.state is ReservationState.ACTIVE or snapshot.state.is_end
        assert is_settled, f"still {snapshot.state} after {calm}"
    if snapshot.terms is None or snapshot.state is not ReservationState.ACTIVE:
        return
    terms = snapshot.terms
    if calm <= SETTLED or terms.expires_at <= site.now or _cannot_know(site, terms):
        return
    assert site.is_as_agreed(site.ours, terms), f"active, and the charger holds {site.ours}"


def _cannot_know(site: Site, terms: Terms) -> bool:
    """Whether the charger dropped the reservation with nothing to show for it."""
    if not site.is_lost:
        return False
    return terms.port_number is None or site.shown[terms.port_number] not in ("Available", "Reserved")


def check_webhooks(site: Site, ends: list[ReservationState]) -> None:
    """Every end was sent, once, in the order of the times."""
    # What could not be stored at once is stored behind what a gateway stored meanwhile.
    if not site.was_database_away:
        for earlier, later in pairwise(site.webhook_events):
            assert earlier.at <= later.at, f"{earlier} and then {later}"
    ids = [event.event_id for event in site.webhook_events]
    assert len(ids) == len(set(ids))
    sent = [
        event.type
        for event in site.webhook_events
        if event.type not in (EventType.RESERVATION_ACTIVE, EventType.RESERVATION_VIOLATED)
    ]
    assert sent == [EventType(f"reservation.{end}") for end in ends]
