"""What the model test found: each a story in a sentence, told again in the fewest words."""

from datetime import timedelta

from tests.core.situations import (
    ACCEPTED,
    NOT_CONNECTED,
    NOW,
    ROUTE,
    SILENCE,
    Reserving,
    terms,
)
from workflows.messages import (
    CancelAnswer,
    CancelReservationResult,
    ChargerConnected,
    InDoubtDetail,
    ReserveNowResult,
    ReserveRequest,
    Route,
    TransactionEnded,
    TransactionStarted,
)
from workflows.reservation.effects import Answer
from workflows.reservation.inputs import EventsStored, ReserveCommand
from workflows.reservation.steps import (
    SendCancelReservation,
    SendReserveNow,
    StoreEvents,
    Unsubscribe,
    WaitForCharger,
)

NOT_BOOTED = "SecurityError"


def test_the_wait_for_a_charger_that_died_of_a_frame_outlasts_the_spacing_of_attempts() -> None:
    """The spacing was over: the wait ended at once, and was begun again at once, for ever."""
    reserving = Reserving()
    reserving.reserve()
    reserving.answer(InDoubtDetail(cause="socket_closed", after=timedelta(seconds=20)))
    reserving.skip(seconds=6)
    reserving.look(route=None)
    step = reserving.step
    assert isinstance(step, WaitForCharger)
    assert step.until is not None
    assert step.until > reserving.now


def test_a_rejected_offline_charger_is_no_matter_once_the_reservation_has_expired() -> None:
    """Expired while a change waited, the charger went offline: expired became unknown."""
    reserving = Reserving()
    reserving.reserve()
    reserving.answer(ACCEPTED)
    change = ReserveRequest(terms=terms(port=2), request_id="change", offline_policy="reject")
    reserving.tell(ReserveCommand(change))
    reserving.answer(InDoubtDetail(cause="socket_closed", after=timedelta(seconds=20)))
    reserving.skip(hours=1, seconds=31)
    reserving.look(route=None)
    reserving.settle()
    newer = Route(queue=ROUTE.queue, epoch=ROUTE.epoch + 1)
    reserving.tell(ChargerConnected(at=reserving.now, route=newer, epoch=newer.epoch))
    reserving.skip(seconds=61)
    reserving.look(route=newer)
    reserving.answer(NOT_CONNECTED)
    reserving.look(route=None)
    assert reserving.state == "expired"
    assert isinstance(reserving.step, WaitForCharger)


def test_a_charger_that_takes_no_commands_has_not_cancelled() -> None:
    """Trouble at ReserveNow, then not accepted yet at CancelReservation: it went on holding."""
    reserving = Reserving()
    reserving.reserve()
    reserving.answer(ReserveNowResult(error="InternalError"))
    reserving.answer(CancelReservationResult(error=NOT_BOOTED))
    assert reserving.state == "sending"
    reserving.skip(seconds=6)
    assert isinstance(reserving.step, SendCancelReservation)


def test_a_port_that_was_reserved_before_the_connection_broke_may_still_be() -> None:
    """Expired, the charger reconnected and reported nothing: what it held was left there."""
    reserving = Reserving()
    reserving.reserve()
    reserving.answer(ACCEPTED)
    reserving.skip(hours=1, seconds=31)
    reserving.look(status="Reserved")
    newer = Route(queue=ROUTE.queue, epoch=ROUTE.epoch + 1)
    reserving.tell(ChargerConnected(at=reserving.now, route=newer, epoch=newer.epoch))
    reserving.settle()
    reserving.skip(seconds=61)
    reserving.look(status="Reserved")
    assert isinstance(reserving.step, SendCancelReservation)


def test_two_acceptances_of_different_terms_are_two_events() -> None:
    """The gateway died after it had stored the first; the second had its id and was taken for a repeat."""
    reserving = Reserving()
    reserving.reserve()
    first = _event_id(reserving)
    reserving.answer(InDoubtDetail(cause="gateway_lost"))
    reserving.skip(seconds=6)
    reserving.look(route=ROUTE)
    assert _event_id(reserving) == first
    reserving.reserve(terms(hours=2))
    assert _event_id(reserving) not in ("", first)


def test_an_event_that_could_not_be_stored_keeps_its_id() -> None:
    """It may have been stored all the same."""
    reserving = Reserving()
    reserving.reserve()
    asked = _event_id(reserving)
    reserving.answer(ACCEPTED.model_copy(update={"is_event_lost": True}))
    step = reserving.step
    assert isinstance(step, StoreEvents)
    assert [event.event_id for event in step.events] == [asked]


def test_a_use_before_the_charger_held_anything_needs_no_cancel() -> None:
    """One of the group charged where nothing was reserved yet: the end was awaited, at no port."""
    reserving = Reserving()
    reserving.reserve(terms(group="FAMILY"))
    reserving.answer(ReserveNowResult(error=NOT_BOOTED))
    reserving.tell(_start(parent_id_tag="FAMILY", id_tag="CHILD"))
    assert reserving.state == "used"
    assert isinstance(reserving.step, Unsubscribe)


def test_a_use_while_an_answer_is_missing_does_not_show_that_the_charger_holds_nothing() -> None:
    """It may have read the frame after the use: then it held for a driver who had left."""
    reserving = Reserving()
    reserving.reserve()
    reserving.answer(ACCEPTED)
    reserving.reserve(terms(hours=2))
    reserving.answer(SILENCE)
    reserving.tell(_start(reservation_id=7, id_tag="CARD"))
    assert reserving.state == "used"
    reserving.settle()
    reserving.tell(TransactionEnded(at=NOW, transaction_id="17", port_number=1))
    assert isinstance(reserving.step, SendCancelReservation)


def test_events_that_could_not_be_stored_are_stored_before_the_run_closes() -> None:
    """Cancelled while the database was away, asked for anew and cancelled: it closed with them all."""
    reserving = Reserving()
    reserving.reserve(route=None)
    reserving.cancel()
    reserving.decide()
    step = reserving.step
    assert isinstance(step, StoreEvents)
    reserving.reserve(route=None)
    reserving.tell(EventsStored(len(step.events), succeeded=False))
    reserving.cancel()
    reserving.decide()
    step = reserving.step
    assert isinstance(step, StoreEvents)
    assert len(step.events) == 2
    assert step.forever


def test_what_a_charger_holds_that_died_of_our_frames_is_not_known() -> None:
    """Given up, reserved anew and cancelled: the cancel was Accepted, and the charger went on holding."""
    reserving = Reserving()
    reserving.reserve()
    reserving.answer(ACCEPTED)
    reserving.cancel()
    for epoch in (4, 5, 6):
        reserving.answer(InDoubtDetail(cause="socket_closed"))
        reserving.tell(ChargerConnected(at=NOW, route=Route(queue="gateway-a", epoch=epoch), epoch=epoch))
    assert reserving.state == "failed"
    reserving.reserve()
    answers = [effect.answer for effect in reserving.cancel() if isinstance(effect, Answer)]
    assert not any(isinstance(answer, CancelAnswer) for answer in answers)
    reserving.settle()
    reserving.decide()
    assert isinstance(reserving.step, SendCancelReservation)


def _start(**details: object) -> TransactionStarted:
    return TransactionStarted.model_validate({"at": NOW, "transaction_id": "17", "port_number": 1} | details)


def _event_id(reserving: Reserving) -> str:
    reserving.decide()
    step = reserving.step
    assert isinstance(step, SendReserveNow), f"due is {step}"
    return step.argument.event_id
