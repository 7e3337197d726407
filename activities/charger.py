"""Commands to chargers; they run inside the gateway that holds the charger's socket."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import structlog
from opentelemetry import trace
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.link import ChargerLink, ChargerLinks, InDoubt, NotSent
from activities.listening import listening
from directory import Directory, LiveReservation
from workflows.messages import (
    IN_DOUBT,
    NOT_SENT,
    CancelReservationInput,
    CancelReservationResult,
    InDoubtDetail,
    NotSentDetail,
    ReserveNowInput,
    ReserveNowResult,
    ReserveStatus,
)

log = structlog.get_logger(__name__)

T = TypeVar("T")

RESERVED_BY_OTHER = "ReservedByOther"
"""Reason of an Occupied that Berth answers itself: another reservation holds the port."""

_HEARTBEAT_EVERY = 3.0  # seconds


class ChargerCommands:
    """The activities ReserveNow and CancelReservation.

    Both are safe to repeat. They fail with one of two application errors, never retried by Temporal:
    NOT_SENT, nothing reached the charger; IN_DOUBT, written and no answer came.
    """

    def __init__(self, links: ChargerLinks, directory: Directory) -> None:
        self._links = links
        self._directory = directory

    @activity.defn(name="ReserveNow")
    async def reserve_now(self, request: ReserveNowInput) -> ReserveNowResult:
        """Reserve a port at its charger; a charger's refusal is a result, and so is a CALLERROR.

        A port that another workflow's accepted reservation holds is answered Occupied without a frame,
        unless `request.force`.
        """
        write_before = _deadline(request.write_within)
        _name(request)
        try:
            link = self._ready_link(request.charger_id, request.epoch)
            listener = listening(request)
            try:
                # Before the frame: what the charger does next must find its listener.
                is_held = await self._enter(listener, request.force)
            except Exception as error:
                log.exception("directory_failed")
                raise NotSent("not_ready") from error
            if is_held:
                log.info("reserve_now_not_needed", reason=RESERVED_BY_OTHER)
                return ReserveNowResult(status=ReserveStatus.OCCUPIED, reason=RESERVED_BY_OTHER, sent=False)
            result = await _heartbeating(
                link.reserve_now(
                    request.reservation_id,
                    request.terms,
                    call_timeout=request.call_timeout,
                    write_before=write_before,
                )
            )
        except (NotSent, InDoubt) as error:
            log.warning("reserve_now_failed", error=str(error))
            _fail(error)
        log.info("reserve_now_answered", status=result.status, error=result.error, reason=result.reason)
        if result.status is ReserveStatus.ACCEPTED:
            await self._mark_accepted(listener)
        return result

    @activity.defn(name="CancelReservation")
    async def cancel_reservation(self, request: CancelReservationInput) -> CancelReservationResult:
        """Cancel a reservation at its charger; Rejected means it holds none with that id (H02.FR.01)."""
        write_before = _deadline(request.write_within)
        _name(request)
        try:
            link = self._ready_link(request.charger_id, request.epoch)
            if request.unless_live and await self._is_live(request.charger_id, request.reservation_id):
                raise NotSent("live")
            result = await _heartbeating(
                link.cancel_reservation(
                    request.reservation_id, call_timeout=request.call_timeout, write_before=write_before
                )
            )
        except (NotSent, InDoubt) as error:
            log.warning("cancel_reservation_failed", error=str(error))
            _fail(error)
        log.info("cancel_reservation_answered", status=result.status, error=result.error)
        return result

    def _ready_link(self, charger_id: int, epoch: int | None) -> ChargerLink:
        link = self._links.of(charger_id)
        if link is None:
            raise NotSent("not_connected")
        if epoch is not None and link.epoch != epoch:
            raise NotSent("wrong_gateway")
        if not link.is_ready:
            raise NotSent("not_ready")
        return link

    async def _enter(self, listener: LiveReservation, force: bool) -> bool:
        """Have the run hear of its charger's events, unless another reservation holds the port."""
        if force:
            await self._directory.live.put(listener)
            return False
        return await self._directory.live.claim(listener) is not None

    async def _is_live(self, charger_id: int, reservation_id: int) -> bool:
        try:
            listeners = await self._directory.live.of_charger(charger_id)
        except Exception as error:
            log.exception("directory_failed")
            raise NotSent("not_ready") from error
        return any(listener.reservation_id == reservation_id for listener in listeners)

    async def _mark_accepted(self, listener: LiveReservation) -> None:
        try:
            await self._directory.live.mark_accepted(listener.workflow_id, listener.first_run_id)
        except Exception:
            # The charger's Accepted must not be lost over the one-holder check of others.
            log.exception("mark_accepted_failed", workflow_id=listener.workflow_id)


def _name(request: ReserveNowInput | CancelReservationInput) -> None:
    """Have every log line of this activity, and its span, name the charger and the reservation."""
    structlog.contextvars.bind_contextvars(
        charger_id=request.charger_id, reservation_id=request.reservation_id
    )
    trace.get_current_span().set_attributes(
        {"berth.charger_id": request.charger_id, "berth.reservation_id": request.reservation_id}
    )


def _deadline(within: timedelta) -> float:
    return asyncio.get_running_loop().time() + within.total_seconds()


async def _heartbeating(call: Coroutine[Any, Any, T]) -> T:
    """The call's result; Temporal hears of us every few seconds meanwhile."""
    task = asyncio.ensure_future(call)
    try:
        # Most chargers answer before the first one is due: each is a request to Temporal, and a write there.
        while not (await asyncio.wait({task}, timeout=_HEARTBEAT_EVERY))[0]:
            activity.heartbeat()
        return task.result()
    finally:
        task.cancel()


def _fail(error: NotSent | InDoubt) -> NoReturn:
    detail: NotSentDetail | InDoubtDetail
    if isinstance(error, NotSent):
        kind, detail = NOT_SENT, NotSentDetail(cause=error.cause)
    else:
        kind, detail = IN_DOUBT, InDoubtDetail(cause=error.cause, after=error.after)
    raise ApplicationError(
        str(error), detail, type=kind, non_retryable=True, category=ApplicationErrorCategory.BENIGN
    ) from error
