"""A charger: a socket that comes and goes, what it reports, and what it holds."""

import asyncio
import base64
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import quote

import structlog
from ocpp.messages import Call  # type: ignore[import-untyped]  # ships no types
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from simulator.chance import Chance
from simulator.charging import Charging
from simulator.clock import Clock, utc_now
from simulator.commands import Handler, Reply
from simulator.commands16 import HANDLERS as HANDLERS_16
from simulator.commands201 import HANDLERS as HANDLERS_201
from simulator.dialect import Dialect
from simulator.memory import Memory
from simulator.misbehaviour import DOES_NOTHING, Misbehaviour, Misbehaviours, Wrong
from simulator.ocpp16 import Ocpp16
from simulator.ocpp201 import Ocpp201
from simulator.personality import Personality, Version, load_personality
from simulator.ports import Port, PortStatus, make_ports
from simulator.record import FrameRecord, Recorder
from simulator.reservations import Reservation, ReservationTable
from simulator.schemas import Violation, check_request
from simulator.wire import ErrorAnswer, NoAnswer, Payload, Peer, Posted, error_text, result_text

log = structlog.get_logger(__name__)

_LONGEST_SLEEP = 3600.0  # seconds; a longer wait is looked at again after this
_BOOT_RETRY = 10.0  # seconds, when the central system names no interval
_NO_LIMIT = asyncio.Semaphore(1_000_000)


class SimulatedCharger:
    """One charger, told what to do by its methods and by the central system.

    `url` is the central system's, without the identity. `version` is "1.6" or "2.0.1"; `personality`
    a name or a Personality; `ports` a number or the ports themselves. The same `seed` and identity
    give the same message ids and waits. With a `memory` reservations outlive the object. A `clock`
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
        self.booted = asyncio.Event()
        self.configuration: dict[str, str] = {}
        self.parents: dict[str, str] = {}
        self.reported: dict[int, PortStatus] = {}
        self.restart_seconds = restart_seconds
        self.is_accepted = False
        self._url = f"{url.rstrip('/')}/{quote(identity, safe='')}"
        self._password = password
        self._memory = memory
        self._heartbeat_seconds = heartbeat_seconds
        self._reconnect_seconds = tuple(reconnect_seconds or self.personality.reconnect_seconds)
        self._connecting = connecting or _NO_LIMIT
        self._chance = Chance(f"{seed}/{identity}")
        self._message_ids = Chance(f"{seed}/{identity}/messages")
        self._number = 100_000_000 + self._chance.bits() % 800_000_000
        self._handlers: dict[str, Handler] = HANDLERS_16 if version == "1.6" else HANDLERS_201
        self._socket: ClientConnection | None = None
        self._peer: Peer | None = None
        self._life: asyncio.Task[None] | None = None
        self._wanted_online = asyncio.Event()
        self._wanted_online.set()
        self._hurry = asyncio.Event()
        self._must_boot = True
        self._boot_reason = "PowerUp"
        self._is_silent = False
        self._next_wait: float | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._heartbeat: asyncio.TimerHandle | None = None
        self._untold: list[int] = []
        self._remember()

    # Its state

    @property
    def connected(self) -> bool:
        """Whether the socket is open."""
        return self._peer is not None

    @property
    def online(self) -> Peer | None:
        """The open socket of an accepted charger, else None."""
        return self._peer if self.is_accepted else None

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
            "accepted": self.is_accepted,
            "silent": self._is_silent,
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
        self._life = asyncio.create_task(self._live(), name=self.identity)

    async def stop(self) -> None:
        """End for good; what the memory holds stays."""
        for timer in (self._expiry, self._heartbeat):
            if timer is not None:
                timer.cancel()
        self.charging.stop()
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)

    async def disconnect(self, seconds: float | None = None) -> None:
        """Go offline: until `reconnect`, or for some seconds."""
        if seconds is None:
            self._wanted_online.clear()
        else:
            self._next_wait = seconds
        await self._hang_up()

    async def reconnect(self) -> None:
        """Come back at once."""
        self._wanted_online.set()
        self._hurry.set()

    async def drop(self) -> None:
        """Lose the socket without a goodbye; the charger tries again after its usual wait."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def reboot(self, reason: str = "PowerUp") -> None:
        """Lose the power, come back after `restart_seconds` and boot."""
        self._restart(reason)
        self._wanted_online.set()
        await self._hang_up()

    async def silence(self, on: bool = True) -> None:
        """Say nothing and hear nothing, with the socket open; or speak again."""
        self._is_silent = on
        if self._peer is not None:
            self._peer.is_silent = on

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
        if self._socket is not None:
            self._socket.transport.abort()

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

    async def _live(self) -> None:
        attempt = 0
        while True:
            await self._wanted_online.wait()
            try:
                async with self._connecting:
                    socket = await self._connect()
            except (OSError, WebSocketException) as error:
                log.debug("connection_failed", charger=self.identity, error=str(error))
                attempt += 1
            else:
                attempt = 0
                await self._serve(socket)
                if not self.personality.reconnects and not self._must_boot:
                    self._wanted_online.clear()
            await self._pause(attempt)

    async def _pause(self, attempt: int) -> None:
        seconds, self._next_wait = self._next_wait, None
        if seconds is None:
            seconds = self._reconnect_seconds[min(attempt, len(self._reconnect_seconds) - 1)]
            seconds *= self._chance.between(0.9, 1.1)
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            return
        finally:
            self._hurry.clear()

    async def _connect(self) -> ClientConnection:
        headers: dict[str, str] = {}
        if self._password is not None:
            secret = base64.b64encode(f"{self.identity}:{self._password}".encode())
            headers["Authorization"] = f"Basic {secret.decode()}"
        # No compression and no pings of its own: thousands of these share one process.
        return await connect(
            self._url,
            subprotocols=[Subprotocol(self.dialect.subprotocol)],
            additional_headers=headers,
            compression=None,
            ping_interval=None,
            proxy=None,
            open_timeout=30,
            close_timeout=2,
        )

    async def _serve(self, socket: ClientConnection) -> None:
        peer = Peer(
            socket,
            self.recorder,
            self._new_message_id,
            self._on_call,
            pipelines_calls=self.personality.pipelines_calls,
        )
        peer.is_silent = self._is_silent
        self._socket, self._peer = socket, peer
        peer.spawn(self._greet(peer))
        try:
            await peer.read()
        except ConnectionClosed:
            log.debug("disconnected", charger=self.identity)
        finally:
            self._socket = self._peer = None
            self.is_accepted = False
            self.booted.clear()
            if self._heartbeat is not None:
                self._heartbeat.cancel()
            await peer.close()
            socket.transport.abort()

    async def _greet(self, peer: Peer) -> None:
        """Boot if need be, then say what the central system should know."""
        if self._must_boot or self.personality.boots_on_reconnect:
            if not self._must_boot:
                self.table.reconnected()
            await self._boot(peer)
            self.reported.clear()
        else:
            self.table.reconnected()
            if self.personality.reports_on_reconnect == "all":
                self.reported.clear()
            if self.personality.reports_on_reconnect == "none":
                self.conceal_changes()
        self.is_accepted = True
        self._must_boot = False
        self.reservations_changed()
        if self.personality.offline_transactions == "before_status":
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
        self._arm_heartbeat()
        await asyncio.gather(*(report.answer for report in reports), return_exceptions=True)
        self.booted.set()

    async def _boot(self, peer: Peer) -> None:
        if self.personality.message_ids_repeat_each_boot:
            self._message_ids.restart()
        while True:
            interval = _BOOT_RETRY
            try:
                answer = await peer.call(*self.dialect.boot(self.identity, self._boot_reason))
            except (NoAnswer, ErrorAnswer):
                if peer.is_closed:
                    raise
            else:
                interval = answer.get("interval") or _BOOT_RETRY
                if answer.get("status") == "Accepted":
                    self._heartbeat_seconds = self._heartbeat_seconds or interval
                    return
            await asyncio.sleep(interval)

    def _arm_heartbeat(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        if self._heartbeat_seconds:
            loop = asyncio.get_running_loop()
            self._heartbeat = loop.call_later(self._heartbeat_seconds, self._beat)

    def _beat(self) -> None:
        self.post("Heartbeat", {})
        self._arm_heartbeat()

    async def _on_call(self, peer: Peer, call: Call) -> None:
        wrong = self.misbehaviours.take(call.action)
        if wrong is not None and wrong.kind in DOES_NOTHING:
            await self._refuse(peer, call, wrong)
            return
        reply = await self._reply(call)
        if reply is None:
            await self.drop()
            return
        await self._answer(peer, call, reply, wrong)
        if reply.then is not None:
            reply.then()

    async def _reply(self, call: Call) -> Reply | None:
        handler = self._handlers.get(call.action)
        if handler is None:
            return Reply.error("NotImplemented")
        violation = check_request(self.version, call.action, call.payload)
        if violation is not None:
            return self._objection(call.action, violation)
        return await handler(self, call.payload)

    def _objection(self, action: str, violation: Violation) -> Reply:
        p = self.personality
        token_missing = violation.fields & {"idTag", "idToken"}
        if action == "ReserveNow" and token_missing and p.missing_token is not None:
            if p.missing_token in ("Rejected", "Accepted"):
                return Reply({"status": p.missing_token})
            return Reply.error(p.missing_token, p.error_text, p.error_details)
        return Reply.error(violation.code, violation.text)

    async def _refuse(self, peer: Peer, call: Call, wrong: Misbehaviour) -> None:
        if wrong.kind is Wrong.DROP_BEFORE:
            await self.drop()
        elif wrong.kind is Wrong.CALL_ERROR:
            await peer.send_text(error_text(call.unique_id, wrong.code, wrong.text))
        elif wrong.kind is Wrong.STATUS:
            await peer.send_text(result_text(call.unique_id, {"status": wrong.status}))

    async def _answer(self, peer: Peer, call: Call, reply: Reply, wrong: Misbehaviour | None) -> None:
        text = reply.text(call.unique_id)
        kind = None if wrong is None else wrong.kind
        if kind is Wrong.DROP_UNANSWERED:
            await self.drop()
            return
        if kind is Wrong.NO_ANSWER:
            return
        if wrong is not None and wrong.kind is Wrong.GARBAGE:
            text = wrong.text or f'[3,"{call.unique_id}",{{"status":"Perhaps"}}'
        if wrong is not None and wrong.kind is Wrong.LATE:
            await asyncio.sleep(wrong.seconds)
        await peer.send_text(text)
        if kind is Wrong.TWICE:
            await peer.send_text(text)
        if kind is Wrong.DROP_AFTER:
            await self._hang_up()

    def _restart(self, reason: str) -> None:
        for number in self.ports:
            self.charging.interrupted(number, reason)
        self.table.restarted()
        self.reservations_changed()
        self.reported.clear()
        self._must_boot = True
        self._boot_reason = "RemoteReset" if "Reset" in reason else "PowerUp"
        self._next_wait = self.restart_seconds

    async def _hang_up(self) -> None:
        if self._socket is not None:
            await self._socket.close()

    def new_transaction_id(self) -> str:
        """A transaction id of 2.0.1, which the charger makes up."""
        return self._chance.uuid()

    def _new_message_id(self) -> str:
        if self.personality.message_ids == "numbers":
            self._number += 1
            return str(self._number)
        return self._message_ids.uuid()

    def _save(self) -> None:
        if self._memory is not None:
            out_of_service = [number for number, port in self.ports.items() if not port.is_operative]
            self._memory.save({"reservations": self.table.dump(), "out_of_service": out_of_service})

    def _remember(self) -> None:
        content = None if self._memory is None else self._memory.load()
        if content is None:
            return
        self.table.load(content["reservations"])
        self.table.restarted()
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
