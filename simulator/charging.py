"""Drivers at a charger: cables, tokens, and the sessions that come of them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.ports import Phase, Port
from simulator.reservations import Entry, Reservation
from simulator.sessions import Session, TransactionMessage, TransactionQueue

if TYPE_CHECKING:
    from simulator.charger import SimulatedCharger


@dataclass(frozen=True, slots=True)
class Visitor:
    """A token that was let in and waits for its cable."""

    id_tag: str
    id_tag_type: str | None
    parent_id_tag: str | None
    reservation: Reservation | None
    remote_start_id: int | None = None


class Charging:
    """The sessions of one charger."""

    def __init__(
        self, charger: "SimulatedCharger", connection_timeout: float, meter_seconds: float | None
    ) -> None:
        self.queue = TransactionQueue(charger.dialect, charger.clock, self._refused)
        self._charger = charger
        self._connection_timeout = connection_timeout
        self._meter_seconds = meter_seconds
        self._sessions: dict[int, Session] = {}
        self._visitors: dict[int, Visitor] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def session(self, port_number: int) -> Session | None:
        """The session at a port."""
        return self._sessions.get(port_number)

    def session_of(self, transaction_id: int | str) -> Session | None:
        """The session with this transaction id."""
        return next(
            (one for one in self._sessions.values() if one.transaction_id == transaction_id),
            None,
        )

    def transaction_id(self, port_number: int) -> int | str | None:
        """The transaction at a port; None without one, or while 1.6 has not been told its number."""
        session = self._sessions.get(port_number)
        return None if session is None else session.transaction_id

    def port_for(self, id_tag: str, port_number: int | None) -> Port | None:
        """Where a remote start may go: the port named, else one reserved for the token, else a free one."""
        ports = self._charger.ports
        if port_number is not None:
            port = ports.get(port_number)
            return port if port is not None and self._can_start(port) else None
        for held in self._charger.table.held:
            if held.port_number in ports and held.id_tag.casefold() == id_tag.casefold():
                return ports[held.port_number]
        free = (port for port in ports.values() if self._can_start(port))
        return next((port for port in free if not self._charger.table.is_reserved(port.number)), None)

    def stop(self) -> None:
        """Nothing happens any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def plug_in(self, port: Port, connector: int = 1) -> None:
        """The cable goes in."""
        port.is_plugged = True
        port.plugged_connector = connector
        visitor = self._visitors.pop(port.number, None)
        if visitor is not None:
            self._start(port, visitor)
        elif self._starts_by_cable(port):
            self._add_session(port, Visitor("", None, None, None), by_cable=True)
            self._charger.report_changes()
        else:
            self._charger.report_changes()

    def unplug(self, port: Port) -> None:
        """The cable comes out."""
        if port.number in self._sessions:
            self.end(port, "EVDisconnected")
        port.is_plugged = False
        if port.phase is not Phase.AUTHORIZED:
            port.phase = Phase.IDLE
        self._charger.report_changes()

    async def swipe(self, port: Port, id_tag: str, id_tag_type: str | None) -> bool:
        """A token is held to the reader of a port; whether it achieved anything."""
        session = self._sessions.get(port.number)
        if session is not None and session.id_tag is not None:
            return self._swipe_out(port, session, id_tag)
        if port.is_faulted or not port.is_operative or port.phase is Phase.AUTHORIZED:
            return False
        id_tag_type = id_tag_type or self._reserved_type(id_tag)
        entry = self._entry(port, id_tag, id_tag_type)
        parent_id_tag = self._charger.parents.get(id_tag)
        if self._must_ask(entry, id_tag_type):
            accepted, parent_id_tag = await self._charger.authorize(id_tag, id_tag_type)
            if not accepted:
                return False
            entry = self._entry(port, id_tag, id_tag_type)  # the answer may have brought the group
        elif self._charger.online is None and entry.reservation is None:
            entry = Entry(entry.allowed and self._charger.personality.offline_accepts_unknown_tags)
        if not entry.allowed:
            return False
        self.let_in(port, Visitor(id_tag, id_tag_type, parent_id_tag, entry.reservation))
        return True

    def let_in(self, port: Port, visitor: Visitor) -> None:
        """A token has been accepted at a port: charge, or wait for the cable."""
        charger = self._charger
        if charger.version == "2.0.1" and visitor.reservation is not None:
            charger.table.use(visitor.reservation)  # H03.FR.09: presenting the token consumes it
            charger.reservations_changed()
        if port.is_plugged:
            self._start(port, visitor)
            return
        port.phase = Phase.AUTHORIZED
        self._visitors[port.number] = visitor
        charger.report_changes()
        self._set_timer(port.number, self._connection_timeout, lambda: self._gave_up(port))

    def start_from_afar(
        self,
        id_tag: str,
        port_number: int | None,
        *,
        id_tag_type: str | None = None,
        parent_id_tag: str | None = None,
        remote_start_id: int | None = None,
    ) -> Callable[[], None] | None:
        """What begins a remote start, called once it is answered; None refuses it."""
        port = self.port_for(id_tag, port_number)
        if port is None:
            return None
        parent_id_tag = parent_id_tag or self._charger.parents.get(id_tag)
        entry = self._charger.table.enter(
            port.number, id_tag, id_tag_type=id_tag_type, parent_id_tag=parent_id_tag, remote=True
        )
        if not entry.allowed:
            return None
        self._charger.reservations_changed()
        visitor = Visitor(id_tag, id_tag_type, parent_id_tag, entry.reservation, remote_start_id)
        return lambda: self.let_in(port, visitor)

    def end(self, port: Port, reason: str) -> None:
        """End the session of a port, if there is one; a waiting token is sent away."""
        self._cancel_timer(port.number)
        if self._visitors.pop(port.number, None) is not None:
            port.phase = Phase.IDLE
        session = self._sessions.pop(port.number, None)
        if session is not None:
            charger = self._charger
            port.phase = Phase.FINISHING if port.is_plugged else Phase.IDLE
            self._push(charger.dialect.ended(session, port, reason, self._is_offline, charger.clock()))
        self._charger.report_changes()

    def interrupted(self, port_number: int, reason: str = "Other") -> None:
        """A fault or a restart ends what goes on at a port."""
        port = self._charger.ports[port_number]
        if port_number in self._sessions or port_number in self._visitors:
            self.end(port, reason if reason != "PowerUp" else "PowerLoss")
        if port.phase is Phase.FINISHING:
            port.phase = Phase.IDLE

    def flow(self, port: Port, watt_hours: int) -> None:
        """Energy flows and is reported."""
        session = self._sessions.get(port.number)
        if session is not None:
            port.meter += watt_hours
            charger = self._charger
            self._push(charger.dialect.metered(session, port, self._is_offline, charger.clock()))

    def _can_start(self, port: Port) -> bool:
        usable = port.is_operative and not port.is_faulted
        return usable and port.phase in (Phase.IDLE, Phase.FINISHING)

    @property
    def _is_offline(self) -> bool:
        return self._charger.online is None

    def _entry(self, port: Port, id_tag: str, id_tag_type: str | None) -> Entry:
        return self._charger.table.enter(
            port.number,
            id_tag,
            id_tag_type=id_tag_type,
            parent_id_tag=self._charger.parents.get(id_tag),
        )

    def _must_ask(self, entry: Entry, id_tag_type: str | None) -> bool:
        p = self._charger.personality
        if self._charger.online is None:
            return False
        if id_tag_type == "Central" and not p.authorizes_central_tokens:
            return False
        if entry.reservation is not None:
            return p.authorizes_reserved_tag
        if entry.allowed or p.authorizes_foreign_tag:
            return True
        # The token may be of the group; only the central system knows (H03.FR.07, H03.FR.08).
        return any(held.parent_id_tag for held in self._charger.table.held)

    def _reserved_type(self, id_tag: str) -> str | None:
        if self._charger.version == "1.6":
            return None
        for held in self._charger.table.held:
            if held.id_tag.casefold() == id_tag.casefold():
                return held.id_tag_type
        return "ISO14443"

    def _swipe_out(self, port: Port, session: Session, id_tag: str) -> bool:
        parent_id_tag = self._charger.parents.get(id_tag)
        same_group = parent_id_tag is not None and parent_id_tag == session.parent_id_tag
        if session.id_tag != id_tag and not same_group:
            return False
        self.end(port, "Local")
        return True

    def _starts_by_cable(self, port: Port) -> bool:
        charger = self._charger
        by_cable = charger.personality.transaction_starts == "plugged" and charger.version == "2.0.1"
        return by_cable and port.number not in self._sessions and not port.is_faulted and port.is_operative

    def _start(self, port: Port, visitor: Visitor) -> None:
        charger = self._charger
        self._cancel_timer(port.number)
        waiting = self._sessions.get(port.number)
        reservation = visitor.reservation
        if charger.version == "1.6" and reservation is not None:
            if reservation in charger.table.held:
                charger.table.use(reservation)  # 1.6 §5.13: the transaction ends it
                charger.reservations_changed()
            else:
                reservation = None
        port.phase = Phase.CHARGING
        if waiting is not None:
            waiting.id_tag, waiting.id_tag_type = visitor.id_tag, visitor.id_tag_type
            waiting.parent_id_tag = visitor.parent_id_tag
            waiting.remote_start_id = visitor.remote_start_id
            waiting.reservation_id = None if reservation is None else reservation.reservation_id
            message = charger.dialect.authorized_later(waiting, self._is_offline, charger.clock())
            if message is not None:
                self._push(message)
        else:
            self._add_session(port, visitor, reservation)
        charger.report_changes()
        if self._meter_seconds is not None:
            self._set_timer(port.number, self._meter_seconds, lambda: self._read_meter(port))

    def _add_session(
        self, port: Port, visitor: Visitor, reservation: Reservation | None = None, by_cable: bool = False
    ) -> None:
        charger = self._charger
        session = Session(
            port_number=port.number,
            connector_id=port.plugged_connector,
            started_at=charger.clock(),
            meter_start=port.meter,
            transaction_id=None if charger.version == "1.6" else charger.new_transaction_id(),
            id_tag=None if by_cable else visitor.id_tag,
            id_tag_type=visitor.id_tag_type,
            parent_id_tag=visitor.parent_id_tag,
            reservation_id=None if reservation is None else reservation.reservation_id,
            remote_start_id=visitor.remote_start_id,
        )
        self._sessions[port.number] = session
        self._push(charger.dialect.started(session, self._is_offline))

    def _push(self, message: TransactionMessage) -> None:
        self.queue.push(message, self._charger.online)

    def _refused(self, session: Session) -> None:
        if self._sessions.get(session.port_number) is session:
            self.end(self._charger.ports[session.port_number], "DeAuthorized")

    def _gave_up(self, port: Port) -> None:
        """No cable came in time (1.6 ConnectionTimeOut, 2.0.1 EVConnectionTimeOut)."""
        if self._visitors.pop(port.number, None) is not None:
            port.phase = Phase.IDLE
            self._charger.report_changes()

    def _read_meter(self, port: Port) -> None:
        self.flow(port, watt_hours=100)
        if self._meter_seconds is not None and port.number in self._sessions:
            self._set_timer(port.number, self._meter_seconds, lambda: self._read_meter(port))

    def _set_timer(self, port_number: int, seconds: float, then: Callable[[], None]) -> None:
        self._cancel_timer(port_number)
        self._timers[port_number] = asyncio.get_running_loop().call_later(seconds, then)

    def _cancel_timer(self, port_number: int) -> None:
        timer = self._timers.pop(port_number, None)
        if timer is not None:
            timer.cancel()
