"""What Temporal's failures mean to a caller of the API."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

import structlog
from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.client import RPCTimeoutOrCancelledError
from temporalio.service import RPCError, RPCStatusCode

from api.errors import Unavailable

log = structlog.get_logger(__name__)

# Core has repeated these for a while before they come to us.
_PASSING = frozenset(
    {
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.RESOURCE_EXHAUSTED,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.ABORTED,
        RPCStatusCode.FAILED_PRECONDITION,  # "WorkflowNotReady": its workflow tasks fail again and again
        RPCStatusCode.INTERNAL,
        RPCStatusCode.UNKNOWN,
    }
)


def is_missing(error: RPCError) -> bool:
    """Whether the workflow, its open run or the update is not there; a missing namespace is our fault."""
    if error.status != RPCStatusCode.NOT_FOUND:
        return False
    return not any(detail.Is(NamespaceNotFoundFailure.DESCRIPTOR) for detail in error.grpc_status.details)


@asynccontextmanager
async def bounded(within: timedelta, sentence: str) -> AsyncIterator[None]:
    """At most this long; whatever passing failure comes is Unavailable, with this sentence."""
    try:
        async with asyncio.timeout(within.total_seconds()):
            with mapped(sentence, sentence):
                yield
    except TimeoutError:
        raise Unavailable(sentence) from None


@contextmanager
def mapped(unconnected: str, unanswered: str) -> Iterator[None]:
    """Unavailable for what passes; the rest is a fault and stays what it is."""
    try:
        yield
    except RPCTimeoutOrCancelledError as error:
        raise Unavailable(unanswered) from error
    except RPCError as error:
        if error.status not in _PASSING:
            raise
        log.warning("temporal_unavailable", status=error.status.name, message=error.message)
        raise Unavailable(unanswered) from error
    except RuntimeError as error:  # the SDK's only word for "no connection"
        if not str(error).startswith("Failed client connect"):
            raise
        log.warning("temporal_unreachable")
        raise Unavailable(unconnected) from error
