"""How a process of Berth lives: until SIGTERM or SIGINT, and no longer than each of its parts."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog

from berth.errors import StartError

log = structlog.get_logger(__name__)

T = TypeVar("T")


class PartDied(StartError):
    """A part of the process that has to live as long as the process ended by itself."""


async def until_stopped(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `main`; the event that it is given is set by SIGTERM and by SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await main(stop)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def unless_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of the work; None when the stop came first, which cancels it. Raises what it raises."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        stopping.cancel()
        if working.cancel():
            await asyncio.gather(working, return_exceptions=True)


class Background:
    """Tasks that go on for as long as the process. When one ends by itself, `stop` is set: better no process,
    which somebody starts anew, than half of one.
    """

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        self._tasks: set[asyncio.Task[None]] = set()
        self._dead: list[str] = []

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Begin one; its name is for people."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._end)

    async def close(self) -> None:
        """Cancel them all."""
        for task in self._tasks:
            task.remove_done_callback(self._end)
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def check(self) -> None:
        """Raise PartDied when one has ended by itself."""
        if self._dead:
            raise PartDied("; ".join(self._dead))

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        name = task.get_name()
        error = None if task.cancelled() else task.exception()
        log.error("background_task_died", task=name, exc_info=error)
        self._dead.append(f"{name} ended by itself ({'without an error' if error is None else repr(error)})")
        self._stop.set()
