"""What a charger holds for whom, and what it therefore answers.

Pure: no socket, no timer. The table is given a personality, the ports and a clock; it answers
ReserveNow and CancelReservation, says who may charge where, and which status each port shows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from simulator.clock import NEVER, Clock, utc_now
from simulator.personality import STATUSES, Personality, Reply
from simulator.ports import Phase, Port, PortStatus


@dataclass(frozen=True, slots=True)
class Reservation:
    """One reservation as the charger holds it; `port_number` None is the whole charger."""

    reservation_id: int
    port_number: int | None
    id_tag: str
    expires_at: datetime
    parent_id_tag: str | None = None
    id_tag_type: str | None = None
    plug_type: str | None = None
    accepted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, or the code of a CALLERROR; `cause` says why, in a word."""

    reply: Reply
    cause: str = ""

    @property
    def is_status(self) -> bool:
        """Whether it goes out as CALLRESULT."""
        return self.reply in STATUSES

    @property
    def accepted(self) -> bool:
        """Whether the charger said yes."""
        return self.reply == "Accepted"


@dataclass(frozen=True, slots=True)
class Entry:
    """May this token charge here, and by which reservation."""

    allowed: bool
    reservation: Reservation | None = None


ACCEPTED = Answer("Accepted")
_UNSUPPORTED: dict[str, Reply] = {
    "Rejected": "Rejected",
    "NotImplemented": "NotImplemented",
    "NotSupported": "NotSupported",
}


class ReservationTable:
    """The reservations of one charger."""

    def __init__(self, personality: Personality, ports: Sequence[Port], clock: Clock = utc_now) -> None:
        self.personality = personality
        self.ports = {port.number: port for port in ports}
        self.expires = True
        self.is_enabled = True
        self._clock = clock
        self._held: list[Reservation] = []
        self._hidden: set[int] = set()
        self._ticking_since = clock()

    @property
    def held(self) -> tuple[Reservation, ...]:
        """Everything held, oldest first; one id may be held twice."""
        return tuple(self._held)

    # Commands

    def reserve(self, request: Reservation) -> Answer:
        """Answer ReserveNow, and hold the reservation when the answer is Accepted."""
        p = self.personality
        if p.reservations != "supported":
            return Answer(_UNSUPPORTED[p.reservations], "unsupported")
        if not self.is_enabled:
            return Answer("Rejected", "disabled")  # H01.FR.01
        if request.port_number is not None and request.port_number not in self.ports:
            return Answer(p.unknown_port, "unknown_port")
        if request.expires_at <= self._clock() and p.past_expiry == "Rejected":
            return Answer("Rejected", "past_expiry")
        if request.port_number is None:
            if p.whole_charger == "Rejected":
                return Answer("Rejected", "whole_charger")  # H01.FR.19, 1.6 §5.13
            if p.whole_charger == "first_port":
                request = replace(request, port_number=min(self.ports))
        if p.checks_plug_type and not self._targets(request):
            return Answer("Rejected", "plug_type")
        if not p.holds_reservations:
            return ACCEPTED
        known = [held for held in self._held if held.reservation_id == request.reservation_id]
        return self._replace(known, request) if known else self._add(request, ignored=())

    def cancel(self, reservation_id: int) -> Answer | None:
        """Answer CancelReservation; None is a charger that dies of it."""
        p = self.personality
        if p.reservations != "supported":
            return Answer(_UNSUPPORTED[p.reservations], "unsupported")
        for held in self._held:
            if held.reservation_id == reservation_id:
                self._held.remove(held)
                return ACCEPTED  # H02.FR.02
        if p.cancel_unknown == "drops_socket":
            return None
        return Answer(p.cancel_unknown, "unknown_reservation")  # H02.FR.01

    # Use

    def enter(
        self,
        port_number: int,
        id_tag: str,
        *,
        id_tag_type: str | None = None,
        parent_id_tag: str | None = None,
        remote: bool = False,
    ) -> Entry:
        """Whether a token may charge at a port, and the reservation it uses (1.6 §5.13, H03)."""
        p = self.personality
        for held in self._usable_at(port_number):
            if self._same_tag(held, id_tag, id_tag_type):
                return Entry(True, held)
        for held in self._usable_at(port_number):
            if parent_id_tag is not None and self._same(held.parent_id_tag, parent_id_tag):
                if p.group_tag == "starts_without_id":
                    return Entry(True)
                return Entry(p.group_tag == "starts_with_id", held)
        if not self.is_reserved(port_number):
            return Entry(True)
        rule = p.remote_wrong_tag if remote else p.wrong_tag
        if rule == "starts_with_id":
            return Entry(True, self.holder(port_number))
        if rule == "starts_without_id" and remote and p.remote_wrong_tag_drops_reservation:
            self._held = [held for held in self._held if held.port_number != port_number]
        return Entry(rule == "starts_without_id")

    def use(self, reservation: Reservation) -> None:
        """End a reservation because its holder is here."""
        same_tag = self.personality.use_clears_all_of_tag
        self._held = [
            held
            for held in self._held
            if held != reservation and not (same_tag and self._same(held.id_tag, reservation.id_tag))
        ]

    # What happens to it

    def expire(self) -> list[Reservation]:
        """Drop and return what has expired by now, as far as this charger notices."""
        now = self._clock()
        if self.personality.expiry_tick == "never" or not self.expires:
            return []
        gone = [held for held in self._held if self._noticed_at(held) <= now]
        self._held = [held for held in self._held if held not in gone]
        return gone

    def next_expiry(self) -> datetime | None:
        """When `expire` has something to do next."""
        if self.personality.expiry_tick == "never" or not self.expires or not self._held:
            return None
        return min(self._noticed_at(held) for held in self._held)

    def port_lost(self, port_number: int) -> list[Reservation]:
        """A port became Faulted or Unavailable: drop and return what that ends (H01.FR.16, H01.FR.17)."""
        if not self.personality.fault_drops_reservation:
            return []
        usable = any(port.is_operative and not port.is_faulted for port in self.ports.values())
        gone = [
            held
            for held in self._held
            if held.port_number == port_number or (held.port_number is None and not usable)
        ]
        self._held = [held for held in self._held if held not in gone]
        return gone

    def restarted(self) -> None:
        """The charger lost its power, or was reset."""
        rule = self.personality.restart
        self.expires = True
        self._ticking_since = self._clock()
        if rule == "forgets":
            self._held.clear()
        if rule == "keeps_shows_available":
            self._hidden = {held.reservation_id for held in self._held}

    def reconnected(self) -> None:
        """The socket was away for a while."""
        if self.personality.forgets_on_reconnect:
            self._held.clear()
        self.expires = self.personality.expiry_survives_disconnect

    # What it shows

    def is_reserved(self, port_number: int) -> bool:
        """Whether somebody holds this port, or a whole-charger reservation needs it (H01.FR.20, .24)."""
        if self.holder(port_number) is not None:
            return True
        anywhere = [held for held in self._held if held.port_number is None]
        if not anywhere or not self.personality.keeps_a_port_free or not self._is_free(port_number):
            return False
        others = [number for number in self._free_ports() if number != port_number]
        return not self._fits(anywhere, others)

    def holder(self, port_number: int) -> Reservation | None:
        """The reservation of exactly this port."""
        return next((held for held in self._held if held.port_number == port_number), None)

    def status(self, port_number: int) -> PortStatus:
        """The status the charger gives this port; 0 is the charger itself."""
        if port_number == 0:
            shows = self.personality.whole_charger_shows_port_zero
            if shows and any(held.port_number is None for held in self._held):
                return PortStatus.RESERVED
            return PortStatus.AVAILABLE
        port = self.ports[port_number]
        if port.is_faulted:
            return PortStatus.FAULTED
        if not port.is_operative:
            return PortStatus.UNAVAILABLE
        if port.phase is Phase.CHARGING:
            return PortStatus.CHARGING
        if port.phase is Phase.FINISHING:
            return PortStatus.FINISHING
        if port.phase is Phase.AUTHORIZED:
            return PortStatus.PREPARING
        if self.is_reserved(port_number) and not self._is_hidden(port_number):
            return PortStatus.RESERVED
        return PortStatus.PREPARING if port.is_plugged else PortStatus.AVAILABLE

    # Persistence

    def dump(self) -> list[dict[str, Any]]:
        """What is held, as JSON values."""
        return [
            {
                name: value.isoformat() if isinstance(value, datetime) else value
                for name, value in asdict(held).items()
            }
            for held in self._held
        ]

    def load(self, rows: Iterable[dict[str, Any]]) -> None:
        """Hold what `dump` gave."""
        instants = ("expires_at", "accepted_at")
        self._held = [
            Reservation(**{**row, **{name: datetime.fromisoformat(row[name]) for name in instants}})
            for row in rows
        ]

    # Steps

    def _replace(self, known: list[Reservation], request: Reservation) -> Answer:
        p = self.personality
        if any(held.port_number == request.port_number for held in known):
            if p.same_id_same_port != "Accepted":
                return Answer(p.same_id_same_port, "same_id")
            known = [held for held in known if held.port_number == request.port_number]
        elif p.same_id_other_port == "holds_both":
            return self._add(request, ignored=())
        elif p.same_id_other_port != "moves":
            return Answer(p.same_id_other_port, "same_id")
        if not p.replacement_checks_port:
            self._drop(known)
            return self._hold(request)
        answer = self._add(request, ignored=known)
        if answer.accepted or not p.failed_replacement_keeps_old:
            self._drop(known)  # H01.FR.02
        return answer

    def _add(self, request: Reservation, ignored: Sequence[Reservation]) -> Answer:
        p = self.personality
        others = [held for held in self._held if held not in ignored]
        if p.one_reservation_per_tag and any(self._same(held.id_tag, request.id_tag) for held in others):
            return Answer("Occupied", "tag")
        if request.port_number is None:
            answer = self._anywhere(request, others)
        else:
            answer = self._at_port(request.port_number, others)
        if not answer.accepted:
            return answer
        if p.reserved_by_other == "Accepted" and request.port_number is not None:
            self._drop([held for held in others if held.port_number == request.port_number])
        return self._hold(request)

    def _hold(self, request: Reservation) -> Answer:
        if request.expires_at > self._clock() or self.personality.past_expiry != "ignored":
            self._held.append(replace(request, accepted_at=self._clock()))
            self._hidden.discard(request.reservation_id)
        return ACCEPTED

    def _drop(self, gone: Sequence[Reservation]) -> None:
        # By identity: a replacement may equal what it replaces.
        self._held = [held for held in self._held if not any(held is one for one in gone)]

    def _at_port(self, port_number: int, others: list[Reservation]) -> Answer:
        refusal = self._condition(self.ports[port_number])
        if refusal is not None:
            return refusal
        reserved = any(held.port_number == port_number for held in others)
        anywhere = [held for held in others if held.port_number is None]
        if not reserved and anywhere and self.personality.keeps_a_port_free:
            free = [number for number in self._free_ports(others) if number != port_number]
            reserved = not self._fits(anywhere, free)  # H01.FR.07, H01.FR.09
        return Answer(self.personality.reserved_by_other, "reserved") if reserved else ACCEPTED

    def _anywhere(self, request: Reservation, others: list[Reservation]) -> Answer:
        anywhere = [held for held in others if held.port_number is None]
        if anywhere and self.personality.second_whole_charger == "Occupied":
            return Answer("Occupied", "whole_charger")
        wanted = [*anywhere, request] if self.personality.keeps_a_port_free else [request]
        if self._fits(wanted, self._free_ports(others)):
            return ACCEPTED  # H01.FR.04, H01.FR.06
        conditions = [self._condition(self.ports[number]) for number in self._targets(request)]
        replies = {condition.reply if condition else "Occupied" for condition in conditions}
        if "Occupied" in replies:
            return Answer("Occupied", "ports")  # H01.FR.11
        # H01.FR.12, H01.FR.14; a mix is not specified and follows the order of EVerest
        return Answer("Faulted" if self.personality.faulted in replies else "Unavailable", "ports")

    def _condition(self, port: Port) -> Answer | None:
        """Why a port cannot be reserved whoever asks; None when nothing speaks against it."""
        p = self.personality
        reply: Reply = "Accepted"
        if port.is_faulted:
            reply = p.faulted
        elif not port.is_operative:
            reply = p.inoperative
        elif port.phase is Phase.CHARGING:
            reply = p.charging
        elif port.phase is Phase.FINISHING:
            reply = p.finishing
        elif port.phase is Phase.AUTHORIZED or port.is_plugged:
            reply = p.preparing
        return None if reply == "Accepted" else Answer(reply, "condition")

    def _is_free(self, port_number: int) -> bool:
        port = self.ports[port_number]
        return port.phase is Phase.IDLE and port.is_operative and not port.is_faulted

    def _free_ports(self, others: Sequence[Reservation] | None = None) -> list[int]:
        taken = {held.port_number for held in (self._held if others is None else others)}
        return [number for number in self.ports if number not in taken and self._is_free(number)]

    def _targets(self, request: Reservation) -> list[int]:
        numbers = self.ports if request.port_number is None else [request.port_number]
        return [
            number
            for number in numbers
            if request.plug_type is None or request.plug_type in self.ports[number].plug_types
        ]

    def _fits(self, reservations: Sequence[Reservation], free: Sequence[int]) -> bool:
        """Whether each of these can have a port of its own among the free ones."""
        if not reservations:
            return True
        first, rest = reservations[0], reservations[1:]
        if len(free) < len(reservations):
            return False
        if not self.personality.checks_plug_type or all(one.plug_type is None for one in reservations):
            return True
        return any(
            self._fits(rest, [other for other in free if other != number])
            for number in self._targets(first)
            if number in free
        )

    def _usable_at(self, port_number: int) -> list[Reservation]:
        here = [held for held in self._held if held.port_number == port_number]
        anywhere = [
            held for held in self._held if held.port_number is None and port_number in self._targets(held)
        ]
        elsewhere = [
            held
            for held in self._held
            if self.personality.reservation_usable_elsewhere and held.port_number not in (None, port_number)
        ]
        return here + anywhere + elsewhere

    def _is_hidden(self, port_number: int) -> bool:
        holder = self.holder(port_number)
        return holder is not None and holder.reservation_id in self._hidden

    def _noticed_at(self, held: Reservation) -> datetime:
        tick = self.personality.expiry_tick
        over_at = max(held.expires_at, held.accepted_at or held.expires_at)
        if tick == "never" or tick == 0 or over_at == NEVER:
            return over_at
        elapsed = (over_at - self._ticking_since).total_seconds()
        return self._ticking_since + timedelta(seconds=-(-elapsed // tick) * tick)

    def _same_tag(self, held: Reservation, id_tag: str, id_tag_type: str | None) -> bool:
        types_differ = None not in (held.id_tag_type, id_tag_type) and held.id_tag_type != id_tag_type
        if self.personality.token_type_matters and types_differ:
            return False
        return self._same(held.id_tag, id_tag)

    def _same(self, one: str | None, other: str) -> bool:
        if one is None:
            return False
        return one == other if self.personality.token_case_sensitive else one.casefold() == other.casefold()
