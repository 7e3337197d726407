"""How the steps of a reservation are carried out: frames and activities, and what came of them."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

from workflows.background import Background
from workflows.charger_call import (
    DATABASE_AWAY,
    STATEMENT_WITHIN,
    cancel_reservation,
    reserve_now,
)
from workflows.messages import LookInput, PortView, ReservationStart, Route
from workflows.reservation.inputs import (
    CancelOutcome,
    ChargerBack,
    EventsStored,
    Looked,
    Outcome,
    ReserveOutcome,
    Unsubscribed,
)
from workflows.reservation.steps import (
    Look,
    SendCancelReservation,
    SendReserveNow,
    Step,
    StoreEvents,
    Unsubscribe,
    WaitForCharger,
)
from workflows.webhook_events import AnnounceInput

# Temporal shows the attempts of the pending activity; `charger_connected` ends the wait at once.
_WAIT_FOR_CHARGER = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=30)
)
_WAIT_FOR_CHARGER_ATTEMPT = timedelta(seconds=10)
_ANNOUNCE_ATTEMPT = timedelta(seconds=2)
_TWICE = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_attempts=2)

_T = TypeVar("_T")


class WaitInWorkflow(Protocol):
    """The one wait of the workflow; what it promises stands there."""

    async def __call__(
        self,
        condition: Callable[[], bool],
        until: datetime | None,
        summary: str,
        *,
        pending_before: datetime = ...,
        may_continue: bool = ...,
    ) -> None:
        """Wait for `condition`, at most until `until`."""


class StepPerformer:
    """Carries out one step after the other for one run of the workflow."""

    def __init__(
        self,
        start: ReservationStart,
        background: Background,
        wait: WaitInWorkflow,
        has_input: Callable[[], bool],
    ) -> None:
        self._start = start
        self._background = background
        self._wait = wait
        self._has_input = has_input

    async def perform(self, step: Step) -> Outcome | None:
        """The step's outcome; None when an input came first and the step is to be chosen anew."""
        match step:
            case SendReserveNow(argument, route, summary):
                asked_at = workflow.now()
                reserving = reserve_now(argument, route, self._start.policy, summary)
                return ReserveOutcome(argument, asked_at, await self._await_charger(reserving))
            case SendCancelReservation(argument, route, summary):
                cancelling = cancel_reservation(argument, route, self._start.policy, summary)
                return CancelOutcome(await self._await_charger(cancelling))
            case Look(purpose, port_number):
                look = LookInput(charger_id=self._start.charger_id, port_number=port_number)
                view = await self._ask_database("LookAtCharger", look, PortView)
                if view is not None and not self._has_input():
                    return Looked(purpose, view)
                # What came meanwhile is taken first: it is perhaps a use, and newer than what was seen.
                self._background.stop()
                return None
            case WaitForCharger(subscription, until):
                waiting = self._background.start(
                    "WaitForCharger",
                    subscription,
                    Route,
                    within=_WAIT_FOR_CHARGER_ATTEMPT,
                    retry_policy=_WAIT_FOR_CHARGER,
                    summary="charger offline",
                )
                found = await self._unless_interrupted(waiting, until, "until the charger is back")
                return None if found is None else ChargerBack(found)
            case StoreEvents(events, forever):
                return EventsStored(len(events), await self._announce(AnnounceInput(events=events), forever))
            case Unsubscribe(argument):
                done = await self._ask_database("Unsubscribe", argument, bool)
                return None if done is None else Unsubscribed(len(argument.events))
        raise AssertionError(f"{step} is no step to perform")

    async def _await_charger(self, call: Coroutine[Any, Any, _T]) -> _T:
        """The outcome of a frame.

        Most come at once, and each timer is two events more of history: only a caller who will not wait as
        long as the charger may take is worth one.
        """
        outcome = asyncio.create_task(call)
        charger_answers_by = workflow.now() + self._start.policy.call_timeout
        await self._wait(outcome.done, None, "", pending_before=charger_answers_by, may_continue=False)
        return await outcome

    async def _ask_database(self, activity: str, argument: BaseModel, result_type: type[_T]) -> _T | None:
        """The database's answer, asked for until it comes; None when an input came first."""
        asking = self._background.start(
            activity, argument, result_type, within=STATEMENT_WITHIN, retry_policy=DATABASE_AWAY
        )
        return await self._unless_interrupted(asking)

    async def _unless_interrupted(
        self, activity: workflow.ActivityHandle[_T], until: datetime | None = None, summary: str = ""
    ) -> _T | None:
        """The result; None when an input or `until` came first, and the activity goes on."""
        await self._wait(lambda: activity.done() or self._has_input(), until, summary)
        if not activity.done():
            return None
        self._background.stop()
        return activity.result()

    async def _announce(self, argument: AnnounceInput, forever: bool) -> bool:
        """Whether the events are stored."""
        storing = workflow.start_activity(
            "Announce",
            argument,
            start_to_close_timeout=_ANNOUNCE_ATTEMPT,
            retry_policy=DATABASE_AWAY if forever else _TWICE,
        )
        await self._wait(storing.done, None, "", may_continue=False)
        try:
            await storing
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return False
        return True
