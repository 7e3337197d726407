"""Callers: each request is taken once, and what Berth refuses itself touches nothing."""

import pytest

from tests.core.situations import (
    ACCEPTED,
    CANCELLED,
    NO_SUCH_ID,
    NOW,
    OCCUPIED,
    ROUTE,
    SECOND,
    Reserving,
    terms,
)
from workflows.messages import (
    CancelAnswer,
    CancelReservationResult,
    CancelStatus,
    PortReservedByOther,
    ReserveAnswer,
    ReserveRequest,
    ReserveStatus,
    TransactionStarted,
)
from workflows.reservation.effects import Answer, Effect
from workflows.reservation.inputs import CancelCommand, ReserveCommand, Tick
from workflows.reservation.steps import SendCancelReservation, SendReserveNow, Unsubscribe


def answers(effects: list[Effect]) -> list[ReserveAnswer | CancelAnswer]:
    return [effect.answer for effect in effects if isinstance(effect, Answer)]


def reserve(request_id: str, key: int | None = None, *, hours: float = 1) -> ReserveCommand:
    request = ReserveRequest(terms=terms(hours=hours), route=ROUTE, request_id=request_id)
    return ReserveCommand(request, key, None if key is None else NOW + 35 * SECOND)


def active() -> Reserving:
    reserving = Reserving()
    reserving.reserve()
    reserving.answer(ACCEPTED)
    return reserving


def test_an_update_that_comes_after_its_own_signal_and_a_cancel_brings_nothing_back() -> None:
    reserving = Reserving()
    reserving.tell(reserve("r1"))
    reserving.answer(ACCEPTED)
    reserving.cancel()
    reserving.answer(CANCELLED)
    reserving.decide()
    (late,) = answers(reserving.tell(reserve("r1", key=9)))
    assert (late.status, reserving.state) == (ReserveStatus.ACCEPTED, "cancelled"), "that was its answer"
    assert isinstance(reserving.step, Unsubscribe)
    announced = [event.type.value for event in reserving.machine.record.webhooks.events]
    assert announced == ["reservation.cancelled"]


def test_one_that_was_overtaken_by_the_cancel_is_refused_when_it_comes_again() -> None:
    reserving = Reserving()
    reserving.tell(reserve("r1"))
    reserving.cancel()
    reserving.decide()
    (late,) = answers(reserving.tell(reserve("r1", key=9)))
    assert (late.status, late.reason, reserving.state) == (ReserveStatus.REJECTED, "Superseded", "cancelled")


def test_the_same_request_by_two_ways_is_answered_on_both() -> None:
    reserving = Reserving()
    reserving.tell(reserve("r1"), reserve("r1", key=8), reserve("r1", key=9))
    assert [answer.status for answer in answers(reserving.answer(ACCEPTED))] == [ReserveStatus.ACCEPTED] * 2


def test_a_cancel_that_comes_twice_does_not_touch_what_was_reserved_between() -> None:
    reserving = active()
    reserving.tell(CancelCommand("c1"))
    reserving.answer(CANCELLED)
    reserving.decide()
    reserving.reserve(terms(hours=3))
    reserving.answer(ACCEPTED)
    (late,) = answers(reserving.tell(CancelCommand("c1", 9, NOW + 35 * SECOND)))
    assert (late.status, reserving.state) == (CancelStatus.ACCEPTED, "active")


def test_a_request_is_known_after_its_run_was_continued() -> None:
    reserving = active()
    reserving.tell(reserve("r1"))
    reserving.cancel()
    reserving.answer(CANCELLED)
    reserving.decide()
    carried = reserving.machine.record.model_dump(mode="json")
    continued = Reserving(reserving.machine.start.model_copy(update={"carried": carried}))
    (late,) = answers(continued.tell(reserve("r1", key=9)))
    assert (late.status, continued.state) == (ReserveStatus.ACCEPTED, "cancelled")


def test_a_cancel_is_answered_accepted_however_long_the_charger_was_away() -> None:
    reserving = Reserving()
    reserving.reserve(route=None)
    reserving.look(route=None)
    reserving.skip(minutes=10)
    reserving.cancel()
    effects = reserving.decide()
    assert (reserving.state, reserving.machine.record.reason) == ("cancelled", None)
    assert [answer.status for answer in answers(effects)] == [CancelStatus.ACCEPTED]


def test_a_move_to_a_port_that_another_holds_sends_no_frame_and_leaves_the_reservation() -> None:
    reserving = active()
    reserving.reserve(terms(port=2))
    step = reserving.step
    assert isinstance(step, SendCancelReservation)
    assert step.argument.moving_to == 2
    (refused,) = answers(reserving.answer(CancelReservationResult(is_port_held=True)))
    assert isinstance(refused, ReserveAnswer)
    assert (refused.status, refused.reason, refused.holds) == (
        ReserveStatus.OCCUPIED,
        "ReservedByOther",
        terms(),
    )
    assert reserving.state == "active"
    assert not isinstance(reserving.step, SendReserveNow | SendCancelReservation)


def test_a_forced_move_asks_the_charger() -> None:
    reserving = active()
    request = ReserveRequest(terms=terms(port=2), route=ROUTE, request_id="move", force=True)
    reserving.tell(ReserveCommand(request))
    step = reserving.step
    assert isinstance(step, SendCancelReservation)
    assert step.argument.moving_to is None


@pytest.mark.parametrize("answer", [CANCELLED, NO_SUCH_ID])
def test_a_second_reservation_accepted_on_the_port_puts_the_first_in_doubt_and_it_ends(
    answer: CancelReservationResult,
) -> None:
    reserving = active()
    reserving.tell(PortReservedByOther(at=NOW, port_number=1))
    assert reserving.state == "unknown"
    assert isinstance(reserving.step, SendCancelReservation), "asking again would replace the other one"
    reserving.answer(answer)
    reserving.decide()
    assert (reserving.state, reserving.machine.record.reason) == ("removed", "ReservedByOther")


@pytest.mark.parametrize("answer", [CANCELLED, NO_SUCH_ID])
def test_a_cancel_of_it_meanwhile_is_told_that_it_was_lost(answer: CancelReservationResult) -> None:
    reserving = active()
    reserving.tell(PortReservedByOther(at=NOW, port_number=1))
    reserving.cancel()
    reserving.answer(answer)
    (told,) = answers(reserving.decide())
    assert (told.status, told.reason) == (CancelStatus.REJECTED, "ReservedByOther")
    assert reserving.state == "removed"


def test_a_driver_of_the_first_who_comes_all_the_same_has_used_it() -> None:
    reserving = active()
    reserving.tell(
        PortReservedByOther(at=NOW, port_number=1),
        TransactionStarted(at=NOW, transaction_id="17", port_number=1, reservation_id=7),
    )
    assert reserving.state == "used"


def test_a_reservation_elsewhere_is_not_touched_by_it() -> None:
    reserving = active()
    reserving.tell(PortReservedByOther(at=NOW, port_number=2))
    assert reserving.state == "active"


def test_in_a_hurry_everybody_is_answered_pending_at_once() -> None:
    reserving = Reserving()
    reserving.reserve()
    (pending,) = answers(reserving.tell(Tick(in_hurry=True)))
    assert pending.status == "Pending"
    assert answers(reserving.answer(OCCUPIED)) == [], "once is enough"
