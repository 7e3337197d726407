"""Our CALLs to one charger: one at a time, and each ends by an answer or says whether it was written.

A late answer is a case, not an accident: it is recognised, and a charger that answers late is not silent.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from opentelemetry import trace
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from berth.charger_link import InDoubt, NotSent
from gateway import call_log as message_log
from gateway import frames
from gateway import gateway_metrics as metrics
from gateway import ocpp_schemas as schemas
from gateway.frame_span import frame_span, tell_answer
from gateway.frames import Answer, BrokenAnswer, CallResult, Payload
from gateway.wire import Wire

_SILENT_CALLS_LIMIT = 3
_INQUIRY_TIMEOUT = timedelta(seconds=5)
_INQUIRY_YIELDS_AFTER = 1.0  # seconds a command may wait for the answer to an inquiry
_LATE_CALLS_KEPT = 8
_LONGEST_STATUS = 50  # characters of a charger's status in a log line


@dataclass(slots=True)
class _OpenCall:
    message_id: str
    action: str
    answered: asyncio.Future[Answer | None]  # None: the socket ended first
    written_at: float


class OutboundCalls:
    """What Berth asks of the charger.

    `owns` asks the database whether this is still the charger's newest socket; `close` closes a socket that
    is not, or that nobody answers on.
    """

    def __init__(
        self, wire: Wire, owns: Callable[[], Awaitable[bool]], close: Callable[[CloseCode, str], None]
    ) -> None:
        self._wire = wire
        self._owns = owns
        self._close = close
        self._has_ended = False
        self._turn = asyncio.Lock()
        self._commands_waiting = 0
        self._inquiry: asyncio.Timeout | None = None  # of the inquiry that is out
        self._open: _OpenCall | None = None
        self._late: OrderedDict[str, str] = OrderedDict()  # message id -> action, timed out
        self._silent_calls = 0

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
        dialect = self._wire.dialect
        schemas.check(dialect.version, action, "request", payload)
        with metrics.counting_not_sent(action):
            await self._take_turn(write_before)
            try:
                await self._make_sure_of_socket(write_before)
                with frame_span(action, dialect.version, self._wire.charger_id) as span:
                    answer = await self._exchange(action, payload, call_timeout, secrets=secrets)
                    tell_answer(span, answer)
                return answer
            finally:
                self._turn.release()

    async def inquire(self, action: str, payload: Payload) -> Answer:
        """Send a CALL that can wait, when no other is out or waiting. Raises NotSent or InDoubt.

        A command that comes meanwhile waits for the answer, for a second at most: OCPP wants one CALL at a
        time, until it is answered or has timed out. Silence does not count among the calls that close the
        socket: a charger may not know the question and still take commands.
        """
        if self._turn.locked():
            raise NotSent("too_late")
        async with self._turn:
            await self._make_sure_of_socket(_loop().time() + _INQUIRY_YIELDS_AFTER)
            if self._commands_waiting:
                raise NotSent("too_late")
            return await self._exchange(action, payload, _INQUIRY_TIMEOUT, is_inquiry=True)

    def receive(self, answer: Answer) -> None:
        """Hand an answer to the call that waits for it."""
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
            "status": status[:_LONGEST_STATUS] if isinstance(status, str) else None,
            "reason": answer.reason if isinstance(answer, BrokenAnswer) else None,
        }
        if action is None:
            self._wire.complain("unexpected_answer", **said)
        else:
            self._silent_calls = 0  # slow is not silent
            self._wire.log().warning("late_answer", action=action, **said)

    def end(self) -> None:
        """No more CALLs go out; the open one ends at once, in doubt. Idempotent."""
        self._has_ended = True
        self._close = lambda *_: None  # or this and the session would keep each other in memory
        if self._open is not None and not self._open.answered.done():
            self._open.answered.set_result(None)

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

    def _hurry_inquiry(self) -> None:
        if self._inquiry is not None and self._open is not None and not self._inquiry.expired():
            yields_at = self._open.written_at + _INQUIRY_YIELDS_AFTER
            self._inquiry.reschedule(min(yields_at, self._inquiry.when() or yields_at))

    async def _make_sure_of_socket(self, write_before: float) -> None:
        try:
            async with asyncio.timeout_at(write_before):
                is_ours = await self._owns()
        except TimeoutError as error:
            raise NotSent("too_late") from error
        except Exception as error:
            self._wire.log().exception("database_failed")
            raise NotSent("not_ready") from error
        if self._has_ended or not self._wire.is_open:
            raise NotSent("socket_closed")
        if not is_ours:
            self._close(CloseCode.NORMAL_CLOSURE, "replaced by a newer connection")
            raise NotSent("wrong_gateway")

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
                await self._wire.send(frames.encode_call(message_id, action, payload))
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
            self._wire.keep(sent_at, "berth", action, payload, answer, secrets=secrets)
        if answer is None:
            raise InDoubt("socket_closed", _since(call.written_at))
        return answer

    def _remember_late(self, call: _OpenCall) -> None:
        self._late[call.message_id] = call.action
        if len(self._late) > _LATE_CALLS_KEPT:
            self._late.popitem(last=False)

    def _note_silence(self, call: _OpenCall) -> None:
        self._silent_calls += 1
        self._wire.log().warning("call_timed_out", action=call.action, in_a_row=self._silent_calls)
        if self._silent_calls >= _SILENT_CALLS_LIMIT:
            # Some chargers answer nothing more until they reconnect, while their heartbeats go on.
            self._close(CloseCode.INTERNAL_ERROR, "three calls in a row were not answered")


def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def _since(instant: float) -> timedelta:
    return timedelta(seconds=_loop().time() - instant)
