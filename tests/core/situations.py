"""Reservations in every situation there is, and everything that can happen to them, each by a name."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from workflows.messages import (
    CancelReservationResult,
    CancelStatus,
    ChargerBooted,
    ChargerConnected,
    InDoubtDetail,
    NotSentDetail,
    PortReservedByOther,
    PortStatusChanged,
    PortView,
    ReservationEnded,
    ReservationStart,
    ReserveNowResult,
    ReserveRequest,
    ReserveStatus,
    Route,
    Terms,
    TransactionEnded,
    TransactionStarted,
)
from workflows.reservation.effects import Effect
from workflows.reservation.inputs import (
    CancelCommand,
    CancelOutcome,
    ChargerBack,
    Decision,
    EventsStored,
    Input,
    Looked,
    LookFor,
    ReserveCommand,
    ReserveOutcome,
    Tick,
    Unsubscribed,
)
from workflows.reservation.machine import ReservationMachine
from workflows.reservation.steps import (
    Look,
    SendCancelReservation,
    SendReserveNow,
    Step,
    StoreEvents,
    Unsubscribe,
    WaitForCharger,
)

NOW = datetime(2026, 12, 1, 10, 0, tzinfo=UTC)
START = ReservationStart(charger_id=1, ocpp_identity="CP-1", reservation_id=7, site_id="north")
RUN = "first-run"
ROUTE = Route(queue="gateway-a", epoch=3)
NEWER_ROUTE = Route(queue="gateway-b", epoch=4)
SECOND = timedelta(seconds=1)

FrameResult = ReserveNowResult | CancelReservationResult | NotSentDetail | InDoubtDetail

ACCEPTED = ReserveNowResult(status=ReserveStatus.ACCEPTED)
OCCUPIED = ReserveNowResult(status=ReserveStatus.OCCUPIED)
CANCELLED = CancelReservationResult(status=CancelStatus.ACCEPTED)
NO_SUCH_ID = CancelReservationResult(status=CancelStatus.REJECTED)
SILENCE = InDoubtDetail(cause="timeout", after=30 * SECOND)
NOT_CONNECTED = NotSentDetail(cause="not_connected")


def terms(*, hours: float = 1, port: int | None = 1, tag: str = "CARD", group: str | None = None) -> Terms:
    """What is reserved; port 1 for CARD for an hour."""
    return Terms(
        port_id=None if port is None else 10 + port,
        port_number=port,
        expires_at=NOW + timedelta(hours=hours),
        id_tag=tag,
        parent_id_tag=group,
    )


class Reserving:
    """A machine with a clock of its own, told what happens and asked what comes next."""

    def __init__(self, start: ReservationStart = START) -> None:
        self.now = NOW
        self.machine = ReservationMachine(start, RUN, NOW)
        self._calls = 0

    @property
    def step(self) -> Step:
        """What comes next."""
        return self.machine.next_step(self.now)

    @property
    def state(self) -> str:
        """Where the reservation stands."""
        return self.machine.record.state.value

    def tell(self, *inputs: Input) -> list[Effect]:
        """Apply inputs, one after the other; what follows from all of them."""
        return [effect for input in inputs for effect in self.machine.apply(input, self.now)]

    def decide(self) -> list[Effect]:
        """Take the steps that need nothing from outside; what follows from them."""
        effects: list[Effect] = []
        while isinstance(step := self.step, Decision):
            effects += self.tell(step)
        return effects

    def reserve(
        self, asked: Terms | None = None, *, route: Route | None = ROUTE, request_id: str = ""
    ) -> list[Effect]:
        """Have a caller ask for a reservation."""
        self._calls += 1
        request = ReserveRequest(
            terms=asked or terms(), route=route, request_id=request_id or f"reserve-{self._calls}"
        )
        effects = self.tell(ReserveCommand(request, self._calls, self.now + 35 * SECOND))
        self.decide()
        return effects

    def cancel(self, request_id: str = "") -> list[Effect]:
        """Have a caller cancel it."""
        self._calls += 1
        request_id = request_id or f"cancel-{self._calls}"
        return self.tell(CancelCommand(request_id, self._calls, self.now + 35 * SECOND))

    def answer(
        self, result: ReserveNowResult | CancelReservationResult | NotSentDetail | InDoubtDetail
    ) -> list[Effect]:
        """Have the frame that is due sent, with this outcome."""
        self.settle()
        step = self.step
        if isinstance(step, SendReserveNow):
            assert not isinstance(result, CancelReservationResult), f"due is {step}"
            return self.tell(ReserveOutcome(step.argument, self.now, result))
        assert isinstance(step, SendCancelReservation), f"due is {step}"
        assert not isinstance(result, ReserveNowResult), f"due is {step}"
        return self.tell(CancelOutcome(result))

    def look(self, **view: object) -> list[Effect]:
        """Perform the look that is due; the charger has been ready for an hour unless `view` differs."""
        step = self.step
        assert isinstance(step, Look), f"due is {step}"
        return self.tell(Looked(step.purpose, _view(view)))

    def settle(self) -> None:
        """Store events and unsubscribe, as far as that is due."""
        while isinstance(step := self.step, Decision | StoreEvents | Unsubscribe):
            if isinstance(step, Decision):
                self.tell(step)
            elif isinstance(step, StoreEvents):
                self.tell(EventsStored(len(step.events), succeeded=True))
            else:
                self.tell(Unsubscribed(len(step.argument.events)))

    def skip(self, **duration: float) -> None:
        """Let time pass."""
        self.now += timedelta(**duration)


# --- situations -------------------------------------------------------------------------------------------


def _new() -> Reserving:
    return Reserving()


def _without_route() -> Reserving:
    reserving = Reserving()
    reserving.reserve(route=None)
    return reserving


def _offline() -> Reserving:
    reserving = _without_route()
    reserving.look(route=None)
    return reserving


def _sending() -> Reserving:
    reserving = Reserving()
    reserving.reserve()
    return reserving


def _active(asked: Terms | None = None) -> Reserving:
    reserving = Reserving()
    reserving.reserve(asked)
    reserving.answer(ACCEPTED)
    return reserving


def _checking() -> Reserving:
    reserving = _active()
    reserving.tell(PortStatusChanged(at=NOW, port_number=1, before="Reserved", status="Available"))
    return reserving


def _check_due() -> Reserving:
    reserving = _checking()
    reserving.skip(seconds=61)
    return reserving


def _extending() -> Reserving:
    reserving = _active()
    reserving.reserve(terms(hours=2))
    return reserving


def _moving() -> Reserving:
    reserving = _active()
    reserving.reserve(terms(port=2))
    return reserving


def _unknown() -> Reserving:
    reserving = _sending()
    reserving.answer(SILENCE)
    return reserving


def _in_doubt_after_refusal() -> Reserving:
    reserving = _extending()
    reserving.answer(OCCUPIED)
    return reserving


def _cancelling() -> Reserving:
    reserving = _active()
    reserving.cancel()
    return reserving


def _cancel_refused() -> Reserving:
    reserving = _cancelling()
    reserving.answer(NO_SUCH_ID)
    return reserving


def _expiring() -> Reserving:
    reserving = _active()
    reserving.skip(hours=1, seconds=31)
    return reserving


def _used() -> Reserving:
    reserving = _active()
    reserving.tell(HAPPENINGS["transaction with our number"])
    return reserving


def _used_by_group() -> Reserving:
    reserving = _active(terms(group="FAMILY"))
    reserving.tell(HAPPENINGS["transaction by our group"])
    return reserving


def _expired() -> Reserving:
    reserving = _expiring()
    reserving.look(status="Available")
    return reserving


def _expired_and_watching() -> Reserving:
    reserving = _expiring()
    reserving.look(route=None)
    return reserving


def _cancelled() -> Reserving:
    reserving = _cancelling()
    reserving.answer(CANCELLED)
    reserving.decide()
    return reserving


def _removed() -> Reserving:
    reserving = _active()
    reserving.tell(HAPPENINGS["charger removed it"])
    return reserving


def _rejected() -> Reserving:
    reserving = _sending()
    reserving.answer(OCCUPIED)
    return reserving


def _failed() -> Reserving:
    reserving = Reserving()
    reserving.skip(seconds=61)
    reserving.decide()
    return reserving


SITUATIONS: dict[str, Callable[[], Reserving]] = {
    "requested: nobody asked yet": _new,
    "requested: no route known": _without_route,
    "sending: charger offline": _offline,
    "sending: frame due": _sending,
    "active": _active,
    "active: port showed Available": _checking,
    "active: check due": _check_due,
    "active: extension due": _extending,
    "active: move due": _moving,
    "active: cancel due": _cancelling,
    "active: time is over": _expiring,
    "active: any port": partial(_active, terms(port=None)),
    "active: extension refused": _in_doubt_after_refusal,
    "unknown: answer lost": _unknown,
    "unknown: cancel refused": _cancel_refused,
    "used": _used,
    "used: by the group": _used_by_group,
    "expired": _expired,
    "expired: watching": _expired_and_watching,
    "cancelled": _cancelled,
    "removed": _removed,
    "rejected": _rejected,
    "failed": _failed,
}


def _transaction(**details: object) -> TransactionStarted:
    return TransactionStarted.model_validate({"at": NOW, "transaction_id": "17", "port_number": 1} | details)


HAPPENINGS: dict[str, Input] = {
    "same reserve again": ReserveCommand(
        ReserveRequest(terms=terms(), route=ROUTE, request_id="again"), 90, NOW
    ),
    "reserve with other content": ReserveCommand(
        ReserveRequest(terms=terms(hours=3), route=ROUTE, request_id="other"), 90, NOW
    ),
    "cancel": CancelCommand("cancel", 91, NOW),
    "time to answer Pending": Tick(),
    "charger connects": ChargerConnected(at=NOW, route=NEWER_ROUTE, epoch=4),
    "charger boots": ChargerBooted(at=NOW, epoch=3),
    "port shows Available": PortStatusChanged(at=NOW, port_number=1, before="Reserved", status="Available"),
    "port shows Reserved": PortStatusChanged(at=NOW, port_number=1, before="Reserved", status="Reserved"),
    "port shows Faulted": PortStatusChanged(at=NOW, port_number=1, before="Reserved", status="Faulted"),
    "port shows Charging": PortStatusChanged(at=NOW, port_number=1, before="Reserved", status="Charging"),
    "transaction with our number": _transaction(reservation_id=7, id_tag="CARD"),
    "transaction by our token": _transaction(id_tag="card"),
    "transaction by our token, known before": _transaction(id_tag="CARD", is_known=True),
    "transaction by our token, offline, long ago": _transaction(
        id_tag="CARD", offline=True, started_at=NOW - timedelta(hours=5)
    ),
    "transaction by our group": _transaction(id_tag="CHILD", parent_id_tag="FAMILY"),
    "transaction without a token": _transaction(),
    "transaction by a stranger": _transaction(id_tag="STRANGER"),
    "transaction ends": TransactionEnded(at=NOW, transaction_id="17", port_number=1),
    "charger removed it": ReservationEnded(at=NOW, reservation_id=7, status="Removed"),
    "charger says it expired": ReservationEnded(at=NOW, reservation_id=7, status="Expired"),
    "charger says NoTransaction": ReservationEnded(at=NOW, reservation_id=7, status="NoTransaction"),
    "other reservation on our port": PortReservedByOther(at=NOW, port_number=1),
}

RESERVE_RESULTS: dict[str, ReserveNowResult | NotSentDetail | InDoubtDetail] = {
    "Accepted": ACCEPTED,
    "Occupied": OCCUPIED,
    "Occupied, not sent": ReserveNowResult(
        status=ReserveStatus.OCCUPIED, reason="ReservedByOther", sent=False
    ),
    "CALLERROR InternalError": ReserveNowResult(error="InternalError"),
    "CALLERROR NotImplemented": ReserveNowResult(error="NotImplemented"),
    "CALLERROR SecurityError": ReserveNowResult(error="SecurityError"),
    "not sent": NOT_CONNECTED,
    "not sent, events waiting": NotSentDetail(cause="events_waiting"),
    "no answer": SILENCE,
}

CANCEL_RESULTS: dict[str, CancelReservationResult | NotSentDetail | InDoubtDetail] = {
    "Accepted": CANCELLED,
    "Rejected": NO_SUCH_ID,
    "CALLERROR InternalError": CancelReservationResult(error="InternalError"),
    "port held by another": CancelReservationResult(is_port_held=True),
    "not sent": NOT_CONNECTED,
    "no answer": SILENCE,
}

VIEWS: dict[str, dict[str, object]] = {
    "offline": {"route": None},
    "Available": {"status": "Available"},
    "Available, on 2.0.1": {"status": "Available", "protocol": "ocpp2.0.1"},
    "Reserved": {"status": "Reserved"},
    "Faulted": {"status": "Faulted"},
    "Charging": {"status": "Charging"},
    "ready for a moment": {"status": "Available", "ready_for": SECOND},
    "events waiting": {"status": "Available", "events_waiting": True},
}


def _view(view: dict[str, object]) -> PortView:
    seen = {"route": ROUTE, "ready_for": timedelta(hours=1), "protocol": "ocpp1.6", "status": None}
    return PortView.model_validate(seen | view)


def outcomes(step: Step, now: datetime) -> dict[str, Input]:
    """What can come of a step, each by a name."""
    match step:
        case SendReserveNow(argument):
            return {
                f"ReserveNow: {name}": ReserveOutcome(argument, now, result)
                for name, result in RESERVE_RESULTS.items()
            }
        case SendCancelReservation():
            return {
                f"CancelReservation: {name}": CancelOutcome(result) for name, result in CANCEL_RESULTS.items()
            }
        case Look(purpose):
            seen = {"route": ROUTE, "ready_for": timedelta(hours=1), "protocol": "ocpp1.6"}
            return {
                f"look for {purpose.name.lower()}: {name}": Looked(
                    purpose, PortView.model_validate(seen | view)
                )
                for name, view in VIEWS.items()
            }
        case WaitForCharger():
            return {"the charger is back": ChargerBack(NEWER_ROUTE)}
        case StoreEvents(events):
            return {
                "events stored": EventsStored(len(events), True),
                "events not stored": EventsStored(len(events), False),
            }
        case Unsubscribe(argument):
            return {"unsubscribed": Unsubscribed(len(argument.events))}
        case Decision():
            return {step.name.lower().replace("_", " "): step}
    return {}


__all__ = [
    "HAPPENINGS",
    "NOW",
    "ROUTE",
    "SITUATIONS",
    "LookFor",
    "Reserving",
    "outcomes",
    "terms",
]
