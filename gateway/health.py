"""/health: what probes ask a gateway, as plain HTTP on the port of its chargers."""

import asyncio
from datetime import timedelta

from directory import Directory, UnreachableError

LIVE, READY = "/health/live", "/health/ready"
"""The same paths as the API's. Ready says whether a charger that connects now may be let in."""

DIRECTORY_WITHIN = timedelta(seconds=2)


async def directory_answers(directory: Directory) -> bool:
    """Whether it can be asked about chargers; Temporal may be away, and chargers are served all the same."""
    try:
        async with asyncio.timeout(DIRECTORY_WITHIN.total_seconds()):
            await directory.ping()
    except (UnreachableError, TimeoutError):
        return False
    return True
