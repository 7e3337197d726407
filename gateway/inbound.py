"""The CALLs of one charger: answered in the order they came, one after the other."""

import asyncio
from collections import deque
from collections.abc import Callable

from websockets.exceptions import ConnectionClosed

from gateway import call_log as message_log
from gateway import frames
from gateway import gateway_metrics as metrics
from gateway import ocpp_schemas as schemas
from gateway.frames import Call, CallError, CallResult, Malformed
from gateway.reports import ChargerReports
from gateway.wire import Wire

_INBOX_LIMIT = 32
"""CALLs waiting for their answer; beyond that the socket is not read on."""

_ACTIONS_REMEMBERED = 20
_LONGEST_ACTION = 50  # characters; OCPP's longest has 33


class InboundCalls:
    """What the charger asks and reports. Each CALL is answered, whatever happens.

    `on_answered` is called with the action of each, and whether it was answered with a CALLRESULT.
    """

    def __init__(self, wire: Wire, reports: ChargerReports, on_answered: Callable[[str, bool], None]) -> None:
        self._wire = wire
        self._reports = reports
        self._on_answered = on_answered
        self._inbox: deque[Call | Malformed] = deque()
        self._room: asyncio.Future[None] | None = None
        self._answering: asyncio.Task[None] | None = None
        self._faulty_actions: set[str] = set()
        self._answers_not_sent = 0

    @property
    def waiting_count(self) -> int:
        """CALLs whose turn has not come."""
        return len(self._inbox)

    async def take(self, frame: Call | Malformed) -> None:
        """Have a frame answered; waits while too many do."""
        while len(self._inbox) >= _INBOX_LIMIT:
            self._room = asyncio.get_running_loop().create_future()
            await self._room
        self._inbox.append(frame)
        # No task while there is nothing to do: an idle charger costs its reader only.
        if self._answering is None:
            self._answering = asyncio.create_task(self._answer_all())

    def end(self) -> None:
        """Tell nobody of answers any more. Idempotent."""
        self._on_answered = lambda *_: None  # or this and the session would keep each other in memory

    async def finish(self) -> None:
        """Wait until everything taken is handled."""
        if self._answering is not None:
            await self._answering
        if self._answers_not_sent:
            self._wire.log().info("answers_not_sent", count=self._answers_not_sent)

    async def _answer_all(self) -> None:
        try:
            while self._inbox:
                frame = self._inbox.popleft()
                if self._room is not None and not self._room.done():
                    self._room.set_result(None)
                if isinstance(frame, Malformed):
                    await self._answer_malformed(frame)
                else:
                    await self._answer(frame)
        finally:
            self._answering = None

    async def _answer_malformed(self, frame: Malformed) -> None:
        code = None if frame.fault is None else self._wire.dialect.fault_codes.get(frame.fault)
        self._wire.complain("malformed_frame", reason=frame.reason, answer=code)
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
        self._on_answered(call.action, isinstance(answer, CallResult))
        metrics.count_call_from(call.action, call.action in self._wire.dialect.routes, answer)
        self._wire.keep(received_at, "charger", call.action, call.payload, answer, weight=call.weight)

    async def _handle(self, call: Call) -> CallResult | CallError:
        handler = self._wire.dialect.routes.get(call.action)
        if handler is None:
            if self._is_first_fault(call.action):
                self._wire.complain("unknown_action", action=call.action[:_LONGEST_ACTION])
            return CallError(call.message_id, "NotImplemented", "this action is not known here")
        try:
            self._look_for_faults(call)
            payload = await handler(self._reports, call.payload)
            schemas.check(self._wire.dialect.version, call.action, "response", payload)
        except Exception:
            # In practice the database: the charger may try again, and must be answered whatever happened.
            self._wire.log().exception("call_failed", action=call.action)
            return CallError(call.message_id, "InternalError", "the message could not be stored")
        return CallResult(call.message_id, payload)

    def _look_for_faults(self, call: Call) -> None:
        """What departs from the schema is used all the same; one line a session for each action."""
        faults = schemas.faults(self._wire.dialect.version, call.action, "request", call.payload)
        if faults and self._is_first_fault(call.action):
            self._wire.complain("invalid_request_used", action=call.action, faults=faults)

    def _is_first_fault(self, action: str) -> bool:
        name = action[:_LONGEST_ACTION]
        if name in self._faulty_actions or len(self._faulty_actions) >= _ACTIONS_REMEMBERED:
            return False
        self._faulty_actions.add(name)
        return True

    async def _send(self, text: bytes) -> None:
        try:
            await self._wire.send(text)
        except ConnectionClosed:
            # The charger repeats what matters on its next socket.
            self._answers_not_sent += 1
