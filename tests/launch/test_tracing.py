"""When traces are sent, and what of a span leaves the process."""

from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from structlog.testing import capture_logs

from berth.telemetry.span_export import SpanExport
from berth.telemetry.tracing import ENDPOINTS, is_on, of_commands, of_reservations
from tests.launch.commands import berth

ENDPOINT = "http://127.0.0.1:4318"


def test_it_is_off_until_an_endpoint_is_named() -> None:
    assert not is_on()
    assert (of_reservations(), of_commands()) == ([], [])


@pytest.mark.parametrize("name", ENDPOINTS)
def test_either_endpoint_switches_it_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, ENDPOINT)
    assert is_on()


@pytest.mark.parametrize(
    ("name", "value"), [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none"), (ENDPOINTS[0], "")]
)
def test_opentelemetrys_own_switches_keep_it_off(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value:
        monkeypatch.setenv(ENDPOINTS[1], ENDPOINT)
    monkeypatch.setenv(name, value)
    assert not is_on()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "must be like http://127.0.0.1:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "Berth sends traces as 'http/protobuf' only"),
    ],
)
def test_what_cannot_be_stops_a_process_with_a_sentence(
    name: str, value: str, sentence: str, tmp_path: Path
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'berth.db'}"
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT, "BERTH_DATABASE_URL": url, name: value}
    ended = berth("worker", **environment)
    assert ended.returncode == 2
    assert f"{name}: {sentence}" in ended.stderr
    assert value in ended.stderr
    assert "Traceback" not in ended.stderr


def test_no_word_of_a_request_leaves_the_process() -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(SpanExport(kept)))
    tracer = provider.get_tracer("test")
    attributes = {"url.path": "/api/CARD-1", "url.query": "idTag=CARD-1", "http.route": "/api/{it}"}
    with (
        pytest.raises(ValueError, match="CARD-1"),
        tracer.start_as_current_span("refused", attributes=attributes),
    ):
        raise ValueError("idTag: CARD-1 is no card")
    with tracer.start_as_current_span("fine"):
        pass

    refused, fine = kept.get_finished_spans()
    assert "CARD-1" not in refused.to_json()
    assert refused.attributes == {"http.route": "/api/{it}"}
    assert [event.attributes for event in refused.events] == [{"exception.type": "ValueError"}]
    assert refused.status.status_code is StatusCode.ERROR
    assert (fine.name, fine.status.status_code) == ("fine", StatusCode.UNSET)


def test_a_collector_that_is_away_is_told_of_once_a_minute(free_port: int) -> None:
    away = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{free_port}/v1/traces", timeout=0.2)
    export = SpanExport(away)
    provider = TracerProvider(shutdown_on_exit=False)
    kept = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    provider.get_tracer("test").start_span("lost").end()
    with capture_logs() as lines:
        for _ in range(3):
            assert export.export(kept.get_finished_spans()) is SpanExportResult.FAILURE
    assert lines == [{"event": "traces_not_exported", "spans_lost": 1, "log_level": "warning"}]
    export.shutdown()
