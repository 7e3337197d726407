"""Whose transaction it is, and what follows from a use."""

from datetime import timedelta
from typing import Any

import pytest

from tests.core.situations import (
    ACCEPTED,
    CANCELLED,
    NO_SUCH_ID,
    NOW,
    SILENCE,
    Reserving,
    terms,
)
from workflows.messages import (
    ChargerBooted,
    PortStatusChanged,
    ReservationEnded,
    Terms,
    TransactionEnded,
    TransactionStarted,
)
from workflows.reservation.steps import SendCancelReservation, SendReserveNow, Unsubscribe


def active(asked: Terms | None = None) -> Reserving:
    reserving = Reserving()
    reserving.reserve(asked)
    reserving.answer(ACCEPTED)
    return reserving


def starts(reserving: Reserving, transaction_id: str = "17", **details: Any) -> None:
    details = {"at": reserving.now, "port_number": 1} | details
    reserving.tell(TransactionStarted(transaction_id=transaction_id, **details))


def ends(reserving: Reserving, transaction_id: str = "17") -> None:
    reserving.tell(TransactionEnded(at=reserving.now, transaction_id=transaction_id))


@pytest.mark.parametrize("slow", [timedelta(seconds=40), timedelta(hours=5), timedelta(days=-1)])
@pytest.mark.parametrize("named", [{"reservation_id": 7}, {"id_tag": "CARD"}, {"id_tag": "card"}])
def test_a_chargers_wrong_clock_hides_no_use(slow: timedelta, named: dict[str, Any]) -> None:
    reserving = active()
    reserving.skip(minutes=5)
    starts(reserving, started_at=reserving.now - slow, **named)
    assert reserving.state == "used"


def test_our_number_is_a_use_also_from_an_offline_queue_with_a_wrong_clock() -> None:
    reserving = active()
    starts(reserving, reservation_id=7, offline=True, started_at=NOW - timedelta(hours=5))
    assert reserving.state == "used"


def test_a_transaction_that_began_before_we_asked_is_none_of_ours_whatever_number_it_names() -> None:
    reserving = active()
    starts(reserving, reservation_id=7, id_tag="CARD", is_known=True)
    assert reserving.state == "active"


def test_an_unexplained_transaction_is_in_the_timeline_once_and_nothing_is_sent_over_it() -> None:
    reserving = active()
    for _ in range(2):  # chargers repeat themselves
        starts(reserving, id_tag="CARD", offline=True, started_at=NOW - timedelta(hours=5))
    told = [entry.event for entry in reserving.machine.record.timeline]
    assert (reserving.state, told.count("transaction unexplained")) == ("active", 1)

    reserving.tell(ChargerBooted(at=NOW))
    reserving.skip(seconds=61)
    reserving.look(status="Available")
    assert not isinstance(reserving.step, SendReserveNow), "it may be our driver"
    ends(reserving)
    reserving.tell(PortStatusChanged(at=NOW, port_number=1, before="Charging", status="Available"))
    reserving.skip(seconds=61)
    reserving.look(status="Available")
    assert not isinstance(reserving.step, SendReserveNow), "nobody is reserved for who has left"
    assert (reserving.state, reserving.machine.record.reason) == ("removed", "ConsumedWithoutTransaction")


def test_a_transaction_without_its_token_yet_stands_before_any_repeat() -> None:
    reserving = Reserving()
    reserving.reserve()
    reserving.answer(SILENCE)
    starts(reserving)
    reserving.skip(seconds=6)
    assert not isinstance(reserving.step, SendReserveNow)
    starts(reserving, id_tag="CARD")
    assert reserving.state == "used"


def test_after_a_transaction_that_never_told_its_token_the_charger_is_asked_again() -> None:
    reserving = Reserving()
    reserving.reserve()
    reserving.answer(SILENCE)
    starts(reserving)
    reserving.skip(seconds=6)
    ends(reserving)
    assert isinstance(reserving.step, SendReserveNow)


@pytest.mark.parametrize("number", [0, -1, 4711])
def test_a_number_that_is_nobodys_hides_no_token(number: int) -> None:
    reserving = active()
    starts(reserving, reservation_id=number, is_id_live=False, id_tag="CARD")
    assert reserving.state == "used"


def test_the_number_of_another_live_reservation_is_not_ours() -> None:
    reserving = active()
    starts(reserving, reservation_id=8, is_id_live=True, id_tag="CARD")
    assert reserving.state == "active"


@pytest.mark.parametrize(
    ("asked", "use"),
    [
        (terms(group="FAMILY"), {"id_tag": "CHILD", "parent_id_tag": "family"}),
        (terms(port=None), {"id_tag": "CARD", "port_number": 2}),
        (terms(port=None, group="FAMILY"), {"id_tag": "CHILD", "parent_id_tag": "FAMILY", "port_number": 2}),
    ],
)
@pytest.mark.parametrize("answer", [CANCELLED, NO_SUCH_ID])
def test_after_a_use_that_does_not_show_its_release_one_cancel_follows_its_end(
    asked: Terms, use: dict[str, Any], answer: Any
) -> None:
    reserving = active(asked)
    starts(reserving, **use)
    assert reserving.state == "used"
    reserving.settle()
    assert not isinstance(reserving.step, SendCancelReservation), "the driver is charging"
    ends(reserving, "another one")
    assert not isinstance(reserving.step, SendCancelReservation)
    ends(reserving)
    assert isinstance(reserving.step, SendCancelReservation)
    reserving.answer(answer)
    assert isinstance(reserving.step, Unsubscribe)
    assert (reserving.state, reserving.machine.record.transaction_id) == ("used", "17")


@pytest.mark.parametrize(
    ("asked", "use"),
    [
        (terms(), {"id_tag": "CARD"}),
        (terms(group="FAMILY"), {"id_tag": "CHILD", "parent_id_tag": "FAMILY", "reservation_id": 7}),
        (terms(port=None), {"id_tag": "CARD", "port_number": 2, "reservation_id": 7}),
        (terms(), {"id_tag": "STRANGER", "reservation_id": 7}),
    ],
)
def test_after_a_use_that_shows_its_release_nothing_is_sent(asked: Terms, use: dict[str, Any]) -> None:
    reserving = active(asked)
    starts(reserving, **use)
    assert reserving.state == "used"
    assert isinstance(reserving.step, Unsubscribe)


def test_a_charger_that_says_it_let_the_reservation_go_is_sent_no_cancel() -> None:
    reserving = active(terms(group="FAMILY"))
    starts(reserving, id_tag="CHILD", parent_id_tag="FAMILY")
    reserving.settle()
    reserving.tell(ReservationEnded(at=NOW, reservation_id=7, status="Removed"))
    assert isinstance(reserving.step, Unsubscribe)


def test_a_use_whose_end_is_never_reported_is_watched_for_a_day() -> None:
    reserving = active(terms(group="FAMILY"))
    starts(reserving, id_tag="CHILD", parent_id_tag="FAMILY")
    reserving.settle()
    reserving.skip(hours=24)
    assert not isinstance(reserving.step, Unsubscribe)
    reserving.skip(hours=1)
    reserving.settle()
    assert reserving.machine.record.is_over


@pytest.mark.parametrize("answer", [CANCELLED, NO_SUCH_ID])
def test_a_use_in_time_is_taken_for_a_day_also_after_the_cleanup(answer: Any) -> None:
    reserving = active()
    reserving.skip(hours=1, seconds=31)
    reserving.look(status="Reserved")
    reserving.settle()
    reserving.skip(seconds=61)
    reserving.look(status="Reserved")
    reserving.answer(answer)
    assert reserving.state == "expired"
    reserving.skip(hours=20)
    starts(reserving, id_tag="CARD", offline=True, started_at=NOW + timedelta(minutes=50))
    assert reserving.state == "used"


@pytest.mark.parametrize("named", [{"id_tag": "CARD"}, {"reservation_id": 7}])
def test_what_began_offline_after_the_expiry_is_no_use_also_if_it_names_the_number(
    named: dict[str, Any],
) -> None:
    reserving = active()
    reserving.skip(hours=1, seconds=31)
    reserving.look(route=None)
    reserving.settle()
    reserving.skip(hours=3)
    starts(reserving, offline=True, started_at=NOW + timedelta(hours=2), **named)
    assert reserving.state == "expired"


def test_a_use_that_began_too_late_is_none_though_it_is_reported_while_we_watch() -> None:
    reserving = active()
    reserving.skip(hours=1, seconds=31)
    reserving.look(route=None)
    reserving.settle()
    reserving.skip(hours=2)
    starts(reserving, id_tag="CARD")
    assert reserving.state == "expired"
