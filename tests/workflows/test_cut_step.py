"""A look into a reservation may cut a step in two: after the directory's answer, before what follows from it.

Temporal answers a query with the step that it meets, and has the rest of that step taken in another one.
"""

import asyncio
from datetime import timedelta

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import TimeSkipper

from launch.temporal_server import TemporalServer
from tests.workflows.world import QUICK, World
from workflows.messages import ReservationState

AT_ONCE = QUICK.model_copy(update={"expiry_grace": timedelta(0)})


async def events(world: World) -> list[str]:
    """What Temporal has of the reservation, by type."""
    history = await world.handle.fetch_history()
    return [EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in history.events]


async def is_cut_at_its_expiry(world: World) -> bool:
    """Look at a reservation as it expires, its charger away; whether that cut the step."""
    await world.reserve(world.terms(hours=3 / 3600), policy=AT_ONCE)
    world.charger.route = None  # so that it lingers
    async with world.worker_away(), asyncio.timeout(60):
        while "TIMER_FIRED" not in await events(world):
            await asyncio.sleep(0.05)
        looking = asyncio.create_task(world.snapshot())
    await looking
    await world.until(lambda s: s.state == ReservationState.EXPIRED)
    told = await events(world)
    return told[told.index("MARKER_RECORDED") + 1] == "WORKFLOW_TASK_SCHEDULED"


async def test_a_reservation_that_was_looked_at_as_it_expired_is_taken_up_by_another_worker(
    server: TemporalServer,
) -> None:
    client = await Client.connect(server.address, data_converter=pydantic_data_converter)
    for _ in range(10):  # a look that comes a moment later cuts nothing
        async with World(TimeSkipper(client)) as world:
            if await is_cut_at_its_expiry(world):
                async with world.worker_away():
                    pass
                assert (await world.snapshot()).state == ReservationState.EXPIRED
                return
    raise AssertionError("no look cut a step")
