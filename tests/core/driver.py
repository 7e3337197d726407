"""The core alone, on a virtual clock: performs its steps as `workflows/reservation/workflow.py` does.

Where that one waits, `_run_loop` here yields what it waits for; `pump` goes on with it when that has come.
"""

from collections import deque
from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.core.checks import POLICY, WAIT, Call
from tests.core.site import CALL_TIMEOUT, Reply, Request, Site, silence
from workflows.messages import (
    InDoubtDetail,
    PortView,
    ReservationStart,
    ReservationState,
    ReserveRequest,
    Route,
    Snapshot,
    Terms,
)
from workflows.reservation.effects import Answer, StateReached
from workflows.reservation.inputs import (
    CancelCommand,
    CancelOutcome,
    ChargerBack,
    Command,
    Decision,
    EventsStored,
    Input,
    Looked,
    ReserveCommand,
    ReserveOutcome,
    Tick,
    Unsubscribed,
)
from workflows.reservation.machine import ReservationMachine
from workflows.reservation.steps import (
    Close,
    Look,
    SendCancelReservation,
    SendReserveNow,
    Step,
    StoreEvents,
    Unsubscribe,
    Wait,
    WaitForCharger,
)
from workflows.webhook_events import WebhookEvent

NEVER = datetime.max.replace(tzinfo=UTC)
STEPS_AT_ONCE = 60
"""More of them without any time passing are steps for ever."""

_NEEDS_NO_BACKGROUND = (SendReserveNow, SendCancelReservation, Wait, Close)
_SECOND = timedelta(seconds=1)


@dataclass
class Waiting:
    """What the loop waits for."""

    condition: Callable[[], bool]
    until: datetime


Looping = Generator[Waiting, None, Any]


class ContinuedAsNewError(Exception):
    """The run ends, and goes on as another."""


@dataclass
class Frame:
    """A frame that the charger got, and whose answer is on its way."""

    request: Request
    reply: Reply
    sent_at: datetime
    epoch: int

    @property
    def due_at(self) -> datetime:
        """When the answer comes, or when it is clear that none does."""
        return self.sent_at + self.reply.after


@dataclass
class Background:
    """An activity that Temporal tries again and again."""

    argument: Hashable
    attempt: Callable[[], Any]  # None: failed
    longest: timedelta  # between attempts
    next_at: datetime
    spacing: timedelta = _SECOND
    result: Any = None


class Driver:
    """One workflow id: a run after another, each with a machine of its own."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.calls: list[Call] = []
        self.ends: list[ReservationState] = []  # all that were reached, in order
        self.closed_as: Snapshot | None = None
        self._machine: ReservationMachine | None = None
        self._loop: Looping | None = None
        self._waiting = Waiting(lambda: True, site.now)
        self._inputs: deque[Input] = deque()
        self._runs = 0
        self._open: dict[int, Call] = {}
        self._keys = 0
        self._frame: Frame | None = None
        self._background: Background | None = None
        self._slow_statements = 0
        self._is_long = False  # as of the last wait
        self._is_suggested = False
        self._steps_since = (site.now, 0)
        self._alive: set[Terms] = set()  # what may be sent: asked for, not cancelled and not refused
        self._seen: set[str] = set()

    # --- callers ---------------------------------------------------------------------------------------

    @property
    def is_closed(self) -> bool:
        """Whether no run is open."""
        return self._loop is None

    def snapshot(self) -> Snapshot:
        """The reservation as it stands, or ended."""
        if self._machine is None or self.closed_as is not None:
            assert self.closed_as is not None
            return self.closed_as
        return self._machine.snapshot()

    def reserve(self, request: ReserveRequest, *, by_signal: bool = False) -> None:
        """Update-with-start or a signal, as the API does it."""
        if self.is_closed:
            if by_signal:
                return
            self._runs += 1
            self._begin(None)
        self.site.disturb()
        if by_signal:
            self._put(ReserveCommand(request))
        else:
            key = self._call(request.terms, request.request_id)
            self._put(ReserveCommand(request, key, self.site.now + WAIT))

    def cancel(self, request_id: str, way: str) -> None:
        """By update, by signal or natively; a closed reservation has nothing to cancel."""
        if self.is_closed:
            return
        self.site.disturb()
        if way == "update":
            self._put(CancelCommand(request_id, self._call(None, request_id), self.site.now + WAIT))
        else:
            self._put(CancelCommand(request_id))

    def _call(self, terms: Terms | None, request_id: str) -> int:
        site = self.site
        self._keys += 1
        call = Call.begin(site, self.calls, terms, request_id)
        self.calls.append(call)
        self._open[self._keys] = call
        return self._keys

    def _put(self, command: Command) -> None:
        self._inputs.append(command)
        self.pump()

    def renew(self) -> None:
        """Temporal suggests to continue as new."""
        self._is_suggested = True
        self.pump()

    def slow_the_database(self, statements: int) -> None:
        """The next statements take a while."""
        self._slow_statements = statements

    # --- time ------------------------------------------------------------------------------------------

    def skip(self, duration: timedelta) -> None:
        """Let time run on, from one instant that matters to the next."""
        site = self.site
        self.pump()
        until = site.now + duration
        while site.now < until:
            site.now = min(until, *(at for at in self._next_due() if at > site.now))
            self.pump()

    def _next_due(self) -> list[datetime]:
        moments = [NEVER, self.site.next_due or NEVER]
        if self._loop is not None:
            moments.append(self._waiting.until)
            if self._background is not None:
                moments.append(self._background.next_at)
        if (frame := self._frame) is not None:
            moments += [frame.due_at, frame.sent_at + CALL_TIMEOUT]
        return moments

    def pump(self) -> None:
        """Let everything happen that can happen at this instant."""
        site = self.site
        while True:
            site.run_due()
            for event in site.take_events():
                if self._loop is not None:
                    self._inputs.append(event)
            if self._loop is None:
                return
            if self._frame is not None:
                self._bring(self._frame)
            if not (self._waiting.condition() or site.now >= self._waiting.until):
                return
            self._go_on()

    def _go_on(self) -> None:
        assert self._loop is not None
        try:
            self._waiting = next(self._loop)
        except StopIteration:
            assert self._machine is not None
            assert not self._open
            self.closed_as, self._loop = self._machine.snapshot(), None
        except ContinuedAsNewError:
            assert self._machine is not None
            self._begin(self._machine.carried())

    def _begin(self, carried: dict[str, Any] | None) -> None:
        assert not self._inputs
        assert not self._open
        start = ReservationStart(
            charger_id=1, ocpp_identity="CP-1", reservation_id=7, policy=POLICY, carried=carried
        )
        self.closed_as = None
        self._machine = ReservationMachine(start, f"run-{self._runs}", self.site.now)
        self._background = None
        self._is_long = self._is_suggested = False
        self._loop = self._run_loop(self._machine)
        self._waiting = Waiting(lambda: True, NEVER)
        if carried is None:
            self._waiting = Waiting(lambda: bool(self._inputs), NEVER)  # the start comes with its update

    # --- the loop --------------------------------------------------------------------------------------

    def _run_loop(self, machine: ReservationMachine) -> Looping:
        while True:
            while self._inputs:
                self._apply(self._inputs.popleft())
            step = machine.next_step(self.site.now)
            self._count(step)
            if isinstance(step, _NEEDS_NO_BACKGROUND):
                self._background = None
            if isinstance(step, Close):
                yield Waiting(lambda: bool(self._inputs) or not self._open, NEVER)
                if not self._inputs:
                    return
            elif isinstance(step, Decision):
                self._apply(step)
            elif isinstance(step, Wait):
                yield from self._wait(lambda: bool(self._inputs), step.until)
            else:
                outcome = yield from self._perform(step)
                if outcome is not None:
                    self._apply(outcome)

    def _count(self, step: Step) -> None:
        since, count = self._steps_since
        self._steps_since = (since, count + 1) if since == self.site.now else (self.site.now, 1)
        assert count < STEPS_AT_ONCE, f"for ever: {step}"

    def _apply(self, input: Input) -> None:
        assert self._machine is not None
        self._note_alive(input)
        for effect in self._machine.apply(input, self.site.now):
            match effect:
                case Answer(key, answer):
                    self._open.pop(key).answer = answer
                case StateReached(state) if state.is_end:
                    self.ends.append(state)

    # --- steps -----------------------------------------------------------------------------------------

    def _perform(self, step: Step) -> Looping:
        site = self.site
        match step:
            case SendReserveNow(argument):
                assert argument.terms in self._alive, f"nobody wants {argument.terms} any more"
                asked_at = site.now
                outcome = yield from self._send(argument)
                return ReserveOutcome(argument, asked_at, outcome)
            case SendCancelReservation(argument):
                outcome = yield from self._send(argument)
                return CancelOutcome(outcome)
            case Look(purpose, port_number):
                view: PortView | None = yield from self._ask_database(
                    ("look", port_number), lambda: site.look_at_charger(port_number)
                )
                if view is not None and not self._inputs:
                    return Looked(purpose, view)
                self._background = None
                return None
            case WaitForCharger(subscription, until):
                route: Route | None = yield from self._in_background(
                    subscription,
                    lambda: None if site.is_database_away else site.wait_for_charger(subscription),
                    30 * _SECOND,
                    until,
                )
                return None if route is None else ChargerBack(route)
            case StoreEvents(events, forever):
                stored = yield from self._store(events, forever)
                return EventsStored(len(events), stored)
            case Unsubscribe(argument):
                done = yield from self._ask_database(argument, lambda: site.unsubscribe(argument))
                return None if done is None else Unsubscribed(len(argument.events))
        raise AssertionError(f"{step} is no step to perform")

    def _send(self, request: Request) -> Looping:
        site = self.site
        fate = site.write(request)
        if isinstance(fate, Reply):
            return fate.outcome
        reply = site.answer(request, fate)
        frame = self._frame = Frame(request, reply, site.now, site.epoch)
        yield from self._wait(
            lambda: self._frame is None,
            None,
            pending_before=site.now + POLICY.call_timeout,
            may_continue=False,
        )
        return frame.reply.outcome

    def _bring(self, frame: Frame) -> None:
        """Bring the frame's answer, if it has come."""
        site, outcome = self.site, frame.reply.outcome
        waited = site.now - frame.sent_at
        if not isinstance(outcome, InDoubtDetail):
            if not site.is_online or site.epoch != frame.epoch:
                frame.reply = Reply(InDoubtDetail(cause="socket_closed", after=waited))
            elif waited >= CALL_TIMEOUT:
                frame.reply = silence()
            elif site.is_thinking or site.now < frame.due_at:
                return
            else:
                frame.reply = Reply(site.receive(frame.request, outcome))
        elif site.now < frame.due_at:
            return
        self._frame = None

    def _ask_database(self, argument: Hashable, statement: Callable[[], Any]) -> Looping:
        slow = bool(self._slow_statements) and not self._is_under_way(argument)
        self._slow_statements -= slow
        return (
            yield from self._in_background(
                argument,
                lambda: None if self.site.is_database_away else statement(),
                10 * _SECOND,
                None,
                begins_in=_SECOND / 2 if slow else timedelta(),
            )
        )

    def _is_under_way(self, argument: Hashable) -> bool:
        return self._background is not None and self._background.argument == argument

    def _in_background(
        self,
        argument: Hashable,
        attempt: Callable[[], Any],
        longest: timedelta,
        until: datetime | None,
        begins_in: timedelta = timedelta(),
    ) -> Looping:
        if self._background is None or not self._is_under_way(argument):
            self._background = Background(argument, attempt, longest, self.site.now + begins_in)
        activity = self._background
        yield from self._wait(lambda: self._has_come(activity) or bool(self._inputs), until)
        if not self._has_come(activity):
            return None
        self._background = None
        return activity.result

    def _has_come(self, activity: Background) -> bool:
        if activity.result is None and self.site.now >= activity.next_at:
            activity.result = activity.attempt()
            activity.next_at = self.site.now + activity.spacing
            activity.spacing = min(2 * activity.spacing, activity.longest)
        return activity.result is not None

    def _store(self, events: tuple[WebhookEvent, ...], forever: bool) -> Looping:
        while self.site.is_database_away:
            yield Waiting(lambda: False, self.site.now + 2 * _SECOND)
            if not forever and self.site.is_database_away:
                return False
        self.site.store_webhook_events(events)
        return True

    # --- waiting ------------------------------------------------------------------------------------------

    def _may_continue(self) -> bool:
        assert self._machine is not None
        return self._is_long and not self._open

    def _wait(
        self,
        condition: Callable[[], bool],
        until: datetime | None,
        *,
        pending_before: datetime = NEVER,
        may_continue: bool = True,
    ) -> Looping:
        machine = self._machine
        assert machine is not None

        def pending_at() -> datetime:
            next_pending = machine.requests.next_pending_at() or NEVER
            return next_pending if next_pending < pending_before else NEVER

        while not condition() and (until is None or self.site.now < until):
            self._apply(Tick(in_hurry=may_continue and self._is_long))
            planned = pending_at()
            yield Waiting(
                lambda: (
                    condition()
                    or pending_at() < planned  # noqa: B023 - awaited before it changes
                    or (may_continue and self._may_continue())
                ),
                min(until or NEVER, planned),
            )
            if may_continue and not condition() and not self._inputs and self._may_continue():
                raise ContinuedAsNewError
            self._is_long = self._is_suggested

    # --- what may be sent ---------------------------------------------------------------------------------

    def _note_alive(self, input: Input) -> None:
        """A request that is cancelled or over never comes back, however often it is repeated."""
        if not isinstance(input, ReserveCommand | CancelCommand) or input.request_id in self._seen:
            return
        self._seen.add(input.request_id)
        if isinstance(input, CancelCommand):
            self._alive.clear()
        else:
            self._alive.add(input.request.terms)
