"""Waiting for what another process does."""

import asyncio
import time
from collections.abc import Callable

WITHIN = 60.0
"""Seconds; far more than anything here needs."""


def until(what: str, condition: Callable[[], bool], within: float = WITHIN) -> None:
    """Return when the condition holds. Raises AssertionError after so many seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}")
        time.sleep(0.02)


async def until_async(what: str, condition: Callable[[], bool], within: float = WITHIN) -> None:
    """The same, letting others of this loop work."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}")
        await asyncio.sleep(0.02)
