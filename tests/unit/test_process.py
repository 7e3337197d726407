"""A process works until a signal, and no longer than each of its parts."""

import asyncio
import os
import signal

import pytest
import structlog

from berth.process import Background, PartDied, unless_stopped, until_stopped


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_asks_it_to_stop(number: signal.Signals) -> None:
    async def main(stop: asyncio.Event) -> None:
        os.kill(os.getpid(), number)
        await stop.wait()

    await asyncio.wait_for(until_stopped(main), 60)


async def test_what_is_begun_before_the_work_is_given_up_at_the_stop() -> None:
    stop = asyncio.Event()
    given_up = asyncio.Event()

    async def connect() -> str:
        try:
            stop.set()
            await asyncio.Event().wait()
        finally:
            given_up.set()
        return "connected"

    assert await unless_stopped(stop, connect()) is None
    assert given_up.is_set()
    assert await unless_stopped(asyncio.Event(), asyncio.sleep(0, "connected")) == "connected"


@pytest.mark.parametrize("error", [RuntimeError("no more"), None])
async def test_a_part_that_ends_by_itself_ends_the_process_with_a_line(error: Exception | None) -> None:
    async def dies() -> None:
        if error is not None:
            raise error

    stop = asyncio.Event()
    background = Background(stop)
    background.start("housekeeping", asyncio.Event().wait())  # type: ignore[arg-type]  # goes on for ever
    with structlog.testing.capture_logs() as logs:
        background.start("heartbeat", dies())
        await asyncio.wait_for(stop.wait(), 60)
    assert [(entry["event"], entry["task"]) for entry in logs] == [("background_task_died", "heartbeat")]
    await background.close()
    with pytest.raises(PartDied, match=r"^heartbeat ended by itself"):
        background.check()


async def test_parts_that_are_stopped_have_not_died() -> None:
    background = Background(asyncio.Event())
    background.start("heartbeat", asyncio.sleep(3600))
    await background.close()
    background.check()
