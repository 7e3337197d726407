"""A bound for what a database may take: an activity answers or fails in time also when that hangs."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_given_up: set[asyncio.Task[Any]] = set()


async def in_time(work: Coroutine[Any, Any, T], within: float) -> T:
    """The result of `work`, for which it has `within` seconds. Raises TimeoutError.

    At once, other than `asyncio.timeout`: to give up a connection that hangs takes seconds of its own.
    """
    task = asyncio.ensure_future(work)
    try:
        if (await asyncio.wait({task}, timeout=within))[0]:
            return task.result()
        raise TimeoutError(f"no answer within {within:g} s")
    finally:
        if not task.done():
            task.cancel()
            _given_up.add(task)
            task.add_done_callback(_end)


def _end(task: asyncio.Task[Any]) -> None:
    _given_up.discard(task)
    if not task.cancelled():
        task.exception()  # or asyncio would complain that nobody looked at it
