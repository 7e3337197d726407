"""One socket of one charger: its CALLs and their answers, the central system's CALLs and ours.

Both directions are independent: a CALL of the central system may be answered while one of ours is
open, and the other way round. Ours go out one at a time, in the order they were posted, unless the
charger is one that does not care.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog
from ocpp.exceptions import OCPPError  # type: ignore[import-untyped]  # ships no types
from ocpp.messages import Call, CallError, CallResult, unpack  # type: ignore[import-untyped]  # ships no types
from websockets.exceptions import ConnectionClosed

from simulator.record import Recorder

log = structlog.get_logger(__name__)

Payload = dict[str, Any]


class Socket(Protocol):
    """What is needed of a websocket."""

    async def send(self, message: str) -> None: ...

    async def recv(self) -> str | bytes: ...


class NoAnswer(Exception):
    """The central system did not answer a CALL, or the socket went away before it did."""


class ErrorAnswer(Exception):
    """The central system answered a CALL with a CALLERROR."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code


@dataclass(slots=True, eq=False)
class Posted:
    """A CALL of ours on its way: `written` when it is on the wire, `answer` when that came."""

    action: str
    payload: Payload
    written: asyncio.Future[None] = field(default_factory=lambda: _quiet_future())
    answer: asyncio.Future[Payload] = field(default_factory=lambda: _quiet_future())

    def fail(self) -> None:
        """Nothing will come of it."""
        for future in (self.written, self.answer):
            if not future.done():
                future.set_exception(NoAnswer(self.action))


class Peer:
    """The frames of one socket."""

    def __init__(
        self,
        socket: Socket,
        recorder: Recorder,
        new_message_id: Callable[[], str],
        on_call: Callable[["Peer", Call], Coroutine[Any, Any, None]],
        *,
        answer_timeout: float = 30.0,
        pipelines_calls: bool = False,
    ) -> None:
        self.is_silent = False
        self.is_closed = False
        self._socket = socket
        self._recorder = recorder
        self._new_message_id = new_message_id
        self._on_call = on_call
        self._answer_timeout = answer_timeout
        self._pipelines_calls = pipelines_calls
        self._outbox: deque[Posted] = deque()
        self._open: dict[str, Posted] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pump: asyncio.Task[None] | None = None

    def post(self, action: str, payload: Payload) -> Posted:
        """Put a CALL in line; never waits."""
        posted = Posted(action, payload)
        self._outbox.append(posted)
        if self._pump is None:
            self._pump = self.spawn(self._send_outbox())
        return posted

    async def call(self, action: str, payload: Payload) -> Payload:
        """Send a CALL and wait for its answer. Raises NoAnswer, ErrorAnswer."""
        return await self.post(action, payload).answer

    async def send_text(self, text: str) -> None:
        """Write a frame, or anything else. Nothing while silent."""
        if not self.is_silent:
            self._recorder.write("out", text)
            await self._socket.send(text)

    async def read(self) -> None:
        """Take what comes until the socket closes (then raises ConnectionClosed)."""
        while True:
            message = await self._socket.recv()
            text = message if isinstance(message, str) else message.decode("utf-8", "replace")
            self._recorder.write("in", text)
            if not self.is_silent:
                self._take(text)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something that ends with this socket."""
        task = asyncio.ensure_future(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # a task cancelled before its start never awaits it
        return task

    async def close(self) -> None:
        """The socket is gone: end what runs, fail what waits."""
        self.is_closed = True
        current = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not current]
        for task in tasks:
            task.cancel()
        for posted in [*self._outbox, *self._open.values()]:
            posted.fail()
        self._outbox.clear()
        self._open.clear()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _take(self, text: str) -> None:
        try:
            message = unpack(text)
        except OCPPError as error:
            log.warning("frame_not_understood", error=str(error))
            return
        if isinstance(message, Call):
            self.spawn(self._on_call(self, message))
            return
        posted = self._open.pop(message.unique_id, None)
        if posted is None or posted.answer.done():
            return
        if isinstance(message, CallError):
            posted.answer.set_exception(ErrorAnswer(message.error_code, message.error_description))
        else:
            posted.answer.set_result(message.payload or {})

    async def _send_outbox(self) -> None:
        try:
            while self._outbox:
                posted = self._outbox.popleft()
                message_id = self._new_message_id()
                self._open[message_id] = posted
                await self.send_text(Call(message_id, posted.action, posted.payload).to_json())
                if not posted.written.done():
                    posted.written.set_result(None)
                if not self._pipelines_calls:
                    await asyncio.wait([posted.answer], timeout=self._answer_timeout)
                    self._open.pop(message_id, None)
                    posted.fail()
        finally:
            self._pump = None

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except NoAnswer:
            log.debug("left_without_answer")
        except ErrorAnswer as error:
            log.warning("answered_with_error", code=error.code)
        except (ConnectionClosed, OSError):
            log.debug("socket_gone")
        except Exception:
            log.exception("charger_misprogrammed")


def result_text(message_id: str, payload: Payload) -> str:
    """A CALLRESULT."""
    text: str = CallResult(message_id, payload).to_json()
    return text


def error_text(message_id: str, code: str, text: str = "", details: Any = None) -> str:
    """A CALLERROR."""
    frame: str = CallError(message_id, code, text, {} if details is None else details).to_json()
    return frame


def _quiet_future() -> asyncio.Future[Any]:
    """A future nobody has to wait for: its exception counts as seen."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future
