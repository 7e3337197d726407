"""Commands to chargers; they run inside the gateway that holds the charger's socket."""

import asyncio
import secrets
import string
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, TypeVar

import structlog
from opentelemetry import trace
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.subscription import PORT_RESERVED_BY_OTHER, is_running, new_event, subscription_of
from berth.charger_link import ChargerLink, ChargerLinks, InDoubt, NotSent
from berth.database import Database, EventSubscription, NewEvent
from berth.deadline import in_time
from webhooks.outbox import outbox_event
from workflows.messages import (
    IN_DOUBT,
    NOT_SENT,
    CancelReservationInput,
    CancelReservationResult,
    ChangePasswordInput,
    ChangePasswordResult,
    InDoubtDetail,
    NotSentDetail,
    PasswordStatus,
    PortReservedByOther,
    ReserveNowInput,
    ReserveNowResult,
    ReserveStatus,
)
from workflows.webhook_events import active_event

log = structlog.get_logger(__name__)

T = TypeVar("T")

RESERVED_BY_OTHER = "ReservedByOther"
"""Reason of an Occupied that Berth answers itself: another reservation holds the port."""

_HEARTBEAT_EVERY = 3.0  # seconds
_KEEP_WITHIN = 5.0  # seconds that what follows from an answer may take, or it would come too late

# OCPP 1.6 takes 16 to 20 bytes (security white paper, AuthorizationKey), 2.0.1 16 to 40 characters. No other
# bytes than these: some chargers handle the password as text, which random bytes are not. 119 bits.
_PASSWORD_LENGTH, _PASSWORD_LETTERS = 20, string.ascii_letters + string.digits


class ChargerCommands:
    """The activities ReserveNow, CancelReservation and ChangePassword.

    All are safe to repeat. They fail with one of two application errors, never retried by Temporal:
    NOT_SENT, nothing reached the charger; IN_DOUBT, written and no answer came.
    """

    def __init__(self, links: ChargerLinks, database: Database, wake: Callable[[int], None]) -> None:
        """`wake` is called with a charger's id when there are events of it to deliver."""
        self._links = links
        self._database = database
        self._wake = wake

    @activity.defn(name="ReserveNow")
    async def reserve_now(self, request: ReserveNowInput) -> ReserveNowResult:
        """Reserve a port at its charger; a charger's refusal is a result, and so is a CALLERROR.

        A port that another workflow's accepted reservation holds is answered Occupied without a frame,
        unless `request.force`.
        """
        write_before = _deadline(request.write_within)
        _name(request.charger_id, reservation_id=request.reservation_id)
        try:
            link = self._ready_link(request.charger_id, request.epoch)
            subscription = subscription_of(request)
            if request.is_repeat:
                await self._be_up_to_date(subscription, write_before)
            # Before the frame: what the charger does next must find its subscriber.
            is_free = await _answered(
                self._database.subscriptions.claim(
                    subscription, is_forced=request.force, is_repeat=request.is_repeat
                ),
                write_before,
            )
            if not is_free:
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
            is_event_lost = not await self._mark_accepted(subscription, request, link.epoch)
            return result.model_copy(update={"is_event_lost": True}) if is_event_lost else result
        return result

    @activity.defn(name="CancelReservation")
    async def cancel_reservation(self, request: CancelReservationInput) -> CancelReservationResult:
        """Cancel a reservation at its charger; Rejected means it holds none with that id (H02.FR.01).

        One that is given up for another port stays, without a frame, when another reservation holds that.
        With `request.unless_live` one that a workflow lives for is left alone; what a workflow left behind
        that was ended by force no longer holds the port.
        """
        write_before = _deadline(request.write_within)
        _name(request.charger_id, reservation_id=request.reservation_id)
        try:
            link = self._ready_link(request.charger_id, request.epoch)
            if request.moving_to is not None and await _answered(
                self._database.subscriptions.is_held(
                    request.charger_id, request.moving_to, activity.info().workflow_id or ""
                ),
                write_before,
            ):
                log.info("cancel_reservation_not_sent", reason=RESERVED_BY_OTHER)
                return CancelReservationResult(is_port_held=True)
            ended_by_force = await self._not_living(request, write_before) if request.unless_live else None
            result = await _heartbeating(
                link.cancel_reservation(
                    request.reservation_id, call_timeout=request.call_timeout, write_before=write_before
                )
            )
        except (NotSent, InDoubt) as error:
            log.warning("cancel_reservation_failed", error=str(error))
            _fail(error)
        log.info("cancel_reservation_answered", status=result.status, error=result.error)
        if ended_by_force is not None and result.status is not None:
            await self._forget(ended_by_force)
        return result

    @activity.defn(name="ChangePassword")
    async def change_password(self, request: ChangePasswordInput) -> ChangePasswordResult:
        """Give a charger a new password, which nobody else ever sees (OCPP 2.0.1 A01.FR.02).

        It is valid before the charger receives it, until the charger refuses it: whatever becomes of this
        process or the answer, the charger is let in. Repeated, it is another one.
        """
        write_before = _deadline(request.write_within)
        _name(request.charger_id)
        password = "".join(secrets.choice(_PASSWORD_LETTERS) for _ in range(_PASSWORD_LENGTH))
        try:
            link = self._ready_link(request.charger_id, request.epoch)
            password_hash = await self._offer(request.charger_id, password, write_before)
            try:
                result = await _heartbeating(
                    link.change_password(
                        password, call_timeout=request.call_timeout, write_before=write_before
                    )
                )
            except NotSent:
                await self._withdraw(request.charger_id, password_hash)
                raise
        except (NotSent, InDoubt) as error:
            log.warning("change_password_failed", error=str(error))
            _fail(error)
        log.info("change_password_answered", status=result.status, reason=result.reason)
        if result.status is PasswordStatus.REJECTED:
            await self._withdraw(request.charger_id, password_hash)
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

    async def _be_up_to_date(self, subscription: EventSubscription, write_before: float) -> None:
        """Raises NotSent while the run has not got what its charger reported since it was asked before.

        A driver who charges there already would be asked a place for again.
        """
        charger_id = subscription.charger_id
        if await _answered(
            self._database.events.is_waiting_for(charger_id, subscription.workflow_id), write_before
        ):
            self._wake(charger_id)
            raise NotSent("events_waiting")

    async def _offer(self, charger_id: int, password: str, write_before: float) -> str:
        password_hash = await _answered(
            self._database.password_changes.offer(charger_id, password), write_before
        )
        if password_hash is None:
            raise NotSent("not_connected")
        return password_hash

    async def _withdraw(self, charger_id: int, password_hash: str) -> None:
        try:
            await in_time(self._database.password_changes.refuse(charger_id, password_hash), _KEEP_WITHIN)
        except Exception:
            # It opens for whoever knows it, and nobody does.
            log.exception("new_password_not_withdrawn")

    async def _not_living(
        self, request: CancelReservationInput, write_before: float
    ) -> EventSubscription | None:
        """The row that a run left behind which was ended by force, or lost. Raises NotSent when one lives."""
        subscribers = await _answered(
            self._database.subscriptions.of_charger(request.charger_id), write_before
        )
        left = next((one for one in subscribers if one.reservation_id == request.reservation_id), None)
        if left is not None and await _answered(
            is_running(activity.client(), left.workflow_id), write_before
        ):
            raise NotSent("live")
        return left

    async def _forget(self, left: EventSubscription) -> None:
        try:
            await in_time(
                self._database.subscriptions.remove(left.workflow_id, left.first_run_id), _KEEP_WITHIN
            )
        except Exception:
            # The charger's answer must not be lost over it; the row ends with the reservation's time.
            log.exception("subscription_not_ended")

    async def _mark_accepted(
        self, subscription: EventSubscription, request: ReserveNowInput, epoch: int
    ) -> bool:
        """Whether the webhook event, if any webhook wants it, is stored.

        A charger that accepts a second reservation of a port no longer holds the first, or holds both: the
        runs of the others get to know it.
        """
        try:
            event = active_event(request)
            marking = self._database.subscriptions.mark_accepted(
                subscription,
                [] if event is None else [outbox_event(event)],
                event_for=lambda other: _superseded(other, epoch),
            )
            superseded = await in_time(marking, _KEEP_WITHIN)
        except Exception:
            # The charger's Accepted must not be lost over the one-holder check of others, nor over webhooks.
            log.exception("mark_accepted_failed", workflow_id=subscription.workflow_id)
            return False
        if superseded:
            log.warning("port_reserved_twice", superseded=[one.reservation_id for one in superseded])
            self._wake(subscription.charger_id)
        return True


def _superseded(one: EventSubscription, epoch: int) -> NewEvent:
    if one.port_number is None:
        raise ValueError("only a reservation of a particular port is superseded")
    event = PortReservedByOther(at=datetime.now(UTC), port_number=one.port_number)
    return new_event(one, PORT_RESERVED_BY_OTHER, event, epoch)


async def _answered(question: Coroutine[Any, Any, T], write_before: float) -> T:
    """The answer of the database, or of Temporal. Raises NotSent when there is none in time for the frame."""
    try:
        return await in_time(question, write_before - asyncio.get_running_loop().time())
    except Exception as error:
        log.exception("database_or_temporal_failed")
        raise NotSent("not_ready") from error


def _name(charger_id: int, **more: int) -> None:
    """Have every log line of this activity, and its span, name the charger, and the reservation if any."""
    names = {"charger_id": charger_id, **more}
    structlog.contextvars.bind_contextvars(**names)
    trace.get_current_span().set_attributes({f"berth.{name}": value for name, value in names.items()})


def _deadline(within: timedelta) -> float:
    return asyncio.get_running_loop().time() + within.total_seconds()


async def _heartbeating(call: Coroutine[Any, Any, T]) -> T:
    """The call's result; a heartbeat goes to Temporal every few seconds meanwhile."""
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
