"""How log lines look: for people in a terminal, one JSON object a line elsewhere."""

import logging
import os
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from settings import Settings

_QUIET = (
    *("httpx", "httpcore", "websockets", "asyncio", "uvicorn", "uvicorn.access", "uvicorn.error"),
    *("alembic", "sqlalchemy", "temporalio.worker"),
)
"""Libraries that say at INFO what Berth says itself, or nobody needs."""


def set_up_logs(settings: Settings, process: str) -> None:
    """Send everything, the libraries' lines too, to stderr in the format of BERTH_LOG_FORMAT.

    `process` (api, gateway, …) stands in every JSON line.
    """
    level = logging.getLevelName(settings.log_level.upper())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendering(_format(settings.log_format), process),
            ],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _format(wanted: Literal["auto", "console", "json"]) -> Literal["console", "json"]:
    if wanted == "auto":
        return "console" if sys.stderr.isatty() else "json"
    return wanted


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
        structlog.processors.JSONRenderer(),
    ]
