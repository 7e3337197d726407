"""Traces for an OpenTelemetry collector, switched on by OpenTelemetry's own variables.

Whatever of OpenTelemetry or its exporter is needed is imported only then.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from berth.errors import StartError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from temporalio.contrib.opentelemetry import TracingInterceptor

    from berth.telemetry.workflow_spans import ReservationTracing

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Where the collector is; the first counts for traces when both are set."""

_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_LAST_SPANS = 3.0
"""Seconds a process that stops has for the spans it has not sent."""


def is_on() -> bool:
    """Whether the environment names a collector, and does not switch OpenTelemetry or its traces off."""
    return (
        _first_of(ENDPOINTS) is not None
        and os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"
        and os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() != "none"
    )


@contextmanager
def tracing(process: str, instance: str | None = None) -> Iterator[None]:
    """Send the spans that this process makes, if tracing is on; at the end the last ones, for 3 s.

    `process` (api, gateway, …) and `instance` name the service unless the environment does.
    Raises StartError for an endpoint or a protocol that cannot be.
    """
    if not is_on():
        yield
        return
    provider = _start(process, instance)
    try:
        yield
    finally:
        # In a thread that may be left behind: a collector that hangs would hold us for half a minute.
        ending = threading.Thread(target=provider.shutdown, daemon=True)
        ending.start()
        ending.join(_LAST_SPANS)


def of_reservations() -> list["ReservationTracing"]:
    """For the clients of API and worker: their calls to workflows, and the workflows; [] when off."""
    if not is_on():
        return []
    from berth.telemetry.workflow_spans import ReservationTracing

    return [ReservationTracing()]


def of_commands() -> list["TracingInterceptor"]:
    """For the gateway's worker: the commands to chargers; [] when off."""
    if not is_on():
        return []
    from temporalio.contrib.opentelemetry import TracingInterceptor

    return [TracingInterceptor()]


def _start(process: str, instance: str | None) -> "TracerProvider":
    _require_understood()
    from opentelemetry import propagate, trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    from berth.telemetry.span_export import SpanExport

    own = {"service.name": f"berth-{process}"}
    if instance is not None:
        own["service.instance.id"] = instance
    resource = Resource.create({**own, **OTELResourceDetector().detect().attributes})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(SpanExport(OTLPSpanExporter())))
    trace.set_tracer_provider(provider)
    if "OTEL_PROPAGATORS" not in os.environ:
        # Baggage is whatever a caller likes, and would be kept unencrypted in Temporal.
        propagate.set_global_textmap(TraceContextTextMapPropagator())
    return provider


def _require_understood() -> None:
    endpoint = _first_of(ENDPOINTS)
    if endpoint is not None and not os.environ[endpoint].startswith(("http://", "https://")):
        raise StartError(f"{endpoint}: must be like http://127.0.0.1:4318, got {os.environ[endpoint]!r}")
    protocol = _first_of(_PROTOCOLS)
    if protocol is not None and os.environ[protocol].strip() != "http/protobuf":
        raise StartError(
            f"{protocol}: Berth sends traces as 'http/protobuf' only, got {os.environ[protocol]!r}; "
            "collectors take that on port 4318"
        )


def _first_of(names: tuple[str, ...]) -> str | None:
    return next((name for name in names if os.environ.get(name)), None)
