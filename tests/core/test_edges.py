"""The next input of each family: what a breaker found."""

from datetime import timedelta

from tests.core.situations import ACCEPTED, NOT_CONNECTED, NOW, SILENCE, Reserving, terms
from workflows.messages import (
    CancelReservationResult,
    ChargerBooted,
    ChargerConnected,
    PortStatusChanged,
    Route,
    TransactionEnded,
    TransactionStarted,
)
from workflows.reservation.inputs import ReserveOutcome, Tick
from workflows.reservation.steps import Look, SendCancelReservation, SendReserveNow, WaitForCharger


def active(**asked: object) -> Reserving:
    reserving = Reserving()
    reserving.reserve(terms(**asked))  # type: ignore[arg-type]
    reserving.answer(ACCEPTED)
    return reserving


def connects(reserving: Reserving, epoch: int) -> None:
    route = Route(queue="gateway-b", epoch=epoch)
    reserving.tell(ChargerConnected(at=reserving.now, route=route, epoch=epoch))


def unexplained(reserving: Reserving) -> TransactionStarted:
    start = TransactionStarted(
        at=reserving.now,
        transaction_id="17",
        port_number=1,
        id_tag="CARD",
        offline=True,
        started_at=reserving.now - timedelta(hours=5),
    )
    reserving.tell(start)
    return start


def test_commands_behind_an_end_keep_no_run_from_being_continued() -> None:
    reserving = active()
    reserving.cancel()
    reserving.answer(NOT_CONNECTED)
    reserving.look(route=None)
    for hours in (2, 3, 4):
        reserving.reserve(terms(hours=hours), route=None)
    reserving.tell(Tick(in_hurry=True))
    start = reserving.machine.start.model_copy(update={"carried": reserving.machine.carried()})
    continued = Reserving(start)
    assert isinstance(continued.step, WaitForCharger)
    connects(continued, 4)
    continued.answer(CancelReservationResult(status="Accepted"))
    continued.settle()
    step = continued.step
    assert isinstance(step, Look | SendReserveNow)
    assert continued.machine.record.desired == terms(hours=4)


def test_a_change_waits_for_the_end_of_a_transaction_that_may_be_ours() -> None:
    for changed in (terms(hours=2), terms(port=2)):
        reserving = active()
        unexplained(reserving)
        reserving.reserve(changed)
        assert not isinstance(reserving.step, SendReserveNow | SendCancelReservation)
        reserving.tell(TransactionEnded(at=NOW, transaction_id="17"))
        assert isinstance(reserving.step, SendReserveNow | SendCancelReservation)


def test_a_second_transaction_does_not_hide_one_that_may_be_ours() -> None:
    reserving = active(port=None)
    unexplained(reserving)
    other = TransactionStarted(at=NOW, transaction_id="18", port_number=2)
    reserving.tell(other, TransactionEnded(at=NOW, transaction_id="18"))
    possible = reserving.machine.record.possible_use
    assert possible is not None
    assert possible.transaction_id == "17"


def test_a_look_that_was_due_during_such_a_transaction_follows_its_end() -> None:
    reserving = active()
    unexplained(reserving)
    reserving.tell(PortStatusChanged(at=NOW, port_number=1, before="Charging", status="Available"))
    reserving.skip(seconds=61)
    reserving.look(status="Available")
    reserving.tell(TransactionEnded(at=NOW, transaction_id="17"))
    reserving.skip(seconds=61)
    assert isinstance(reserving.step, Look)


def test_a_charger_that_is_away_for_long_whenever_a_look_is_due_is_looked_at_all_the_same() -> None:
    reserving = active(hours=5)
    for epoch in range(4, 12):
        connects(reserving, epoch)
        shown = PortStatusChanged(
            at=reserving.now, port_number=1, before="Reserved", status="Available", epoch=epoch
        )
        reserving.tell(shown)
        if isinstance(reserving.step, Look):
            break
        reserving.skip(seconds=61)
        if isinstance(reserving.step, Look):
            reserving.look(route=None)
        reserving.skip(seconds=61)
    assert isinstance(reserving.step, Look)


def test_a_whole_charger_that_reports_its_ports_after_an_outage_is_asked() -> None:
    reserving = active(port=None)
    connects(reserving, 4)
    reserving.tell(PortStatusChanged(at=NOW, port_number=1, before="Reserved", status="Available", epoch=4))
    reserving.skip(seconds=61)
    reserving.look()
    assert isinstance(reserving.step, SendReserveNow)


def test_a_charger_that_was_back_for_a_moment_at_the_expiry_may_still_report_a_use() -> None:
    reserving = active()
    reserving.skip(hours=1, seconds=31)
    reserving.look(status="Available", ready_for=timedelta(seconds=20))
    assert (reserving.state, reserving.machine.record.is_over) == ("expired", False)


def test_a_use_whose_end_was_lost_is_over_when_another_car_charges_or_the_charger_boots() -> None:
    group = {"id_tag": "CHILD", "parent_id_tag": "FAMILY"}
    other = TransactionStarted(at=NOW, transaction_id="99", port_number=1, id_tag="STRANGER")
    for sign in (other, ChargerBooted(at=NOW)):
        reserving = active(group="FAMILY")
        use = {"at": NOW, "transaction_id": "17", "port_number": 1} | group
        reserving.tell(TransactionStarted.model_validate(use))
        reserving.settle()
        reserving.tell(sign)
        assert isinstance(reserving.step, SendCancelReservation)


def test_reserved_before_a_boot_is_no_card_that_was_shown_after_it() -> None:
    reserving = active()
    first = PortStatusChanged(at=NOW, port_number=1, before="Reserved", status="Available")
    reserving.tell(ChargerBooted(at=NOW), first)
    assert not reserving.machine.record.was_shown_reserved


def test_a_refused_move_leaves_a_reservation_in_doubt_as_it_was() -> None:
    reserving = Reserving()
    reserving.reserve()
    reserving.answer(SILENCE)
    reserving.reserve(terms(port=2))
    reserving.answer(CancelReservationResult(is_port_held=True))
    assert reserving.machine.record.desired == terms()
    assert not isinstance(reserving.step, SendCancelReservation)


def test_the_event_that_the_gateway_stored_is_not_after_those_that_follow() -> None:
    reserving = Reserving()
    reserving.reserve()
    reserving.skip(seconds=5)
    step = reserving.step
    assert isinstance(step, SendReserveNow)
    reserving.skip(seconds=-20)
    reserving.tell(ReserveOutcome(step.argument, reserving.now, ACCEPTED))
    use = TransactionStarted(at=NOW, transaction_id="17", port_number=1, reservation_id=7)
    reserving.tell(use)
    (used,) = reserving.machine.record.webhooks.events
    assert step.argument.event_at is not None
    assert used.at >= step.argument.event_at
