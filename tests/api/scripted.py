"""A workflow of the reservation's name that answers what a test says, in the process of the test."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from workflows.messages import (
    PENDING,
    CancelAnswer,
    CancelRequest,
    CancelStatus,
    ForwardCancelInput,
    PasswordAnswer,
    PasswordChange,
    PasswordStatus,
    ReservationStart,
    ReservationState,
    ReserveAnswer,
    ReserveRequest,
    ReserveStatus,
    Snapshot,
    Terms,
    TimelineEntry,
)

ACCEPTED = ReserveAnswer(status=ReserveStatus.ACCEPTED, state=ReservationState.ACTIVE)
CANCELLED = CancelAnswer(status=CancelStatus.ACCEPTED, state=ReservationState.CANCELLED)


@dataclass
class Script:
    """What the workflow of one number does, and what it heard."""

    reserve: ReserveAnswer | None = ACCEPTED  # None: says nothing until the wait ends, then Pending
    cancel: CancelAnswer | None = CANCELLED
    ends_as: ReservationState | None = None  # over once it has answered `reserve`
    closing_runs: int = 0  # so many runs end while `reserve` waits for its answer
    silent: bool = False  # keeps no time of its own, as when its worker died
    fails: bool = False
    starts: list[ReservationStart] = field(default_factory=list)
    asked: list[ReserveRequest] = field(default_factory=list)
    cancels: list[CancelRequest] = field(default_factory=list)
    forward: CancelAnswer | None = (
        CANCELLED  # the charger's word on a number without a reservation; None: silent
    )
    forwarded: list[ForwardCancelInput] = field(default_factory=list)
    signals: int = 0


SCRIPTS: defaultdict[int, Script] = defaultdict(Script)
"""By reservation number; a test's numbers are its own, and any other one is accepted."""


@workflow.defn(name="Reservation")
class ScriptedReservation:
    """The messages of the real one."""

    @workflow.init
    def __init__(self, start: ReservationStart) -> None:
        self._script = SCRIPTS[start.reservation_id]
        self._start = start
        self._state = ReservationState.REQUESTED
        self._terms: Terms | None = None
        self._is_over = False
        self._closes = self._script.closing_runs > 0
        self._script.closing_runs -= 1

    @workflow.run
    async def run(self, start: ReservationStart) -> Snapshot:
        if not workflow.unsafe.is_replaying():
            self._script.starts.append(start)
        await workflow.wait_condition(lambda: self._is_over)
        if not self._closes:
            await workflow.wait_condition(workflow.all_handlers_finished)
        return self.snapshot()

    @workflow.update(unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON)  # a closing run
    async def reserve(self, request: ReserveRequest) -> ReserveAnswer:
        self._script.asked.append(request)
        self._terms = request.terms
        if self._script.fails:
            raise ApplicationError(f"no luck with {request.terms.id_tag}", type="NoLuck")
        if self._closes or self._script.silent:
            self._is_over = self._closes
            await workflow.wait_condition(lambda: False)
        answer = self._script.reserve
        if answer is None:
            await workflow.sleep(request.wait)
            return ReserveAnswer(status=PENDING, state=ReservationState.SENDING, reason="NoResponse")
        self._state = self._script.ends_as or answer.state
        self._is_over = self._state.is_end
        return answer

    @workflow.update
    async def cancel(self, request: CancelRequest) -> CancelAnswer:
        self._script.cancels.append(request)
        if self._script.silent:
            await workflow.wait_condition(lambda: False)
        answer = self._script.cancel
        if answer is None:
            await workflow.sleep(request.wait)
            return CancelAnswer(status=PENDING, state=ReservationState.ACTIVE, reason="ChargerOffline")
        self._state = answer.state
        self._is_over = self._state.is_end
        return answer

    @workflow.signal(name="cancel")
    def cancel_without_answer(self) -> None:
        self._script.signals += 1
        self._state = ReservationState.CANCELLED
        self._is_over = True

    @workflow.query
    def snapshot(self) -> Snapshot:
        at = datetime(2026, 11, 23, 12, tzinfo=UTC)
        return Snapshot(
            charger_id=self._start.charger_id,
            reservation_id=self._start.reservation_id,
            state=self._state,
            terms=self._terms,
            status=ReserveStatus.ACCEPTED,
            evidence="ReserveNow.conf",
            waiting_since=None,
            ended_at=at + timedelta(hours=1) if self._state.is_end else None,
            timeline=(TimelineEntry(at=at, event="accepted", detail="the charger holds port 1"),),
        )


PASSWORD_ANSWERS: dict[str, PasswordAnswer] = {}
"""By OCPP identity, the charger's word on a new password."""


@workflow.defn(name="ChangePassword")
class ScriptedChangePassword:
    """The change of a charger's password; one without an answer here accepts."""

    @workflow.run
    async def run(self, change: PasswordChange) -> PasswordAnswer:
        accepted = PasswordAnswer(status=PasswordStatus.ACCEPTED)
        return PASSWORD_ANSWERS.get(change.ocpp_identity, accepted)


@workflow.defn(name="ForwardCancel")
class ScriptedForwardCancel:
    """The cancel of a number that no reservation lives under."""

    @workflow.run
    async def run(self, start: ForwardCancelInput) -> CancelAnswer:
        script = SCRIPTS[start.reservation_id]
        if not workflow.unsafe.is_replaying():
            script.forwarded.append(start)
        await workflow.wait_condition(lambda: script.forward is not None)
        assert script.forward is not None
        return script.forward
