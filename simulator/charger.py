"""A charger: a socket that comes and goes, what it reports, and what it holds."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from simulator.chance import Chance
from simulator.charging import Charging
from simulator.clock import Clock, utc_now
from simulator.commands import Handler
from simulator.commands16 import HANDLERS as HANDLERS_16
from simulator.commands201 import HANDLERS as HANDLERS_201
from simulator.connection import Connection
from simulator.dialect import Dialect
from simulator.memory import Memory
from simulator.misbehaviour import Misbehaviour, Misbehaviours, Wrong
from simulator.ocpp16 import Ocpp16
from simulator.ocpp201 import Ocpp201
from simulator.personality import Personality, Version, load_personality
from simulator.ports import Port, PortStatus, make_ports
from simulator.record import FrameRecord, Recorder
from simulator.reservations import Reservation, ReservationTable
from simulator.wire import ErrorAnswer, NoAnswer, Payload, Peer, Posted

_LONGEST_SLEEP = 3600.0  # seconds; a longer wait is looked at again after this


class SimulatedCharger:
    """One charger, told what to do by its methods and by the central system.

    `url` is the central system's, without the identity. `version` is "1.6" or "2.0.1"; `personality`
    a name or a Personality; `ports` a number or the ports themselves. The same `seed` and identity
    give the same message ids and waits. With a `memory` reservations, and a
    password it was given by command, outlive the object. A `clock`
    that is moved by hand needs `tick()` after each move. `reconnect_seconds` and `restart_seconds`
    shorten the waits of the personality, `connection_timeout` is how long a token waits for its
    cable, `meter_seconds` how often a session reports (None: only when told to).
    Raises ValueError for a personality that does not speak the version.
    """

    def __init__(
        self,
        identity: str,
        url: str,
        *,
        version: Version = "1.6",
        personality: str | Personality = "specification",
        ports: int | Sequence[Port] = 2,
        seed: int = 0,
        clock: Clock = utc_now,
        memory: Memory | None = None,
        password: str | None = None,
        heartbeat_seconds: float | None = None,
        reconnect_seconds: Sequence[float] | None = None,
        restart_seconds: float = 0.5,
        connection_timeout: float = 60.0,
        meter_seconds: float | None = None,
        keep_frames: int = 200,
        connecting: asyncio.Semaphore | None = None,
    ) -> None:
        self.identity = identity
        self.version = version
        self.personality = _resolved(personality, version)
        self.clock = clock
        self.ports = {port.number: port for port in make_ports(ports)}
        self.table = ReservationTable(self.personality, list(self.ports.values()), clock)
        self.dialect: Dialect = _dialect(self.personality, version)
        self.misbehaviours = Misbehaviours()
        self.recorder = Recorder(clock, keep_frames)
        self.charging = Charging(self, connection_timeout, meter_seconds)
        self.handlers: dict[str, Handler] = HANDLERS_16 if version == "1.6" else HANDLERS_201
        self.configuration: dict[str, str] = {}
        self.parents: dict[str, str] = {}
        self.reported: dict[int, PortStatus] = {}
        self._connection = Connection(
            self,
            url,
            f"{seed}/{identity}",
            password=None if password is None else password.encode(),
            reconnect_seconds=reconnect_seconds,
            heartbeat_seconds=heartbeat_seconds,
            connecting=connecting,
        )
        self._restart_seconds = restart_seconds
        self._password: bytes | None = None  # one it was given by command
        self._password_after_restart: bytes | None = None
        self._transaction_ids = Chance(f"{seed}/{identity}/transactions")
        self._memory = memory
        self._expiry: asyncio.TimerHandle | None = None
        self._untold: list[int] = []
        self._remember()

    # Its state

    @property
    def connected(self) -> bool:
        """Whether the socket is open."""
        return self._connection.peer is not None

    @property
    def booted(self) -> asyncio.Event:
        """Set while the charger is accepted and has reported."""
        return self._connection.booted

    @property
    def password(self) -> bytes | None:
        """What it shows on its next socket."""
        return self._connection.password

    @property
    def online(self) -> Peer | None:
        """The open socket of an accepted charger, else None."""
        return self._connection.peer if self._connection.is_accepted else None

    @property
    def reservations(self) -> dict[int, tuple[int | None, str, datetime]]:
        """What it truly holds: id → (port number or None for the whole charger, token, expiry)."""
        return {
            held.reservation_id: (held.port_number, held.id_tag, held.expires_at) for held in self.table.held
        }

    @property
    def frames(self) -> tuple[FrameRecord, ...]:
        """The last frames, oldest first."""
        return self.recorder.records

    def sent(self, action: str) -> list[dict[str, Any]]:
        """The payloads of the CALLs of an action it sent."""
        return self.recorder.payloads(action, "out")

    def received(self, action: str) -> list[dict[str, Any]]:
        """The payloads of the CALLs of an action it got."""
        return self.recorder.payloads(action, "in")

    def status(self, port_number: int) -> PortStatus:
        """The true status of a port."""
        return self.table.status(port_number)

    def port(self, port_number: int) -> Port:
        """A port by its number. Raises ValueError when there is none."""
        try:
            return self.ports[port_number]
        except KeyError:
            raise ValueError(f"{self.identity} has no port {port_number}") from None

    def snapshot(self, frames: int = 20) -> dict[str, Any]:
        """All of this as JSON values, with the last so many frames."""
        return {
            "identity": self.identity,
            "version": self.version,
            "personality": self.personality.name,
            "connected": self.connected,
            "accepted": self._connection.is_accepted,
            "silent": self._connection.is_silent,
            "ports": [
                {
                    "number": number,
                    "status": self.table.status(number),
                    "plugged": port.is_plugged,
                    "meter": port.meter,
                    "transaction": self.charging.transaction_id(number),
                }
                for number, port in self.ports.items()
            ],
            "reservations": [
                {
                    "reservation_id": reservation_id,
                    "port_number": port_number,
                    "id_tag": id_tag,
                    "expires_at": expires_at.isoformat(),
                }
                for reservation_id, (port_number, id_tag, expires_at) in self.reservations.items()
            ],
            "waiting_transaction_messages": len(self.charging.queue),
            "frames": [
                {"at": record.at.isoformat(), "direction": record.direction, "text": record.text}
                for record in (self.frames[-frames:] if frames else ())
            ],
        }

    # Its life

    def start(self) -> None:
        """Begin to connect, in the background."""
        self._connection.start()

    async def stop(self) -> None:
        """End for good; what the memory holds stays."""
        if self._expiry is not None:
            self._expiry.cancel()
        self.charging.stop()
        await self._connection.stop()

    async def disconnect(self, seconds: float | None = None) -> None:
        """Go offline: until `reconnect`, or for some seconds."""
        if seconds is None:
            self._connection.stay_away()
        else:
            self._connection.wait_next(seconds)
        await self._connection.close()

    async def reconnect(self) -> None:
        """Come back at once."""
        self._connection.come_back()

    async def drop(self) -> None:
        """Lose the socket without a goodbye; the charger tries again after its usual wait."""
        self._connection.abort()

    async def hang_up(self) -> None:
        """Close the socket properly; the charger tries again after its usual wait."""
        await self._connection.close()

    async def reboot(self, reason: str = "PowerUp") -> None:
        """Lose the power, come back after `restart_seconds` and boot."""
        self._restart(reason)
        await self._connection.close()

    async def silence(self, on: bool = True) -> None:
        """Say nothing and hear nothing, with the socket open; or speak again."""
        self._connection.silence(on)

    async def fault(self, port: int) -> None:
        """A port fails; what it charged ends."""
        self.port(port).is_faulted = True
        self.charging.interrupted(port)
        self.lost(port)

    async def recover(self, port: int) -> None:
        """A failed port works again."""
        self.port(port).is_faulted = False
        self.report_changes()

    async def unavailable(self, port: int) -> None:
        """The operator takes a port out of service at the charger."""
        self.set_operative(port, False)

    async def available(self, port: int) -> None:
        """The operator puts a port back into service."""
        self.set_operative(port, True)

    # What a driver does

    async def plug_in(self, port: int, connector: int = 1) -> None:
        """Put the cable in."""
        self.charging.plug_in(self.port(port), connector)

    async def unplug(self, port: int) -> None:
        """Take the cable out; ends what is charged."""
        self.charging.unplug(self.port(port))

    async def swipe(self, id_tag: str, port: int = 1, id_tag_type: str | None = None) -> bool:
        """Hold a token to the reader; whether it was let in (or ended its session).

        On 2.0.1 the type is, unless given, that of a reservation with the same token.
        """
        return await self.charging.swipe(self.port(port), id_tag, id_tag_type)

    async def start_charging(self, id_tag: str, port: int = 1, id_tag_type: str | None = None) -> bool:
        """Plug in and swipe."""
        await self.plug_in(port)
        return await self.swipe(id_tag, port, id_tag_type)

    async def remote_start(self, id_tag: str, port: int = 1) -> bool:
        """Plug in, and start by the maker's app, past this central system; whether it was let in."""
        await self.plug_in(port)
        is_16 = self.version == "1.6"
        begin = self.charging.start_from_afar(
            id_tag, port, id_tag_type=None if is_16 else "Central", remote_start_id=None if is_16 else port
        )
        if begin is not None:
            begin()
        return begin is not None

    async def stop_charging(self, port: int = 1, unplug: bool = True) -> None:
        """Stop charging with the token; take the cable out or leave it."""
        self.charging.end(self.port(port), "Local")
        if unplug:
            self.charging.unplug(self.port(port))

    async def meter(self, port: int = 1, watt_hours: int = 1000) -> None:
        """Let so much energy flow and report it."""
        self.charging.flow(self.port(port), watt_hours)

    # What goes wrong

    async def misbehave(
        self,
        kind: Wrong,
        action: str | None = "ReserveNow",
        times: int = 1,
        code: str = "InternalError",
        text: str = "",
        seconds: float = 0.0,
        status: str = "Rejected",
    ) -> None:
        """Do the next command of that action wrong (see `Wrong`); None is the next of any."""
        self.misbehaviours.plan(Misbehaviour(kind, action, code, text, seconds, status), times)

    async def behave(self) -> None:
        """Forget planned misbehaviour, and speak."""
        self.misbehaviours.clear()
        await self.silence(False)

    # Used by commands and charging

    def post(self, action: str, payload: Payload) -> Posted | None:
        """Send a CALL when online; nobody waits for it."""
        return None if self.online is None else self.online.post(action, payload)

    async def authorize(self, id_tag: str, id_tag_type: str | None) -> tuple[bool, str | None]:
        """Ask the central system about a token: accepted, and its group."""
        posted = self.post(*self.dialect.authorize(id_tag, id_tag_type))
        if posted is None:
            return False, None
        try:
            async with asyncio.timeout(self.personality.authorize_timeout):
                accepted, parent_id_tag = self.dialect.authorized(await posted.answer)
        except (NoAnswer, ErrorAnswer, TimeoutError):
            return False, None
        if parent_id_tag is not None:
            self.parents[id_tag] = parent_id_tag
        return accepted, parent_id_tag

    def reservations_changed(self) -> None:
        """Write them down and set the alarm for the next expiry."""
        self._save()
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        expiry = self.table.next_expiry()
        if expiry is not None:
            delay = max(0.0, (expiry - self.clock()).total_seconds())
            loop = asyncio.get_running_loop()
            self._expiry = loop.call_later(min(delay + 0.001, _LONGEST_SLEEP), self.tick)

    def change_password(self, password: bytes) -> str:
        """Take a new password for the next socket, or for the one after a restart: the status to answer."""
        status = self.personality.password_change
        if status == "Accepted":
            self._use_password(password)
        elif status == "RebootRequired":
            self._password_after_restart = password
        return status

    def hang_up_soon(self) -> None:
        """Close the socket properly, in the background; the charger tries again after its usual wait."""
        if self._connection.peer is not None:
            self._connection.peer.spawn(self.hang_up())

    def tick(self) -> None:
        """Look at the clock: end what has expired."""
        for gone in self.table.expire():
            self._ended_by_itself(gone)
        self.reservations_changed()

    def report_changes(self) -> list[Posted]:
        """Report each status that is not what was reported last."""
        posted: list[Posted] = []
        peer = self.online
        if peer is None:
            return posted
        for number in (0, *self.ports):
            status = self.table.status(number)
            if self.reported.get(number) is not status:
                self.reported[number] = status
                reports = self.report(number, status)
                for report in reports:
                    report.answer.add_done_callback(partial(self._reported, number, status))
                posted += reports
        return posted

    def report(self, port_number: int, status: PortStatus) -> list[Posted]:
        """Report a status, true or not."""
        messages = self.dialect.statuses(self.ports.get(port_number), status, self.clock())
        return [posted for message in messages if (posted := self.post(*message)) is not None]

    def conceal_changes(self) -> None:
        """Take what has changed for reported."""
        self.reported = {number: self.table.status(number) for number in (0, *self.ports)}

    def set_operative(self, port_number: int, operative: bool) -> None:
        """Take a port out of service, or put it back."""
        self.port(port_number).is_operative = operative
        if operative:
            self.report_changes()
        else:
            self.lost(port_number)
        self._save()

    def lost(self, port_number: int) -> None:
        """A port became Faulted or Unavailable."""
        for gone in self.table.port_lost(port_number):
            message = self.dialect.reservation_ended(gone.reservation_id, "Removed")
            if message is not None:
                self.post(*message)
        self.reservations_changed()
        self.report_changes()

    def reset(self, reason: str) -> None:
        """Reset by command: a reboot that begins now."""
        self._restart(reason)
        self._connection.abort()

    async def greet(self, peer: Peer, *, was_off: bool, has_booted: bool) -> None:
        """On a new socket, once accepted: say what the central system should know."""
        p = self.personality
        if not was_off:
            self.table.reconnected()
        if has_booted or p.reports_on_reconnect == "all":
            self.reported.clear()
        elif p.reports_on_reconnect == "none":
            self.conceal_changes()
        self.reservations_changed()
        if p.offline_transactions == "before_status":
            delivery = self.charging.queue.deliver(peer)
            if delivery is not None:
                await delivery
        for reservation_id in self._untold:
            message = self.dialect.reservation_ended(reservation_id, "Expired")
            if message is not None:
                self.post(*message)
        self._untold.clear()
        reports = self.report_changes()
        self.charging.queue.deliver(peer)
        await asyncio.gather(*(report.answer for report in reports), return_exceptions=True)

    def new_transaction_id(self) -> str:
        """A transaction id of 2.0.1, which the charger makes up."""
        return self._transaction_ids.uuid()

    # Steps

    def _ended_by_itself(self, gone: Reservation) -> None:
        p = self.personality
        message = self.dialect.reservation_ended(gone.reservation_id, "Expired")
        if message is not None:
            if self.online is not None:
                self.post(*message)  # H04.FR.01
            elif p.expired_update_after_outage:
                self._untold.append(gone.reservation_id)
        if p.available_on_expiry:
            self.report_changes()
        else:
            self.conceal_changes()

    def _reported(self, port_number: int, status: PortStatus, answer: asyncio.Future[Payload]) -> None:
        """A status that did not arrive counts as not reported."""
        lost = answer.cancelled() or isinstance(answer.exception(), NoAnswer)
        if lost and self.reported.get(port_number) is status:
            del self.reported[port_number]

    def _use_password(self, password: bytes) -> None:
        self._connection.password = self._password = password
        self._password_after_restart = None
        self._save()

    def _restart(self, reason: str) -> None:
        if self._password_after_restart is not None:
            self._use_password(self._password_after_restart)
        for number in self.ports:
            self.charging.interrupted(number, reason)
        self.table.restarted()
        self.reservations_changed()
        self.reported.clear()
        self._connection.boot_next("RemoteReset" if "Reset" in reason else "PowerUp")
        self._connection.wait_next(self._restart_seconds)

    def _save(self) -> None:
        if self._memory is not None:
            out_of_service = [number for number, port in self.ports.items() if not port.is_operative]
            content: dict[str, Any] = {
                "reservations": self.table.dump(),
                "out_of_service": out_of_service,
            }
            if self._password is not None:
                content["password"] = self._password.hex()
            self._memory.save(content)

    def _remember(self) -> None:
        content = None if self._memory is None else self._memory.load()
        if content is None:
            return
        self.table.load(content["reservations"])
        self.table.restarted()
        if "password" in content:
            self._connection.password = self._password = bytes.fromhex(content["password"])
        for number in content["out_of_service"]:
            if number in self.ports:
                self.ports[number].is_operative = False


def _resolved(given: str | Personality, version: Version) -> Personality:
    found = given if isinstance(given, Personality) else load_personality(given)
    if version not in found.versions:
        raise ValueError(f"personality {found.name} does not speak OCPP {version}")
    return found


def _dialect(character: Personality, version: Version) -> Dialect:
    return Ocpp16(character) if version == "1.6" else Ocpp201(character)
