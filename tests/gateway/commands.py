"""The commands to a charger, run as Temporal would for the workflow of reservation 7."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.charger_commands import ChargerCommands
from berth.database import Charger
from tests.gateway.stack import Stack
from workflows.messages import (
    CancelReservationInput,
    CancelReservationResult,
    ChangePasswordInput,
    ChangePasswordResult,
    IdTagType,
    ReserveNowInput,
    ReserveNowResult,
    Terms,
)

EXPIRES_AT = datetime(2030, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
WIRE_EXPIRY = "2030-01-02T03:04:05Z"


def terms(**changes: Any) -> Terms:
    """Port 1 for token aBc, unless said otherwise."""
    values: dict[str, Any] = {
        "port_id": 1,
        "port_number": 1,
        "expires_at": EXPIRES_AT,
        "id_tag": "aBc",
        "id_tag_type": IdTagType.ISO14443,
    }
    return Terms(**(values | changes))


class Commands:
    """The activities of one charger."""

    def __init__(self, stack: Stack, charger: Charger) -> None:
        self._activities = ChargerCommands(stack.registry, stack.database, stack.event_dispatcher.wake)
        self._charger = charger
        self._client: Any = stack.temporal  # the part of a Client they use
        self.heartbeats = 0

    async def reserve(self, **changes: Any) -> ReserveNowResult:
        values: dict[str, Any] = {
            "charger_id": self._charger.id,
            "reservation_id": 7,
            "terms": terms(),
            "first_run_id": "run-1",
        }
        workflow_id = changes.pop("workflow_id", "reservation-7")
        result: ReserveNowResult = await self._run(
            workflow_id, self._activities.reserve_now, ReserveNowInput(**(values | changes))
        )
        return result

    async def cancel(self, **changes: Any) -> CancelReservationResult:
        values: dict[str, Any] = {"charger_id": self._charger.id, "reservation_id": 7}
        result: CancelReservationResult = await self._run(
            "reservation-7",
            self._activities.cancel_reservation,
            CancelReservationInput(**(values | changes)),
        )
        return result

    async def change_password(self, **changes: Any) -> ChangePasswordResult:
        values: dict[str, Any] = {"charger_id": self._charger.id}
        result: ChangePasswordResult = await self._run(
            "charger-password-1", self._activities.change_password, ChangePasswordInput(**(values | changes))
        )
        return result

    async def _run(self, workflow_id: str, activity: Any, request: Any) -> Any:
        environment = ActivityEnvironment(self._client)
        environment.info = dataclasses.replace(ActivityEnvironment.default_info(), workflow_id=workflow_id)
        environment.on_heartbeat = self._count
        return await environment.run(activity, request)

    def _count(self, *_: Any) -> None:
        self.heartbeats += 1
