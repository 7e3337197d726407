"""Records one history of every end a reservation can have: `python -m tests.workflows.record_histories`.

The files are what running reservations look like to a new release. Record anew only what was never
deployed; a deployed workflow changes by a patch and must go on replaying the old files.
"""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from cli.up.temporal_cli import find_temporal_cli
from tests.workflows.world import (
    ACCEPTED,
    CANCELLED,
    DEV_SERVER,
    OCCUPIED,
    SILENCE,
    SOCKET_DIED,
    UNKNOWN_ID,
    World,
)
from workflows.messages import (
    CancelReservationResult,
    ChargerBooted,
    ChargerConnected,
    PortReservedByOther,
    PortStatusChanged,
    TransactionEnded,
    TransactionStarted,
)
from workflows.names import SEARCH_ATTRIBUTES

HISTORIES = Path(__file__).parent.parent / "data" / "histories"

Story = Callable[[World], Awaitable[None]]


async def _expired(world: World) -> None:
    await world.reserve()


async def _cancelled(world: World) -> None:
    await world.reserve()
    await world.cancel()


async def _cancelled_natively(world: World) -> None:
    await world.reserve()
    await world.handle.cancel()


async def _rejected(world: World) -> None:
    world.charger.reserve_answers.append(OCCUPIED)
    await world.reserve()
    await world.handle.result()  # by itself: who has its time run on then disturbs its last step


async def _used(world: World) -> None:
    await world.reserve()
    await world.tell(
        "transaction_started",
        TransactionStarted(at=await world.now(), transaction_id="17", port_number=1, id_tag="RFID-1"),
    )


async def _removed(world: World) -> None:
    await world.reserve()
    world.charger.status = "Faulted"
    await world.tell("port_status", PortStatusChanged(at=await world.now(), port_number=1, status="Faulted"))


async def _failed(world: World) -> None:
    world.charger.reserve_answers.extend([SOCKET_DIED] * 3)
    await world.reserve(wait=timedelta(seconds=1))


async def _unknown_then_expired(world: World) -> None:
    world.charger.reserve_answers.extend([SILENCE, OCCUPIED, ACCEPTED])
    world.charger.cancel_answers.append(CANCELLED)
    await world.reserve(wait=timedelta(seconds=1))


async def _offline_then_active(world: World) -> None:
    route, world.charger.route = world.charger.route, None
    assert route is not None
    await world.reserve()
    world.charger.route = route
    await world.tell("charger_connected", ChargerConnected(at=await world.now(), route=route))


async def _never_connected(world: World) -> None:
    world.charger.route = None
    await world.reserve()


async def _changed_and_refused(world: World) -> None:
    await world.reserve(world.terms(port=1))
    world.charger.reserve_answers.extend([OCCUPIED, ACCEPTED])
    await world.reserve(world.terms(port=2))


async def _cancel_refused(world: World) -> None:
    await world.reserve()
    world.charger.cancel_answers.append(UNKNOWN_ID)
    await world.cancel()


async def _lingered(world: World) -> None:
    await world.reserve()
    world.charger.status = "Reserved"


async def _whole_charger_expired(world: World) -> None:
    await world.reserve(world.terms(port=None))


async def _announced(world: World) -> None:
    world.charger.status = "Reserved"
    await world.reserve()
    await world.tell(
        "transaction_started",
        TransactionStarted(at=await world.now(), transaction_id="17", port_number=1, id_tag="STRANGER"),
    )


async def _announced_late(world: World) -> None:
    world.charger.announcing_fails = True
    await world.reserve()
    world.charger.announcing_fails = False


def without_traces(text: str) -> str:
    """The history less what tells of the machine it was recorded on."""
    machine = f"{os.getpid()}@{socket.gethostname()}"

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: clean(item) for key, item in value.items() if key != "stackTrace"}
        if isinstance(value, list):
            return [clean(item) for item in value]
        return "recorder" if value == machine else value

    return json.dumps(clean(json.loads(text)), indent=1) + "\n"


async def _used_by_the_group(world: World) -> None:
    terms = world.terms().model_copy(update={"parent_id_tag": "FAMILY"})
    await world.reserve(terms)
    at = await world.now()
    use = TransactionStarted(
        at=at, transaction_id="17", port_number=1, id_tag="CHILD", parent_id_tag="FAMILY"
    )
    await world.tell("transaction_started", use)
    await world.tell("transaction_ended", TransactionEnded(at=at, transaction_id="17", port_number=1))


async def _replaced_by_another(world: World) -> None:
    await world.reserve()
    await world.tell("port_reserved_by_other", PortReservedByOther(at=await world.now(), port_number=1))


async def _move_refused(world: World) -> None:
    await world.reserve(world.terms(port=1))
    world.charger.cancel_answers.append(CancelReservationResult(is_port_held=True))
    await world.reserve(world.terms(port=2))


async def _database_away(world: World) -> None:
    await world.reserve()
    world.charger.look_gate.clear()
    await world.tell("charger_booted", ChargerBooted(at=await world.now()))
    looking = asyncio.create_task(world.skip(seconds=62))
    while not world.charger.looks_waiting:
        await asyncio.sleep(0.05)
    await asyncio.sleep(2)
    world.charger.look_gate.set()
    await looking


async def _continued(world: World) -> None:
    await world.reserve()
    first = (await world.handle.describe()).run_id
    while (await world.handle.describe()).run_id == first:
        await world.reserve()


STORIES: dict[str, Story] = {
    "announced": _announced,
    "announced-late": _announced_late,
    "cancel-refused": _cancel_refused,
    "cancelled": _cancelled,
    "cancelled-natively": _cancelled_natively,
    "changed-and-refused": _changed_and_refused,
    "continued": _continued,
    "database-away": _database_away,
    "expired": _expired,
    "failed": _failed,
    "lingered": _lingered,
    "move-refused": _move_refused,
    "never-connected": _never_connected,
    "offline-then-active": _offline_then_active,
    "rejected": _rejected,
    "removed": _removed,
    "replaced-by-another": _replaced_by_another,
    "unknown-then-expired": _unknown_then_expired,
    "used": _used,
    "used-by-the-group": _used_by_the_group,
    "whole-charger-expired": _whole_charger_expired,
}


async def record(names: list[str]) -> None:
    """Live each named story to its end and store its history."""
    HISTORIES.mkdir(parents=True, exist_ok=True)
    for name in names:
        async with (
            await WorkflowEnvironment.start_time_skipping_v2(
                dev_server_existing_path=str(find_temporal_cli()),
                dev_server_extra_args=DEV_SERVER,
                data_converter=pydantic_data_converter,
                search_attributes=SEARCH_ATTRIBUTES,
            ) as env,
            World(env) as world,
        ):
            await STORIES[name](world)
            await world.end()
            history = await world.handle.fetch_history()
            (HISTORIES / f"{name}.json").write_text(without_traces(history.to_json()))


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1:] or list(STORIES)))
