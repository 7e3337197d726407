"""The part of Temporal's SDK that is no Python: where its log lines and its metrics go."""

from temporalio.runtime import (
    LoggingConfig,
    LoggingFormat,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

from berth.settings import Settings
from berth.telemetry.logs import log_format


def set_up_sdk(settings: Settings, metrics: PrometheusConfig | None) -> None:
    """Have it write warnings in the format of BERTH_LOG_FORMAT, and serve metrics, if at all, as told.

    Call it before any client of Temporal is made: one made earlier keeps the SDK's own ways.
    """
    # Not forwarded to Python's logging: a line in the moment of the process's end aborts the process.
    logging = LoggingConfig(
        TelemetryFilter(core_level="WARN", other_level="ERROR"),
        format=LoggingFormat.JSON if log_format(settings) == "json" else None,
    )
    Runtime.set_default(
        Runtime(telemetry=TelemetryConfig(logging=logging, metrics=metrics, attach_service_name=False))
    )
