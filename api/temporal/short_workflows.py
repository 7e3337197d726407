"""Workflows of one command to a charger: the time they have to start, and waiting for their result."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

T = TypeVar("T")

STARTED_WITHIN = timedelta(seconds=4.5)


async def result_within(wait: timedelta, result: Coroutine[Any, Any, T]) -> T | None:
    """The workflow's result; None when `wait` ended first (it goes on). Raises as the SDK does."""
    # Not asyncio.timeout: the SDK raises its own error when it is cancelled.
    answer = asyncio.create_task(result)
    try:
        done, _ = await asyncio.wait({answer}, timeout=wait.total_seconds())
        return answer.result() if done else None
    finally:
        if answer.cancel():
            await asyncio.gather(answer, return_exceptions=True)
