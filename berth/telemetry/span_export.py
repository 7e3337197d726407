"""What leaves a process of its spans: no word of a request, and no noise about a collector that is away."""

import logging
import time
from collections.abc import Sequence

import structlog
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Status

log = structlog.get_logger(__name__)

_SAY_EVERY = 60.0
"""Seconds between two lines about a collector that does not take spans."""

_UNSAID = frozenset({"url.path", "url.query", "http.request.method_original"})
"""What callers write, a driver's token perhaps; the template of the route stays."""


class SpanExport(SpanExporter):
    """Exports through another exporter, less what may quote a request.

    That is the texts and tracebacks of exceptions (the type stays), the reasons of failed spans, paths and
    query strings.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lost = 0
        self._say_at = 0.0
        # Each failed attempt is a line of its own there; ours counts them.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send the spans; those that the collector does not take are lost."""
        result = self._exporter.export([_discreet(span) for span in spans])
        if result is not SpanExportResult.SUCCESS:
            self._lost += len(spans)
            if time.monotonic() >= self._say_at:
                log.warning("traces_not_exported", spans_lost=self._lost)
                self._lost, self._say_at = 0, time.monotonic() + _SAY_EVERY
        return result

    def shutdown(self) -> None:
        """Send no more."""
        self._exporter.shutdown()


def _discreet(span: ReadableSpan) -> ReadableSpan:
    attributes = span.attributes or {}
    if not span.events and span.status.description is None and _UNSAID.isdisjoint(attributes):
        return span
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={key: value for key, value in attributes.items() if key not in _UNSAID},
        events=[_discreet_event(event) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _discreet_event(event: Event) -> Event:
    kept = {key: value for key, value in (event.attributes or {}).items() if key == "exception.type"}
    return Event(event.name, kept, event.timestamp)
