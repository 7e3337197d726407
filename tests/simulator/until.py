"""Waiting for something without a fixed sleep."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], within: float = 60) -> None:
    """Poll until the condition holds. Fails after so many seconds."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)
