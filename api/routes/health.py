"""/health: whether this process lives, and whether it can do its work."""

import asyncio
from datetime import timedelta

from fastapi import APIRouter, Response

from api.answers import written
from api.documentation import public_responses
from api.errors import Unavailable
from api.schemas.health import Health
from api.services import Here

router = APIRouter(prefix="/health", tags=["health"])

TEMPORAL_WITHIN = timedelta(seconds=2)
DATABASE_WITHIN = timedelta(seconds=2)


@router.get(
    "/live",
    operation_id="getLiveness",
    summary="Whether the process lives",
    response_model=Health,
    responses=public_responses(),
)
async def live() -> Response:
    """Says nothing of Temporal or the database: a restart would not mend them."""
    return written(Health(status="ok"))


@router.get(
    "/ready",
    operation_id="getReadiness",
    summary="Whether requests can be served",
    response_model=Health,
    responses=public_responses(503),
)
async def ready(here: Here) -> Response:
    """Asks Temporal and the database."""
    temporal, database = await asyncio.gather(
        here.reservations.is_reachable(TEMPORAL_WITHIN), here.database.is_reachable(DATABASE_WITHIN)
    )
    silent = [name for name, answers in (("Temporal", temporal), ("the database", database)) if not answers]
    if silent:
        raise Unavailable(f"not ready: no answer from {' and '.join(silent)}")
    return written(Health(status="ok"))
