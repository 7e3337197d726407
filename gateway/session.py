"""One charger's connection: its CALLs are answered in order, ours go out one at a time.

Both directions are independent: a charger may send Authorize inside our open ReserveNow and wait for the
answer before it answers us. A call of ours that fails says whether its frame was written.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import structlog
from opentelemetry import trace
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.protocol import State

from activities.link import InDoubt, NotSent
from directory import Capabilities
from gateway import frames, message_log, metrics, schemas
from gateway.capabilities import shown_by
from gateway.command_answers import read_cancel_answer, read_reserve_answer
from gateway.dialect import Dialect
from gateway.frame_span import frame_span, tell_answer
from gateway.frames import Answer, BrokenAnswer, Call, CallError, CallResult, Malformed, Payload
from gateway.message_log import Exchange, MessageLog
from gateway.reports import ChargerReports
from gateway.schemas import SchemaViolation
from workflows.messages import (
    CancelReservationResult,
    ChangePasswordResult,
    ReserveNowResult,
    ReserveStatus,
    Terms,
)

log = structlog.get_logger(__name__)

INVALID_REQUEST = "InvalidRequest"
"""Reason of a Rejected that Berth answers itself: this OCPP version cannot say what is asked for."""

_INBOX_LIMIT = 32
"""CALLs waiting for their answer; beyond that the socket is not read on."""

_ACTIONS_REMEMBERED = 20
_LONGEST_ACTION = 50  # characters; OCPP's longest has 33
_COMPLAINTS_LOGGED = 50
_SILENT_CALLS_LIMIT = 3
_INQUIRY_TIMEOUT = timedelta(seconds=5)
_INQUIRY_YIELDS_AFTER = 1.0  # seconds a command may wait for the answer to an inquiry
_NOTING_TIMEOUT = 2.0  # seconds an answer to a command may wait for what it shows to be stored
_LATE_CALLS_KEPT = 8


@dataclass(slots=True)
class _OpenCall:
    message_id: str
    action: str
    answered: asyncio.Future[Answer | None]  # None: the socket ended first
    written_at: float


class ChargerSession:
    """A socket with its protocol state; the `ChargerLink` of the activities.

    `owns` asks the directory whether this is still the charger's newest socket. `on_ready` is awaited once,
    when the charger takes commands: after its BootNotification is answered, or `boot_wait` after the start
    for a charger that has booted before, or that speaks as an accepted one.
    """

    def __init__(
        self,
        socket: ServerConnection,
        *,
        ocpp_identity: str,
        epoch: int,
        dialect: Dialect,
        reports: ChargerReports,
        messages: MessageLog,
        owns: Callable[[], Awaitable[bool]],
        on_ready: Callable[["ChargerSession"], Coroutine[Any, Any, None]],
        has_booted_before: bool,
        boot_wait: timedelta,
        name_group: bool,
    ) -> None:
        self.charger_id = reports.charger_id
        self.ocpp_identity = ocpp_identity
        self.epoch = epoch
        self.dialect = dialect
        self.is_ready = False
        self.was_ready = False  # remains when the socket has ended
        self._socket = socket
        self._reports = reports
        self._messages = messages
        self._owns = owns
        self._on_ready = on_ready
        self._name_group = name_group

        self._speaks_as_accepted = has_booted_before
        self._is_boot_wait_over = False
        self._boot_timer = _loop().call_later(boot_wait.total_seconds(), self._end_boot_wait)
        self._becoming_ready: asyncio.Task[None] | None = None

        self._inbox: deque[Call | Malformed] = deque()
        self._inbox_room: asyncio.Future[None] | None = None
        self._answering: asyncio.Task[None] | None = None
        self._faulty_actions: set[str] = set()
        self._complaints = 0
        self._answers_not_sent = 0

        self._turn = asyncio.Lock()
        self._commands_waiting = 0
        self._inquiry: asyncio.Timeout | None = None  # of the inquiry that is out
        self._open: _OpenCall | None = None
        self._late: OrderedDict[str, str] = OrderedDict()  # message id -> action, timed out
        self._silent_calls = 0

        self._has_ended = False
        self._closing: asyncio.Task[None] | None = None

    # --- the socket -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read until the socket ends; returns when everything read is handled."""
        try:
            while True:
                await self._take(frames.parse(await self._socket.recv(decode=False)))
        except ConnectionClosed:
            pass
        finally:
            self.end()
        if self._answering is not None:
            await self._answering
        if self._answers_not_sent:
            self._log().info("answers_not_sent", count=self._answers_not_sent)

    @property
    def waiting_count(self) -> int:
        """CALLs of the charger whose turn has not come."""
        return len(self._inbox)

    def end(self) -> None:
        """No more frames go out; open calls end at once, NotSent or InDoubt. Idempotent."""
        if self._has_ended:
            return
        self._has_ended = True
        self.is_ready = False
        self._boot_timer.cancel()
        if self._becoming_ready is not None:
            self._becoming_ready.cancel()
        if self._open is not None and not self._open.answered.done():
            self._open.answered.set_result(None)

    def close(self, code: CloseCode, reason: str) -> None:
        """End, and close the socket in the background."""
        self.end()
        if self._closing is None:
            self._closing = asyncio.create_task(self._socket.close(code, reason))

    async def _take(self, frame: frames.Frame) -> None:
        if isinstance(frame, (Call, Malformed)):
            await self._enqueue(frame)
        else:
            self._settle(frame)

    # --- the charger's calls ----------------------------------------------------------------------

    async def _enqueue(self, frame: Call | Malformed) -> None:
        while len(self._inbox) >= _INBOX_LIMIT:
            self._inbox_room = _loop().create_future()
            await self._inbox_room
        self._inbox.append(frame)
        # No task while there is nothing to do: an idle charger costs its reader only.
        if self._answering is None:
            self._answering = asyncio.create_task(self._answer_inbox())

    async def _answer_inbox(self) -> None:
        try:
            while self._inbox:
                frame = self._inbox.popleft()
                if self._inbox_room is not None and not self._inbox_room.done():
                    self._inbox_room.set_result(None)
                if isinstance(frame, Malformed):
                    await self._answer_malformed(frame)
                else:
                    await self._answer(frame)
        finally:
            self._answering = None

    async def _answer_malformed(self, frame: Malformed) -> None:
        code = None if frame.fault is None else self.dialect.fault_codes.get(frame.fault)
        self._complain("malformed_frame", reason=frame.reason, answer=code)
        if code is not None:
            await self._send(frames.encode_call_error(frame.message_id, code, frame.reason))

    async def _answer(self, call: Call) -> None:
        received_at = message_log.now()
        answer = await self._handle(call)
        if isinstance(answer, CallError):
            text = frames.encode_call_error(answer.message_id, answer.code, answer.description)
        else:
            text = frames.encode_call_result(answer.message_id, answer.payload)
        await self._send(text)
        self._reports.outbox.release()
        self._note_boot(call.action, is_accepted=isinstance(answer, CallResult))
        metrics.count_call_from(call.action, call.action in self.dialect.routes, answer)
        self._messages.add(
            Exchange(
                received_at,
                self.charger_id,
                self.ocpp_identity,
                self.dialect.subprotocol,
                "charger",
                call.action,
                call.payload,
                answer,
                call.weight,
            )
        )

    async def _handle(self, call: Call) -> CallResult | CallError:
        handler = self.dialect.routes.get(call.action)
        if handler is None:
            if self._is_first_fault(call.action):
                self._complain("unknown_action", action=call.action[:_LONGEST_ACTION])
            return CallError(call.message_id, "NotImplemented", "this action is not known here")
        try:
            self._look_for_faults(call)
            payload = await handler(self._reports, call.payload)
            schemas.check(self.dialect.version, call.action, "response", payload)
        except Exception:
            # In practice the directory: the charger may try again, and must be answered whatever happened.
            self._log().exception("call_failed", action=call.action)
            return CallError(call.message_id, "InternalError", "the message could not be stored")
        return CallResult(call.message_id, payload)

    def _look_for_faults(self, call: Call) -> None:
        """What departs from the schema is used all the same; one line a session for each action."""
        faults = schemas.faults(self.dialect.version, call.action, "request", call.payload)
        if faults and self._is_first_fault(call.action):
            self._complain("invalid_request_used", action=call.action, faults=faults)

    def _is_first_fault(self, action: str) -> bool:
        name = action[:_LONGEST_ACTION]
        if name in self._faulty_actions or len(self._faulty_actions) >= _ACTIONS_REMEMBERED:
            return False
        self._faulty_actions.add(name)
        return True

    def _complain(self, event: str, **fields: Any) -> None:
        """Log what is wrong with what the charger sends: the first of a socket, or it could fill the disk."""
        self._complaints += 1
        if self._complaints <= _COMPLAINTS_LOGGED:
            self._log().warning(event, **fields)
        if self._complaints == _COMPLAINTS_LOGGED:
            self._log().warning("no_more_complaints_logged")

    async def _send(self, text: bytes) -> None:
        try:
            await self._socket.send(text, text=True)
        except ConnectionClosed:
            # The charger repeats what matters on its next socket.
            self._answers_not_sent += 1

    # --- readiness --------------------------------------------------------------------------------

    def _note_boot(self, action: str, *, is_accepted: bool) -> None:
        if action == "BootNotification":
            if is_accepted:
                self._become_ready()
        else:
            # Before it is accepted a charger sends nothing but BootNotification (OCPP 1.6 §4.2, B01.FR.08):
            # this one thinks it is, from an earlier day or another back end.
            self._speaks_as_accepted = True
            if self._is_boot_wait_over:
                self._become_ready()

    def _end_boot_wait(self) -> None:
        self._is_boot_wait_over = True
        if self._speaks_as_accepted:
            self._become_ready()

    def _become_ready(self) -> None:
        if self._becoming_ready is None and not self._has_ended:
            self._boot_timer.cancel()
            self._becoming_ready = asyncio.create_task(self._on_ready(self))

    # --- our calls --------------------------------------------------------------------------------

    async def reserve_now(
        self, reservation_id: int, terms: Terms, *, call_timeout: timedelta, write_before: float
    ) -> ReserveNowResult:
        """Send ReserveNow and wait for the answer. Raises NotSent or InDoubt.

        What this OCPP version cannot express (a longer token) is Rejected without a frame.
        """
        payload = self.dialect.reserve_now(reservation_id, terms, self._name_group)
        try:
            answer = await self.call(
                "ReserveNow", payload, call_timeout=call_timeout, write_before=write_before
            )
        except SchemaViolation as error:
            self._log().warning("request_not_sendable", action="ReserveNow", faults=error.faults)
            return ReserveNowResult(status=ReserveStatus.REJECTED, reason=INVALID_REQUEST, sent=False)
        result = read_reserve_answer(answer)
        await self._note_shown(shown_by(result, terms))
        return result

    async def cancel_reservation(
        self, reservation_id: int, *, call_timeout: timedelta, write_before: float
    ) -> CancelReservationResult:
        """Send CancelReservation and wait for the answer. Raises NotSent or InDoubt."""
        payload = self.dialect.cancel_reservation(reservation_id)
        return read_cancel_answer(
            await self.call(
                "CancelReservation", payload, call_timeout=call_timeout, write_before=write_before
            )
        )

    async def change_password(
        self, password: str, *, call_timeout: timedelta, write_before: float
    ) -> ChangePasswordResult:
        """Tell the charger its new password and wait for the answer. Raises NotSent or InDoubt."""
        action, payload = self.dialect.change_password(password)
        return self.dialect.read_password_answer(
            await self.call(
                action,
                payload,
                call_timeout=call_timeout,
                write_before=write_before,
                secrets=(password, password.encode().hex()),
            )
        )

    async def inquire(self) -> Capabilities:
        """Ask what the charger can do, when no command is out or waiting. Raises NotSent or InDoubt.

        A command that comes meanwhile waits for the answer, for a second at most: OCPP wants one CALL at a
        time, until it is answered or has timed out. Silence does not count among the calls that close the
        socket: a charger may not know the question and still take commands.
        """
        if self._turn.locked():
            raise NotSent("too_late")
        action, payload = self.dialect.inquiry
        async with self._turn:
            await self._make_sure_of_socket(_loop().time() + _INQUIRY_YIELDS_AFTER)
            if self._commands_waiting:
                raise NotSent("too_late")
            answer = await self._exchange(action, payload, _INQUIRY_TIMEOUT, is_inquiry=True)
        if not isinstance(answer, CallResult):
            return Capabilities()
        return self.dialect.read_capabilities(answer.payload)

    async def call(
        self,
        action: str,
        payload: Payload,
        *,
        call_timeout: timedelta,
        write_before: float,
        secrets: tuple[str, ...] = (),
    ) -> Answer:
        """Send a CALL when it is its turn and wait for its answer; a CALLERROR is one.

        `secrets` stay out of the message log, also where the charger repeats them in its answer.
        `write_before` is an instant of the event loop's clock. Raises NotSent, InDoubt or SchemaViolation.
        """
        schemas.check(self.dialect.version, action, "request", payload)
        with metrics.counting_not_sent(action):
            await self._take_turn(write_before)
            try:
                await self._make_sure_of_socket(write_before)
                with frame_span(action, self.dialect.version, self.charger_id) as span:
                    answer = await self._exchange(action, payload, call_timeout, secrets=secrets)
                    tell_answer(span, answer)
                return answer
            finally:
                self._turn.release()

    async def _take_turn(self, write_before: float) -> None:
        self._commands_waiting += 1
        self._hurry_inquiry()
        try:
            async with asyncio.timeout_at(write_before):
                await self._turn.acquire()
        except TimeoutError as error:
            raise NotSent("too_late") from error
        finally:
            self._commands_waiting -= 1

    async def _make_sure_of_socket(self, write_before: float) -> None:
        try:
            async with asyncio.timeout_at(write_before):
                is_ours = await self._owns()
        except TimeoutError as error:
            raise NotSent("too_late") from error
        except Exception as error:
            self._log().exception("directory_failed")
            raise NotSent("not_ready") from error
        if self._has_ended or self._socket.state is not State.OPEN:
            raise NotSent("socket_closed")
        if not is_ours:
            self.close(CloseCode.NORMAL_CLOSURE, "replaced by a newer connection")
            raise NotSent("wrong_gateway")

    def _hurry_inquiry(self) -> None:
        if self._inquiry is not None and self._open is not None and not self._inquiry.expired():
            yields_at = self._open.written_at + _INQUIRY_YIELDS_AFTER
            self._inquiry.reschedule(min(yields_at, self._inquiry.when() or yields_at))

    async def _note_shown(self, capabilities: Capabilities) -> None:
        try:
            async with asyncio.timeout(_NOTING_TIMEOUT):
                await self._reports.showed(capabilities)
        except Exception:
            # The charger's answer must not be lost over what it shows by the way.
            self._log().exception("capabilities_not_noted")

    async def _exchange(
        self,
        action: str,
        payload: Payload,
        call_timeout: timedelta,
        *,
        is_inquiry: bool = False,
        secrets: tuple[str, ...] = (),
    ) -> Answer:
        message_id = str(uuid4())
        trace.get_current_span().set_attribute("ocpp.message_id", message_id)
        sent_at = message_log.now()
        call = _OpenCall(message_id, action, _loop().create_future(), _loop().time())
        self._open = call
        answer: Answer | None = None
        otherwise: metrics.Outcome = "abandoned"
        try:
            async with asyncio.timeout(call_timeout.total_seconds()) as timeout:
                self._inquiry = timeout if is_inquiry else None
                # The socket is open, so the frame is written before send() can wait or fail.
                await self._socket.send(frames.encode_call(message_id, action, payload), text=True)
                answer = await call.answered
            otherwise = "socket_closed"
        except ConnectionClosed as error:
            otherwise = "socket_closed"
            raise InDoubt("socket_closed", _since(call.written_at)) from error
        except TimeoutError as error:
            otherwise = "timeout"
            self._remember_late(call)
            if not is_inquiry:
                self._note_silence(call)
            raise InDoubt("timeout", _since(call.written_at)) from error
        finally:
            self._open = self._inquiry = None
            metrics.count_call_to(action, answer, otherwise, _loop().time() - call.written_at)
            self._messages.add(
                Exchange(
                    sent_at,
                    self.charger_id,
                    self.ocpp_identity,
                    self.dialect.subprotocol,
                    "berth",
                    action,
                    payload,
                    answer,
                    secrets=secrets,
                )
            )
        if answer is None:
            raise InDoubt("socket_closed", _since(call.written_at))
        return answer

    def _settle(self, answer: Answer) -> None:
        message_id = str(answer.message_id)
        if self._open is not None and self._open.message_id == message_id:
            self._silent_calls = 0
            if not self._open.answered.done():
                self._open.answered.set_result(answer)
            return
        action = self._late.pop(message_id, None)
        status = answer.payload.get("status") if isinstance(answer, CallResult) else None
        said = {
            "kind": type(answer).__name__,
            "status": status[:_LONGEST_ACTION] if isinstance(status, str) else None,
            "reason": answer.reason if isinstance(answer, BrokenAnswer) else None,
        }
        if action is None:
            self._complain("unexpected_answer", **said)
        else:
            self._silent_calls = 0  # slow is not silent
            self._log().warning("late_answer", action=action, **said)

    def _remember_late(self, call: _OpenCall) -> None:
        self._late[call.message_id] = call.action
        if len(self._late) > _LATE_CALLS_KEPT:
            self._late.popitem(last=False)

    def _note_silence(self, call: _OpenCall) -> None:
        self._silent_calls += 1
        self._log().warning("call_timed_out", action=call.action, in_a_row=self._silent_calls)
        if self._silent_calls >= _SILENT_CALLS_LIMIT:
            # Some chargers answer nothing more until they reconnect, while their heartbeats go on.
            self.close(CloseCode.INTERNAL_ERROR, "three calls in a row were not answered")

    def _log(self) -> structlog.stdlib.BoundLogger:
        bound: structlog.stdlib.BoundLogger = log.bind(
            charger_id=self.charger_id, ocpp_identity=self.ocpp_identity
        )
        return bound


def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def _since(instant: float) -> timedelta:
    return timedelta(seconds=_loop().time() - instant)
