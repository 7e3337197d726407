"""One transaction uses up one reservation: the one that another look at the rule also picks."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from berth.database import EventSubscription, ReportedStart
from gateway.attribution import Start, attribute, is_id_live, is_known, rivals

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOLERANCE = timedelta(seconds=30)


def asked(number: int, **changes: object) -> EventSubscription:
    """An accepted reservation of any port by ABC, asked for an hour ago, one minute after that before it."""
    one = EventSubscription(
        workflow_id=f"w-{number}",
        first_run_id="run-1",
        charger_id=1,
        reservation_id=number,
        port_number=None,
        id_tag="ABC",
        parent_id_tag=None,
        accepted=True,
        expires_at=NOW + timedelta(hours=1),
        generation=1,
        asked_at=NOW - timedelta(hours=1) + number * timedelta(minutes=1),
        transactions_before=10,
    )
    return replace(one, **changes)  # type: ignore[arg-type]  # its fields


NEW = ReportedStart(transaction_id=11, at=NOW, is_addition=False, attributed_to=None)


def outcome(
    subscribers: list[EventSubscription], start: Start, reported: ReportedStart = NEW
) -> tuple[int | None, list[int]]:
    """The number of the reservation that is used up, and the numbers of those that get the start."""
    attributed_to, concerned = attribute(subscribers, start, reported, TOLERANCE)
    number = None if attributed_to is None else int(attributed_to.removeprefix("w-"))
    return number, sorted(one.reservation_id for one in concerned)


def test_of_several_reservations_of_a_driver_the_oldest_is_used_up() -> None:
    assert outcome([asked(2), asked(1), asked(3)], Start(1, id_tag="abc")) == (1, [1])


def test_that_of_the_very_port_comes_before_the_older_one_of_any_port() -> None:
    assert outcome([asked(1), asked(2, port_number=1)], Start(1, id_tag="ABC")) == (2, [2])
    assert outcome([asked(1), asked(2, port_number=1)], Start(2, id_tag="ABC")) == (1, [1])


def test_one_that_another_transaction_used_up_comes_last() -> None:
    reported = replace(NEW, taken=frozenset({"w-1"}))
    assert outcome([asked(1), asked(2)], Start(1, id_tag="ABC"), reported) == (2, [2])
    assert outcome([asked(1)], Start(1, id_tag="ABC"), reported) == (1, [1])


def test_a_repeat_goes_to_the_same_one_also_when_that_is_gone() -> None:
    repeat = replace(NEW, attributed_to="w-1")
    assert outcome([asked(2), asked(1)], Start(1, id_tag="ABC"), repeat) == (1, [1])
    assert outcome([asked(2)], Start(1, id_tag="ABC"), repeat) == (1, [])


@pytest.mark.parametrize("number", [None, 0, -1, 99])
def test_a_number_that_is_nobodys_leaves_it_to_the_token(number: int | None) -> None:
    start = Start(1, reservation_id=number, id_tag="ABC")
    assert outcome([asked(1), asked(2)], start) == (1, [1])
    assert is_id_live([asked(1)], number) == (number != 99)


def test_a_number_that_is_live_goes_to_its_owner_and_the_port_and_to_nobody_by_its_token() -> None:
    subscribers = [
        asked(1, port_number=2),
        asked(2, port_number=3, id_tag="XYZ"),
        asked(3, port_number=1, id_tag="XYZ"),
        asked(4),
    ]
    assert outcome(subscribers, Start(1, reservation_id=2, id_tag="ABC")) == (2, [2, 3, 4])
    assert is_id_live(subscribers, 2)


def test_a_foreign_token_is_sent_to_the_port_and_to_the_whole_charger() -> None:
    subscribers = [asked(1, port_number=1), asked(2, port_number=2), asked(3)]
    assert outcome(subscribers, Start(1, id_tag="XYZ")) == (None, [1, 3])
    assert outcome(subscribers, Start(1)) == (None, [1, 3]), "the cable came first"


def test_a_strangers_reservation_of_the_port_is_told_beside_the_one_that_is_used_up() -> None:
    subscribers = [asked(1), asked(2), asked(3, port_number=1, id_tag="XYZ"), asked(4, id_tag="XYZ")]
    assert outcome(subscribers, Start(1, id_tag="ABC")) == (1, [1, 3, 4])


def test_a_group_is_as_good_as_its_token() -> None:
    subscribers = [asked(1, id_tag="OTHER", parent_id_tag="Fleet")]
    assert outcome(subscribers, Start(1, id_tag="MEMBER", parent_id_tag="FLEET")) == (1, [1])


@pytest.mark.parametrize(
    "changes", [{"accepted": False, "generation": 0}, {"transactions_before": 11}], ids=["not asked", "known"]
)
def test_one_that_was_not_asked_for_before_it_is_not_used_up(changes: dict[str, object]) -> None:
    assert outcome([asked(1, **changes)], Start(1, id_tag="ABC")) == (None, [])
    assert outcome([asked(1, **changes), asked(2)], Start(1, id_tag="ABC")) == (2, [2])


def test_one_of_a_release_that_does_not_count_may_be_used_up() -> None:
    of_another_release = asked(2, generation=0, asked_at=None, transactions_before=None)
    assert outcome([asked(1), of_another_release], Start(1, id_tag="ABC")) == (2, [2])


def test_a_token_that_comes_later_is_news_of_a_transaction_that_was_known() -> None:
    one = asked(1, transactions_before=11)
    assert is_known(one, NEW)
    assert not is_known(one, replace(NEW, is_addition=True))
    assert outcome([one], Start(1, id_tag="ABC"), replace(NEW, is_addition=True)) == (1, [1])


def test_a_live_start_counts_by_its_receipt_whatever_the_chargers_clock_says() -> None:
    for hours in (-5, 5):
        start = Start(1, id_tag="ABC", started_at=NOW + timedelta(hours=hours))
        assert outcome([asked(1)], start) == (1, [1])


def test_a_live_start_does_not_use_up_what_is_long_expired() -> None:
    expired = asked(1, expires_at=NOW - timedelta(seconds=31))
    assert outcome([expired, asked(2)], Start(1, id_tag="ABC")) == (2, [2])
    in_grace = asked(1, expires_at=NOW - timedelta(seconds=29))
    assert outcome([in_grace, asked(2)], Start(1, id_tag="ABC")) == (1, [1])


def test_a_start_from_the_queue_counts_by_its_own_time() -> None:
    expired = asked(1, expires_at=NOW - timedelta(minutes=10))
    younger = asked(2, asked_at=NOW - timedelta(minutes=1))
    before = Start(1, id_tag="ABC", started_at=NOW - timedelta(minutes=20), offline=True)
    assert outcome([expired, younger], before) == (1, [1])
    assert outcome([younger], before) == (None, [2]), "for its timeline: it cannot be placed"
    unset_clock = replace(before, started_at=None)
    assert outcome([expired, younger], unset_clock) == (2, [2])


def test_one_that_is_being_moved_gets_its_token_from_another_port_if_nobody_else_does() -> None:
    moved = asked(1, port_number=2)
    assert outcome([moved], Start(1, id_tag="ABC")) == (None, [1])
    assert outcome([moved, asked(2)], Start(1, id_tag="ABC")) == (2, [2])


# --- any charger --------------------------------------------------------------------------------------

TOKENS = st.sampled_from([None, "ABC", "abc", "XYZ", "Fleet"])
PORTS = st.sampled_from([None, 1, 2])
INSTANTS = st.integers(-120, 120).map(lambda minutes: NOW + timedelta(minutes=minutes, seconds=15))


@st.composite
def any_subscribers(draw: st.DrawFn) -> list[EventSubscription]:
    return [
        asked(
            number,
            port_number=draw(PORTS),
            id_tag=draw(st.sampled_from(["ABC", "XYZ"])),
            parent_id_tag=draw(st.sampled_from([None, "FLEET"])),
            accepted=draw(st.booleans()),
            expires_at=draw(INSTANTS),
            generation=draw(st.integers(0, 2)),
            asked_at=draw(INSTANTS),
            transactions_before=draw(st.integers(8, 13)),
        )
        for number in range(1, draw(st.integers(0, 6)) + 1)
    ]


STARTS = st.builds(
    Start,
    port_number=st.sampled_from([0, 1, 2]),
    reservation_id=st.sampled_from([None, -1, 0, 1, 2, 3, 99]),
    id_tag=TOKENS,
    parent_id_tag=TOKENS,
    started_at=st.none() | INSTANTS,
    offline=st.booleans(),
)
REPORTS = st.builds(
    ReportedStart,
    transaction_id=st.integers(9, 12),
    at=st.just(NOW),
    is_addition=st.booleans(),
    attributed_to=st.sampled_from([None, None, None, "w-1", "w-2", "w-9"]),
    taken=st.frozensets(st.sampled_from(["w-1", "w-2", "w-3"])),
)


def matches(one: EventSubscription, start: Start) -> bool:
    def folded(text: str | None) -> str:
        return (text or "").lower()

    pairs = ((one.id_tag, start.id_tag), (one.parent_id_tag, start.parent_id_tag))
    return any(ours and theirs and folded(ours) == folded(theirs) for ours, theirs in pairs)


def can_be_used_up(one: EventSubscription, start: Start, reported: ReportedStart) -> bool:
    if not matches(one, start) or one.port_number not in (None, start.port_number):
        return False
    if one.generation == 0 and not one.accepted:
        return False
    if not reported.is_addition and reported.transaction_id <= (one.transactions_before or 0):
        return False
    if not start.offline:
        return one.expires_at + TOLERANCE >= NOW
    began = start.started_at or NOW
    assert one.asked_at is not None
    return one.asked_at - TOLERANCE <= began <= one.expires_at + TOLERANCE


def beats(one: EventSubscription, other: EventSubscription, reported: ReportedStart) -> bool:
    if (one.workflow_id in reported.taken) != (other.workflow_id in reported.taken):
        return other.workflow_id in reported.taken
    if (one.port_number is None) != (other.port_number is None):
        return other.port_number is None
    assert one.asked_at is not None
    assert other.asked_at is not None
    return one.asked_at < other.asked_at


@settings(max_examples=1000, deadline=None)
@given(any_subscribers(), STARTS, REPORTS)
def test_whoever_subscribes_one_is_used_up_and_no_other_gets_the_start_by_its_token(
    subscribers: list[EventSubscription], start: Start, reported: ReportedStart
) -> None:
    attributed_to, concerned = attribute(subscribers, start, reported, TOLERANCE)
    assert len({one.workflow_id for one in concerned}) == len(concerned)
    at_port = [one for one in subscribers if one.port_number in (None, start.port_number)]
    numbered = [one for one in subscribers if one.reservation_id == start.reservation_id]
    if start.reservation_id is not None and start.reservation_id > 0 and numbered:
        assert [attributed_to] == [one.workflow_id for one in numbered]
        assert {one.workflow_id for one in concerned} == {one.workflow_id for one in [*at_port, *numbered]}
        return
    by_token = [one for one in concerned if matches(one, start)]
    strangers = {one.workflow_id for one in at_port if not matches(one, start)}
    heard = {one.workflow_id for one in concerned if not matches(one, start)}
    assert heard - {attributed_to} == strangers - {attributed_to}
    if reported.attributed_to is not None:
        assert attributed_to == reported.attributed_to
        assert {one.workflow_id for one in by_token} <= {attributed_to}
        return
    possible = [one for one in subscribers if can_be_used_up(one, start, reported)]
    assert (attributed_to is None) == (possible == [])
    if attributed_to is None:
        at_the_port = [one for one in by_token if one.port_number in (None, start.port_number)]
        assert len(at_the_port) <= 1, "one at most has it in its timeline"
        return
    (chosen,) = by_token
    assert chosen.workflow_id == attributed_to
    assert chosen in possible
    assert not any(beats(other, chosen, reported) for other in possible)
    assert {one.workflow_id for one in possible} <= rivals(subscribers, start).keys()
