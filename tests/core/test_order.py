"""What came first: by the order that the database gave, never by a clock."""

from datetime import timedelta

import pytest

from tests.core.situations import ACCEPTED, CANCELLED, NOT_CONNECTED, NOW, SECOND, SILENCE, Reserving, terms
from workflows.messages import (
    ChargerBooted,
    NotSentDetail,
    PortStatusChanged,
    ReservationEnded,
    TransactionEnded,
    TransactionStarted,
)
from workflows.reservation.record import CheckReason
from workflows.reservation.steps import SendCancelReservation, SendReserveNow, Unsubscribe


def active() -> Reserving:
    reserving = Reserving()
    reserving.reserve()
    reserving.answer(ACCEPTED)
    return reserving


@pytest.mark.parametrize("off", [-20, 20])
def test_a_use_right_after_accepted_is_a_use_whatever_the_gateways_clock_says(off: int) -> None:
    reserving = active()
    reserving.tell(
        TransactionStarted(
            at=NOW + off * SECOND, generation=1, transaction_id="17", port_number=1, id_tag="CARD"
        )
    )
    assert reserving.state == "used"


@pytest.mark.parametrize("off", [-20, 20])
def test_so_are_a_fault_and_the_end_that_the_charger_reports(off: int) -> None:
    at = NOW + off * SECOND
    reserving = active()
    reserving.tell(PortStatusChanged(at=at, generation=1, port_number=1, status="Faulted"))
    assert reserving.machine.record.check is not None
    assert reserving.machine.record.check.reason is CheckReason.OUT_OF_ORDER
    reserving.tell(ReservationEnded(at=at, generation=1, reservation_id=7, status="Removed"))
    assert reserving.state == "removed"


def test_what_was_stored_before_the_first_frame_changes_nothing() -> None:
    reserving = active()
    reserving.tell(
        TransactionStarted(at=NOW, generation=0, transaction_id="17", port_number=1, id_tag="CARD"),
        ReservationEnded(at=NOW, generation=0, reservation_id=7, status="Removed"),
    )
    assert reserving.state == "active"


def test_a_frame_that_was_never_written_makes_nothing_before_the_next_one_ours() -> None:
    reserving = Reserving()
    reserving.reserve()
    reserving.answer(NOT_CONNECTED)
    reserving.look()
    reserving.skip(seconds=1)
    reserving.look()
    step = reserving.step
    assert isinstance(step, SendReserveNow)
    assert (step.argument.generation, step.argument.is_repeat) == (2, False)
    reserving.answer(ACCEPTED)
    reserving.tell(
        TransactionStarted(at=NOW, generation=1, transaction_id="17", port_number=1, id_tag="CARD")
    )
    assert reserving.state == "active", "it had begun before the frame that was accepted"


def test_a_number_used_again_is_not_ended_by_what_its_former_use_left_behind() -> None:
    reserving = active()
    reserving.cancel()
    reserving.answer(CANCELLED)
    reserving.decide()
    reserving.reserve(terms(hours=2))
    reserving.answer(ACCEPTED)
    late = TransactionStarted(at=NOW, generation=1, transaction_id="17", port_number=1, id_tag="CARD")
    reserving.tell(late)
    assert reserving.state == "active"
    reserving.tell(late.model_copy(update={"generation": 2}))
    assert reserving.state == "used"


def test_a_use_that_began_just_before_the_charger_accepted_a_repeat_is_followed_by_a_cancel() -> None:
    reserving = active()
    reserving.tell(ChargerBooted(at=NOW, generation=1))
    reserving.skip(seconds=61)
    reserving.look(status="Available")
    reserving.answer(ACCEPTED)  # to the repeat; the transaction below crossed it on the wire
    use = TransactionStarted(at=NOW, generation=1, transaction_id="17", port_number=1, reservation_id=7)
    reserving.tell(use)
    assert reserving.state == "used"
    reserving.settle()
    reserving.tell(TransactionEnded(at=NOW, generation=2, transaction_id="17"))
    assert isinstance(reserving.step, SendCancelReservation), "it holds the port anew"


def test_the_subscription_of_a_later_use_of_the_number_is_not_removed_with_the_former_one() -> None:
    reserving = active()
    reserving.cancel()
    reserving.answer(CANCELLED)
    reserving.decide()
    former = reserving.step
    assert isinstance(former, Unsubscribe)
    reserving.reserve(terms(hours=2))
    reserving.settle()
    later = reserving.step
    assert isinstance(later, SendReserveNow)
    assert later.argument.generation > former.argument.generation


def test_times_never_run_backwards_though_the_servers_clock_does() -> None:
    reserving = active()
    reserving.skip(seconds=-30)
    reserving.tell(
        TransactionStarted(at=NOW, transaction_id="9", port_number=1, id_tag="STRANGER"),
        TransactionStarted(at=NOW, transaction_id="17", port_number=1, id_tag="CARD"),
    )
    record = reserving.machine.record
    told = [entry.at for entry in record.timeline]
    assert told == sorted(told)
    announced = [event.at for event in record.webhooks.events]
    assert len(announced) == 2
    assert min(announced) >= NOW


def test_the_webhook_event_of_an_accepted_has_the_workflows_time() -> None:
    reserving = Reserving()
    reserving.reserve()
    reserving.skip(seconds=3)
    step = reserving.step
    assert isinstance(step, SendReserveNow)
    assert step.argument.event_at == reserving.now


def test_events_on_their_way_come_before_the_charger_is_asked_again() -> None:
    reserving = Reserving()
    reserving.reserve()
    reserving.answer(SILENCE)
    reserving.skip(seconds=5)
    step = reserving.step
    assert isinstance(step, SendReserveNow)
    assert step.argument.is_repeat
    reserving.answer(NotSentDetail(cause="events_waiting"))
    assert not isinstance(reserving.step, SendReserveNow)
    reserving.tell(
        TransactionStarted(at=NOW, generation=1, transaction_id="17", port_number=1, id_tag="CARD")
    )
    assert reserving.state == "used"
    assert [entry.event for entry in reserving.machine.record.timeline].count("not sent") == 1
    reserving.skip(seconds=2)
    assert not isinstance(reserving.step, SendReserveNow)


def test_an_expiry_waits_for_a_use_that_is_on_its_way() -> None:
    reserving = active()
    reserving.skip(hours=1, seconds=31)
    reserving.look(status="Available", events_waiting=True)
    assert reserving.state == "expired"
    reserving.tell(
        TransactionStarted(
            at=NOW + timedelta(minutes=50), transaction_id="17", port_number=1, reservation_id=7
        )
    )
    assert reserving.state == "used"
