"""One charger's connection: when it takes commands, the commands, and its end.

Both directions are independent: a charger may send Authorize inside our open ReserveNow and wait for the
answer before it answers us.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from berth.database import Capabilities
from gateway import frames
from gateway.call_log import MessageLog
from gateway.capability_answers import shown_by
from gateway.command_answers import read_cancel_answer, read_reserve_answer
from gateway.dialect import Dialect
from gateway.frames import Call, CallResult, Malformed
from gateway.inbound import InboundCalls
from gateway.ocpp_schemas import SchemaViolation
from gateway.outbound import OutboundCalls
from gateway.reports import ChargerReports
from gateway.wire import Wire
from workflows.messages import (
    CancelReservationResult,
    ChangePasswordResult,
    ReserveNowResult,
    ReserveStatus,
    Terms,
)

INVALID_REQUEST = "InvalidRequest"
"""Reason of a Rejected that Berth answers itself: this OCPP version cannot say what is asked for."""

_NOTING_TIMEOUT = 2.0  # seconds an answer to a command may wait for what it shows to be stored


class ChargerSession:
    """A socket with its protocol state; the `ChargerLink` of the activities.

    `owns` asks the database whether this is still the charger's newest socket. `on_ready` is awaited once,
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
        self._reports = reports
        self._on_ready = on_ready
        self._name_group = name_group

        self._wire = Wire(socket, self.charger_id, ocpp_identity, dialect, messages)
        self._inbound = InboundCalls(self._wire, reports, self._note_boot)
        self._outbound = OutboundCalls(self._wire, owns, self.close)

        self._speaks_as_accepted = has_booted_before
        self._is_boot_wait_over = False
        self._boot_timer = asyncio.get_running_loop().call_later(
            boot_wait.total_seconds(), self._end_boot_wait
        )
        self._becoming_ready: asyncio.Task[None] | None = None

        self._has_ended = False
        self._closing: asyncio.Task[None] | None = None

    # --- the socket -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read until the socket ends; returns when everything read is handled."""
        try:
            while True:
                frame = frames.parse(await self._wire.socket.recv(decode=False))
                if isinstance(frame, (Call, Malformed)):
                    await self._inbound.take(frame)
                else:
                    self._outbound.receive(frame)
        except ConnectionClosed:
            pass
        finally:
            self.end()
        await self._inbound.finish()

    @property
    def waiting_count(self) -> int:
        """CALLs of the charger whose turn has not come."""
        return self._inbound.waiting_count

    def end(self) -> None:
        """No more frames go out; open calls end at once, NotSent or InDoubt. Idempotent."""
        if self._has_ended:
            return
        self._has_ended = True
        self.is_ready = False
        self._boot_timer.cancel()
        if self._becoming_ready is not None:
            self._becoming_ready.cancel()
        self._inbound.end()
        self._outbound.end()

    def close(self, code: CloseCode, reason: str) -> None:
        """End, and close the socket in the background."""
        self.end()
        if self._closing is None:
            self._closing = asyncio.create_task(self._wire.socket.close(code, reason))

    # --- readiness --------------------------------------------------------------------------------

    def _note_boot(self, action: str, is_accepted: bool) -> None:
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

    # --- commands ---------------------------------------------------------------------------------

    async def reserve_now(
        self, reservation_id: int, terms: Terms, *, call_timeout: timedelta, write_before: float
    ) -> ReserveNowResult:
        """Send ReserveNow and wait for the answer. Raises NotSent or InDoubt.

        What this OCPP version cannot express (a longer token) is Rejected without a frame.
        """
        payload = self.dialect.reserve_now(reservation_id, terms, self._name_group)
        try:
            answer = await self._outbound.call(
                "ReserveNow", payload, call_timeout=call_timeout, write_before=write_before
            )
        except SchemaViolation as error:
            self._wire.log().warning("request_not_sendable", action="ReserveNow", faults=error.faults)
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
            await self._outbound.call(
                "CancelReservation", payload, call_timeout=call_timeout, write_before=write_before
            )
        )

    async def change_password(
        self, password: str, *, call_timeout: timedelta, write_before: float
    ) -> ChangePasswordResult:
        """Tell the charger its new password and wait for the answer. Raises NotSent or InDoubt."""
        action, payload = self.dialect.change_password(password)
        return self.dialect.read_password_answer(
            await self._outbound.call(
                action,
                payload,
                call_timeout=call_timeout,
                write_before=write_before,
                secrets=(password, password.encode().hex()),
            )
        )

    async def inquire(self) -> Capabilities:
        """Ask what the charger can do, when no command is out or waiting. Raises NotSent or InDoubt."""
        answer = await self._outbound.inquire(*self.dialect.inquiry)
        if not isinstance(answer, CallResult):
            return Capabilities()
        return self.dialect.read_capabilities(answer.payload)

    async def _note_shown(self, capabilities: Capabilities) -> None:
        try:
            async with asyncio.timeout(_NOTING_TIMEOUT):
                await self._reports.showed(capabilities)
        except Exception:
            # The charger's answer must not be lost over what it shows by the way.
            self._wire.log().exception("capabilities_not_noted")
