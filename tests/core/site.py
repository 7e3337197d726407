"""A site to live a reservation at: one modelled charger, its gateway and what the database has of both.

The charger is the simulator's own table of reservations with the personality of some make; what it reports
goes through a gateway that passes on what the real one would. The fate of every frame can be planned. Nothing
here decides anything about a reservation, waits or knows of Temporal: a driver moves the clock, hands frames
over and takes the events away, be it the core alone or a workflow on a real server.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from simulator.personality import STATUSES, Personality
from simulator.ports import Phase, Port
from simulator.reservations import Reservation, ReservationTable
from workflows.messages import (
    CancelReservationInput,
    CancelReservationResult,
    CancelStatus,
    ChargerBooted,
    ChargerConnected,
    Event,
    InDoubtDetail,
    NotSentDetail,
    PortReservedByOther,
    PortStatusChanged,
    PortView,
    ReservationEnded,
    ReserveNowInput,
    ReserveNowResult,
    ReserveStatus,
    Route,
    Subscription,
    Terms,
    TransactionEnded,
    TransactionStarted,
)
from workflows.webhook_events import UnsubscribeInput, WebhookEvent, active_event

OUR_ID = 7
OTHER_ID = 8
RESERVED = "Reserved"
CALL_TIMEOUT = timedelta(seconds=30)
_NOTHING = timedelta(0)
_PARENTS = {"CHILD": "FAMILY"}
_OCCUPIED_ON_201 = frozenset({"Preparing", "Charging", "Finishing"})

Request = ReserveNowInput | CancelReservationInput
Result = ReserveNowResult | CancelReservationResult
Outcome = Result | NotSentDetail | InDoubtDetail


class Fate(StrEnum):
    """What becomes of one frame."""

    NOT_SENT = "not sent"
    LOST = "lost on the way, the socket stays"
    UNANSWERED = "done by the charger, the answer lost, the socket stays"
    SLOW = "done by the charger, answered late"
    READ_LATE = "done by the charger when nobody waits for its answer any more"
    DIES_BEFORE = "the socket dies before the charger reads it"
    DIES_AFTER = "done by the charger, then the socket dies"
    TROUBLE = "done by the charger, answered InternalError"
    NOT_BOOTED = "answered SecurityError"
    GATEWAY_KILLED = "done by the charger, and the gateway is gone"


@dataclass(frozen=True)
class Reply:
    """What the gateway has for the workflow, and how long that took."""

    outcome: Outcome
    after: timedelta = _NOTHING


@dataclass
class Row:
    """The subscription, as the database has it."""

    first_run_id: str
    terms: Terms
    generation: int = 0
    transactions_before: int = 0  # this many had been reported before the first frame of the generation
    is_accepted: bool = False


@dataclass
class Session:
    """A driver at a port: one transaction."""

    transaction_id: str
    port_number: int
    id_tag: str | None = None
    is_ours: bool = False  # a use of our reservation that can be told from what is reported
    stored_for: tuple[str, int] | None = None  # run and generation when its start was last stored
    reservation_id: int | None = None  # what was reported of it, so that an addition is told from a repeat


@dataclass
class Outbox:
    """Events that are stored and not delivered, in order."""

    events: deque[Event] = field(default_factory=deque)
    count: int = 0
    last: Event | None = None
    held_until: datetime | None = None


class Site:
    """Everything around one reservation."""

    def __init__(
        self,
        personality: Personality,
        version: str,
        now: datetime,
        *,
        gateway_skew: timedelta = _NOTHING,
        charger_skew: timedelta = _NOTHING,
        queue: str = "gateway",
        later: Callable[[timedelta, Callable[[], None]], None] | None = None,
    ) -> None:
        """`later` calls a function after a while; None: `put_off`."""
        self.personality = personality
        self.version = version
        self.plan: deque[Fate] = deque()
        self.is_thinking = False  # the charger answers nothing
        self.faults: list[str] = []  # what must never be seen here
        self.webhook_events: list[WebhookEvent] = []
        self.queue = queue
        self._gateway_skew = gateway_skew
        self._charger_skew = charger_skew
        self._later = later or self.put_off
        self._timers: list[tuple[datetime, Callable[[], None]]] = []
        self.epoch = 0
        self.reset(now)

    def reset(self, now: datetime) -> None:
        """Another charger in its place, at another time."""
        self.now = now
        self.ports = [Port(1), Port(2)]
        self.table = ReservationTable(self.personality, self.ports, clock=lambda: self.now)
        self.is_online = True
        self.epoch += 1
        self.ready_since = now - timedelta(hours=1)
        self.calm_since = self.online_since = now
        self.database_away_until = now
        self.was_database_away = False
        self.row: Row | None = None
        self.shown = {1: "Available", 2: "Available"}  # as the database knows it
        self.answered: set[ReserveStatus] = set()  # to ReserveNow
        self.is_lost = False  # the charger dropped ours without being told to
        self.left_standing: set[Reservation] = set()  # of runs that are over, and may be
        self.holdings: list[tuple[Reservation, ...]] = [()]  # everything it ever held of ours, in order
        self.sessions: dict[int, Session] = {}
        self.outbox = Outbox()
        self._others: dict[int, datetime] = {}  # ports of another reservation of Berth's, with its expiry
        self._reported = dict(self.shown)  # what the charger believes it has told
        self._unreported = set[int]()  # ports without a report since the charger connected or booted
        self._outage_since = now
        self._kept: list[tuple[TransactionStarted | TransactionEnded, bool]] = []  # of an outage
        self._session_count = 0
        self._transactions: dict[str, int] = {}  # those reported so far, numbered

    # --- time ------------------------------------------------------------------------------------------

    @property
    def next_due(self) -> datetime | None:
        """When something happens here by itself."""
        moments = [at for at, _ in self._timers]
        if self.outbox.events and self.outbox.held_until is not None:
            moments.append(self.outbox.held_until)
        if (expiry := self.table.next_expiry()) is not None:
            moments.append(expiry)
        return min((at for at in moments if at > self.now), default=None)

    def run_due(self) -> None:
        """What was put off until now, and the charger's own look at its clock."""
        due = [timer for timer in self._timers if timer[0] <= self.now]
        for timer in due:
            self._timers.remove(timer)
            timer[1]()
        self.expire()

    def put_off(self, delay: timedelta, call: Callable[[], None]) -> None:
        """Have `run_due` call it when that time has passed."""
        self._timers.append((self.now + delay, call))

    def disturb(self) -> None:
        """Something happened from outside: the reservation may need a while to come to terms with it."""
        self.calm_since = self.now

    @property
    def is_database_away(self) -> bool:
        """Whether the worker's statements fail."""
        return self.now < self.database_away_until

    # --- what the charger holds --------------------------------------------------------------------

    @property
    def ours(self) -> tuple[Reservation, ...]:
        """What the charger holds under our number."""
        return tuple(held for held in self.table.held if held.reservation_id == OUR_ID)

    def is_as_agreed(self, held: tuple[Reservation, ...], terms: Terms) -> bool:
        """Whether `held` is exactly one reservation, with `terms`."""
        port_number = terms.port_number
        if port_number is None and self.personality.whole_charger == "first_port":
            port_number = 1
        return [(one.port_number, one.id_tag, one.expires_at, one.parent_id_tag) for one in held] == [
            (port_number, terms.id_tag, terms.expires_at, terms.parent_id_tag)
        ]

    @contextmanager
    def _by_itself(self) -> Iterator[None]:
        """What happens in here, nobody commanded."""
        had = bool(self.ours)
        yield
        self._note_held()
        if had and not self.ours:
            self.is_lost = True
            self.disturb()

    def _note_held(self) -> None:
        if self.ours != self.holdings[-1]:
            self.holdings.append(self.ours)

    def expire(self) -> None:
        """The charger looks at its clock."""
        expiry = self.table.next_expiry()
        if expiry is None or expiry > self.now:
            return
        with self._by_itself():
            gone = self.table.expire()
        if not gone:
            return
        if self.personality.available_on_expiry:
            self._report()
        else:
            self._reported = {port.number: self._status(port.number) for port in self.ports}
        if any(one.reservation_id == OUR_ID for one in gone) and self.personality.expired_update:
            self._report_end("Expired")

    # --- what happens at the charger -------------------------------------------------------------------

    def disconnect(self) -> None:
        self.disturb()
        if self.is_online:
            self._outage_since = self.now
        self.is_online = False

    def reconnect(self, *, rebooted: bool = False) -> None:
        self.disturb()
        p = self.personality
        with self._by_itself():
            self.table.restarted() if rebooted else self.table.reconnected()
        if rebooted:
            for port_number in list(self.sessions):
                self._end_session(port_number)
        self.is_online = True
        self.epoch += 1
        self.ready_since = self.online_since = self.now
        self._unreported = {port.number for port in self.ports}
        if rebooted or p.boots_on_reconnect:
            self._store(ChargerBooted(at=self._gateway_time))
        self._store(ChargerConnected(at=self._gateway_time, route=Route(queue=self.queue, epoch=self.epoch)))
        if p.offline_transactions == "before_status":
            self._send_kept()
        if rebooted or p.reports_on_reconnect == "all":
            self._reported.clear()
        if rebooted or p.reports_on_reconnect != "none":
            self._report()
        self._send_kept()

    def disconnect_or_reconnect(self) -> None:
        if self.is_online:
            self.disconnect()
        else:
            self.reconnect()

    def reboot(self) -> None:
        self.disconnect()
        self.reconnect(rebooted=True)

    def plug_in(self, port_number: int) -> None:
        """The cable comes first: on 2.0.1 a transaction may start whose token follows (E02)."""
        port = self.ports[port_number - 1]
        if port.phase is not Phase.IDLE or port.is_faulted or port.is_plugged or self.version == "1.6":
            return
        self.disturb()
        port.is_plugged = True
        session = self._begin_session(port_number)
        self._send_of_transaction(self._start_of(session))
        self._report()

    def charge(self, port_number: int, id_tag: str) -> None:
        """A driver plugs in, unless the cable is there already, and shows a card."""
        port = self.ports[port_number - 1]
        if port.phase is not Phase.IDLE or port.is_faulted:
            return
        parent = _PARENTS.get(id_tag)
        entry = self.table.enter(port_number, id_tag, parent_id_tag=parent)
        if not entry.allowed:
            return
        self.disturb()
        used = entry.reservation
        session = self.sessions.get(port_number) or self._begin_session(port_number)
        session.id_tag = id_tag
        fits = self._fits_ours(port_number, id_tag, parent)
        with self._by_itself():
            if used is not None:
                self.table.use(used)
        port.phase = Phase.CHARGING
        p = self.personality
        names = used is not None and p.tells_reservation_id
        if not self.is_online and not p.offline_tells_reservation_id:
            names = False
        session.reservation_id = used.reservation_id if names and used is not None else None
        session.is_ours = fits or session.reservation_id == OUR_ID
        self._send_of_transaction(self._start_of(session))
        self._report()

    def _fits_ours(self, port_number: int, id_tag: str, parent: str | None) -> bool:
        return any(
            held.port_number in (None, port_number)
            and (id_tag == held.id_tag or (parent is not None and parent == held.parent_id_tag))
            for held in self.ours
        )

    def leave(self, port_number: int) -> None:
        """The driver unplugs."""
        if port_number not in self.sessions:
            return
        self.disturb()
        self._end_session(port_number)
        self._report()

    def _begin_session(self, port_number: int) -> Session:
        self._session_count += 1
        session = Session(f"t{self._session_count}", port_number)
        self.sessions[port_number] = session
        return session

    def _end_session(self, port_number: int) -> None:
        port = self.ports[port_number - 1]
        port.phase, port.is_plugged = Phase.IDLE, False
        ended = self.sessions.pop(port_number)
        self._send_of_transaction(
            TransactionEnded(
                at=self._gateway_time, transaction_id=ended.transaction_id, port_number=port_number
            )
        )

    def break_or_mend(self, port_number: int) -> None:
        """The port breaks, or is mended."""
        self.disturb()
        port = self.ports[port_number - 1]
        port.is_faulted = not port.is_faulted
        gone: list[Reservation] = []
        with self._by_itself():
            if port.is_faulted:
                gone = self.table.port_lost(port_number)
        self._report()
        if any(one.reservation_id == OUR_ID for one in gone) and self.personality.removed_update:
            self._report_end("Removed")

    def come_right(self) -> None:
        """Nothing is in the way any more, and everybody has left."""
        if self.is_thinking:
            self.let_the_charger_think()
        self.plan.clear()
        if not self.is_online:
            self.reconnect()
        for port in self.ports:
            self.leave(port.number)

    # --- others who reserve ------------------------------------------------------------------------------

    def reserve_for_other(self, port_number: int, way: Literal["elsewhere", "berth", "forced"]) -> None:
        """Somebody else reserves the port: by another system, if it is free, or by Berth."""
        is_ours = self.row is not None and self.row.is_accepted and self.row.terms.port_number == port_number
        is_taken = self.table.is_reserved(port_number) or any(
            one.port_number is None for one in self.table.held
        )
        if not self.is_online or (is_taken and way == "elsewhere") or (is_ours and way == "berth"):
            return
        expires_at = self.now + timedelta(minutes=30)
        with self._by_itself():
            answer = self.table.reserve(Reservation(OTHER_ID, port_number, "OTHER", expires_at))
        self._report()
        if answer.accepted and way != "elsewhere":
            self._others = {port_number: expires_at}  # one number has one port
            if is_ours and self.row is not None:
                self.disturb()
                self.row.is_accepted = False
                self._store(PortReservedByOther(at=self._gateway_time, port_number=port_number))

    def _is_held_by_other(self, port_number: int | None) -> bool:
        return port_number is not None and self._others.get(port_number, self.now) > self.now

    # --- what the gateway passes on --------------------------------------------------------------------

    @property
    def route(self) -> Route | None:
        """Where the charger is to be reached."""
        return Route(queue=self.queue, epoch=self.epoch) if self.is_online else None

    @property
    def _gateway_time(self) -> datetime:
        return self.now + self._gateway_skew

    def _status(self, port_number: int) -> str:
        status = str(self.table.status(port_number))
        return "Occupied" if self.version != "1.6" and status in _OCCUPIED_ON_201 else status

    def _report(self) -> None:
        for port in self.ports:
            status = self._status(port.number)
            if self.is_online and self._reported.get(port.number) != status:
                self._reported[port.number] = status
                self._on_status(port.number, status)

    def _on_status(self, port_number: int, status: str) -> None:
        before, is_first = self.shown[port_number], port_number in self._unreported
        self.shown[port_number] = status
        self._unreported.discard(port_number)
        if not is_first and status in (before, RESERVED):
            return
        if self.row is not None and self.row.terms.port_number in (None, port_number):
            self._store(
                PortStatusChanged(
                    at=self._gateway_time, port_number=port_number, before=before, status=status
                )
            )

    def _report_end(self, status: str) -> None:
        if self.version != "1.6" and self.is_online:
            self._store(ReservationEnded(at=self._gateway_time, reservation_id=OUR_ID, status=status))

    def _start_of(self, session: Session) -> TransactionStarted:
        return TransactionStarted(
            at=self._gateway_time,
            transaction_id=session.transaction_id,
            port_number=session.port_number,
            reservation_id=session.reservation_id,
            id_tag=session.id_tag,
            parent_id_tag=_PARENTS.get(session.id_tag or ""),
            started_at=self.now + self._charger_skew,
        )

    def _send_of_transaction(self, event: TransactionStarted | TransactionEnded) -> None:
        self._kept.append((event, not self.is_online))
        self._send_kept()

    def _send_kept(self) -> None:
        while self.is_online and self._kept:
            event, was_offline = self._kept.pop(0)
            self._on_transaction(event, was_offline)

    def _on_transaction(self, event: TransactionStarted | TransactionEnded, was_offline: bool) -> None:
        if isinstance(event, TransactionStarted):
            is_addition = event.transaction_id in self._transactions
            number = self._transactions.setdefault(event.transaction_id, len(self._transactions) + 1)
            before = 0 if self.row is None else self.row.transactions_before
            event = event.model_copy(
                update={
                    "is_known": not is_addition and number <= before,
                    "is_id_live": event.reservation_id in (None, OUR_ID)
                    or any(expires_at > self.now for expires_at in self._others.values()),
                    "offline": self._seems_offline(event, was_offline),
                    "started_at": min(event.started_at or self._gateway_time, self._gateway_time),
                }
            )
            for session in self.sessions.values():
                if session.transaction_id == event.transaction_id and self.row is not None:
                    session.stored_for = (self.row.first_run_id, self.row.generation)
        self._store(event.model_copy(update={"at": self._gateway_time}))

    def _seems_offline(self, event: TransactionStarted, was_offline: bool) -> bool:
        """OCPP 1.6 does not say what comes from a queue: what began within the outage does."""
        if self.version != "1.6" or event.started_at is None:
            return was_offline
        return self._outage_since <= event.started_at <= self.ready_since

    def _store(self, event: Event) -> None:
        if self.row is None or not self.is_online:
            return
        outbox = self.outbox
        outbox.count += 1
        stamp = {
            "first_run_id": self.row.first_run_id,
            "event_id": outbox.count,
            "generation": self.row.generation,
            "epoch": self.epoch,
        }
        outbox.last = event.model_copy(update=stamp)
        outbox.events.append(outbox.last)

    def repeat_last_event(self) -> None:
        """A signal whose delivery was not known is delivered again."""
        if self.outbox.last is not None and not self.outbox.events:
            self.outbox.events.append(self.outbox.last)

    def delay_events(self, seconds: int) -> None:
        """Events are stored and not delivered for a while: Temporal is away."""
        self.outbox.held_until = self.now + timedelta(seconds=seconds)

    @property
    def has_deliverable(self) -> bool:
        """Whether an event is on its way, and nothing holds it up."""
        held_until = self.outbox.held_until
        return bool(self.outbox.events) and (held_until is None or held_until <= self.now)

    def take_events(self) -> Iterator[Event]:
        """Those that can be delivered now; each is gone once the next is asked for."""
        outbox = self.outbox
        while outbox is self.outbox and self.has_deliverable:
            yield outbox.events[0]
            outbox.events.popleft()

    # --- the gateway's activities ------------------------------------------------------------------------

    def plan_frames(self, fates: tuple[Fate, ...]) -> None:
        self.plan = deque(fates)

    def let_the_charger_think(self) -> None:
        """It reads what it is sent, and holds its answers back until the same step again."""
        self.disturb()
        self.is_thinking = not self.is_thinking

    def write(self, request: Request) -> Reply | Fate | None:
        """Hand a frame to the gateway: why it is not written, else the fate it will have."""
        self.expire()
        fate = self.plan.popleft() if self.plan else None
        if fate is not None:
            self.disturb()
        if not self.is_online:
            return Reply(NotSentDetail(cause="not_connected"))
        if request.epoch != self.epoch:
            return Reply(NotSentDetail(cause="wrong_gateway"))
        if isinstance(request, ReserveNowInput):
            if (refusal := self._refuse(request)) is not None:
                return Reply(refusal)
            self._enter(request)
        elif self._is_held_by_other(request.moving_to):
            return Reply(CancelReservationResult(is_port_held=True))
        if fate is Fate.NOT_SENT:
            return Reply(NotSentDetail(cause="not_ready"))
        if isinstance(request, ReserveNowInput) and request.is_repeat:
            self._look_for_uses(request)
        return fate

    def _refuse(self, request: ReserveNowInput) -> Outcome | None:
        if request.is_repeat and self.outbox.events:
            return NotSentDetail(cause="events_waiting")
        if not request.force and self._is_held_by_other(request.terms.port_number):
            return ReserveNowResult(status=ReserveStatus.OCCUPIED, reason="ReservedByOther", sent=False)
        return None

    def _enter(self, request: ReserveNowInput) -> None:
        """As the database does it: what was known before a frame is that of its generation's first."""
        row = self.row
        is_same_run = row is not None and row.first_run_id == request.first_run_id
        if row is None or not is_same_run or row.generation < request.generation:
            self.row = Row(request.first_run_id, request.terms, request.generation, len(self._transactions))
        else:
            row.is_accepted = row.is_accepted and row.terms == request.terms
            row.terms = request.terms

    def _look_for_uses(self, request: ReserveNowInput) -> None:
        for session in self.sessions.values():
            if session.is_ours and session.stored_for == (request.first_run_id, request.generation):
                self.faults.append(f"ReserveNow over {session}, which was reported")

    def answer(self, request: Request, fate: Fate | None) -> Reply:
        """The charger reads the frame, unless it never comes to that."""
        if fate is Fate.READ_LATE:
            self._later(CALL_TIMEOUT, lambda: self._read_late(request, self.epoch))
        if fate in (Fate.LOST, Fate.READ_LATE):
            return silence()
        if fate is Fate.DIES_BEFORE:
            self.disconnect()
            return _died(timedelta(seconds=1))
        if fate is Fate.NOT_BOOTED:
            return Reply(_error(request, "SecurityError"))
        result = self._do(request)
        if result is None:
            self.disconnect()
            return _died(timedelta(seconds=1))
        match fate:
            case Fate.UNANSWERED:
                return silence()
            case Fate.SLOW:
                return Reply(result, timedelta(seconds=20))
            case Fate.DIES_AFTER:
                self.disconnect()
                return _died(timedelta(seconds=20))
            case Fate.TROUBLE:
                return Reply(_error(request, "InternalError"))
            case Fate.GATEWAY_KILLED:
                self.receive(request, result)
                self.disconnect()
                return Reply(InDoubtDetail(cause="gateway_lost"), timedelta(seconds=10))
        return Reply(result)

    def _read_late(self, request: Request, epoch: int) -> None:
        if self.is_online and self.epoch == epoch:
            self._do(request)

    def receive(self, request: Request, outcome: Outcome) -> Outcome:
        """The gateway gets the charger's answer, and stores what follows from it."""
        if not isinstance(request, ReserveNowInput) or not isinstance(outcome, ReserveNowResult):
            return outcome
        if outcome.status is not ReserveStatus.ACCEPTED:
            return outcome
        if self.row is not None and self.row.first_run_id == request.first_run_id:
            self.row.is_accepted = True
            self._others.pop(request.terms.port_number or 0, None)
        event = active_event(request)
        if event is not None and self.is_database_away:
            return outcome.model_copy(update={"is_event_lost": True})
        if event is not None:
            self.store_webhook_events((event,))
        return outcome

    def _do(self, request: Request) -> Result | None:
        """None: the charger dies of it."""
        if isinstance(request, CancelReservationInput):
            cancelled = self.table.cancel(OUR_ID)
            self._note_held()
            if cancelled is None:
                return None
            self._report_beside_answer(self.personality.available_on_cancel)
            return CancelReservationResult(status=CancelStatus(cancelled.reply))
        terms = request.terms
        reserved = self.table.reserve(
            Reservation(OUR_ID, terms.port_number, terms.id_tag, terms.expires_at, terms.parent_id_tag)
        )
        self._note_held()
        if reserved.accepted:
            self.is_lost = False
        self._report_beside_answer(self.personality.reserved_status)
        if reserved.reply not in STATUSES:
            return ReserveNowResult(error=reserved.reply)
        status = ReserveStatus(reserved.reply)
        self.answered.add(status)
        return ReserveNowResult(status=status)

    def _report_beside_answer(self, moment: str) -> None:
        if moment == "before_answer":
            self._report()
        elif moment == "after_answer":
            self._later(timedelta(milliseconds=20), self._report)

    # --- the worker's activities ---------------------------------------------------------------------------

    def wait_for_charger(self, subscription: Subscription) -> Route | None:
        """None: it is offline."""
        row = self.row
        if row is None or row.first_run_id != subscription.first_run_id:
            self.row = Row(subscription.first_run_id, subscription.terms)
        else:
            row.terms = subscription.terms
        return self.route

    def look_at_charger(self, port_number: int | None) -> PortView:
        self.expire()
        return PortView(
            route=self.route,
            ready_for=self.now - self.ready_since if self.is_online else _NOTHING,
            protocol=f"ocpp{self.version}" if self.is_online else None,
            status=None if port_number is None else self.shown[port_number],
            events_waiting=bool(self.outbox.events),
        )

    def unsubscribe(self, request: UnsubscribeInput) -> bool:
        self.store_webhook_events(request.events)
        row = self.row
        if (
            row is not None
            and row.first_run_id == request.first_run_id
            and row.generation <= request.generation
        ):
            self.row = None
        return True

    def store_webhook_events(self, events: tuple[WebhookEvent, ...]) -> None:
        """Each id once, as the database has it; the same id for anything else is a fault."""
        for event in events:
            stored = next((one for one in self.webhook_events if one.event_id == event.event_id), None)
            if stored is None:
                self.webhook_events.append(event)
            elif stored.model_copy(update={"at": event.at}) != event:
                self.faults.append(f"one id for two webhook events: {stored} and {event}")

    def lose_the_database(self, seconds: int) -> None:
        """The worker's statements fail for a while."""
        self.disturb()
        self.database_away_until = self.now + timedelta(seconds=seconds)
        self.was_database_away = True


def silence() -> Reply:
    """No answer came in time."""
    return Reply(InDoubtDetail(cause="timeout", after=CALL_TIMEOUT), CALL_TIMEOUT)


def _died(after: timedelta) -> Reply:
    return Reply(InDoubtDetail(cause="socket_closed", after=after), after)


def _error(request: Request, code: str) -> Result:
    if isinstance(request, ReserveNowInput):
        return ReserveNowResult(error=code)
    return CancelReservationResult(error=code)
