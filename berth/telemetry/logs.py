"""How log lines look: for people in a terminal, one JSON object a line elsewhere."""

import logging
import os
import sys
from collections.abc import Callable
from typing import Any, Literal

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from berth.settings import Settings
from berth.telemetry.tracing import is_on

_QUIET = (
    *("httpx", "httpcore", "websockets", "asyncio", "uvicorn", "uvicorn.access", "uvicorn.error"),
    *("alembic", "sqlalchemy", "temporalio.worker"),
)
"""Libraries that say at INFO what Berth says itself, or nobody needs."""


def set_up_logs(settings: Settings, process: str) -> None:
    """Send everything, the libraries' lines too, to stderr in the format of BERTH_LOG_FORMAT.

    `process` (api, gateway, …) stands in every JSON line; with tracing on, each line that belongs to a trace
    names it. What the SDK's own runtime writes is set up in `berth.temporal.runtime`.
    """
    level = logging.getLevelName(settings.log_level.upper())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
    ]
    if is_on():
        shared.append(_trace_namer())
    rendering = _rendering(log_format(settings), process)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Our own lines go straight out: through `logging` each costs five times as much.
        processors=[*shared, *rendering],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def log_format(settings: Settings) -> Literal["console", "json"]:
    """How lines look in this process."""
    if settings.log_format == "auto":
        return "console" if sys.stderr.isatty() else "json"
    return settings.log_format


def _trace_namer() -> Processor:
    from opentelemetry import trace

    def name_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            event["trace_id"] = trace.format_trace_id(context.trace_id)
        return event

    return name_trace


def _rendering(form: Literal["console", "json"], process: str) -> list[Processor]:
    if form == "console":
        return [
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty() or "FORCE_COLOR" in os.environ,
                pad_event_to=0,
                pad_level=False,
                sort_keys=False,
                # The default shows local variables, and with them tokens.
                exception_formatter=structlog.dev.plain_traceback,
            ),
        ]

    def name_process(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        return {"process": process, **event}

    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        name_process,
        structlog.processors.JSONRenderer(_in_json),
    ]


def _in_json(event: EventDict, default: Callable[[Any], Any]) -> str:
    return orjson.dumps(event, default=default).decode()
