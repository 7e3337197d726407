"""What the span of a frame tells of its answer, and that nothing a charger makes up gets into it."""

import contextlib
from collections.abc import Callable
from datetime import timedelta

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from berth.charger_link import InDoubt
from gateway import frame_span
from gateway.frames import Answer, BrokenAnswer, CallError, CallResult

Traced = Callable[[Answer | InDoubt], ReadableSpan]


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Traced:
    """Has a ReserveNow end so; its span."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("test")
    monkeypatch.setattr(frame_span, "_tracer", tracer)

    def span_of(end: Answer | InDoubt) -> ReadableSpan:
        with (
            contextlib.suppress(InDoubt),
            tracer.start_as_current_span("RunActivity:ReserveNow"),
            frame_span.frame_span("ReserveNow", "1.6", 7) as span,
        ):
            if isinstance(end, InDoubt):
                raise end
            frame_span.tell_answer(span, end)
        return kept.get_finished_spans()[0]

    return span_of


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (CallResult("1", {"status": "Occupied"}), {"berth.outcome": "answered", "ocpp.status": "Occupied"}),
        (CallResult("1", {"status": "CARD-1"}), {"berth.outcome": "answered", "ocpp.status": "other"}),
        (CallResult("1", {"status": ["x"]}), {"berth.outcome": "answered", "ocpp.status": "other"}),
        (
            CallResult("1", {"setVariableResult": [{"attributeStatus": "Accepted"}]}),
            {"berth.outcome": "answered"},
        ),
        (
            CallError("1", "NotSupported"),
            {"berth.outcome": "call_error", "ocpp.error_code": "NotSupported"},
        ),
        (CallError("1", "CARD-1"), {"berth.outcome": "call_error", "ocpp.error_code": "other"}),
        (BrokenAnswer("1", "CARD-1"), {"berth.outcome": "broken_answer"}),
    ],
)
def test_an_answer_is_told_in_words_of_ocpp(traced: Traced, answer: Answer, told: dict[str, str]) -> None:
    span = traced(answer)
    of_call = {"ocpp.action": "ReserveNow", "ocpp.version": "1.6", "berth.charger_id": 7}
    assert dict(span.attributes or {}) == of_call | told
    assert span.status.status_code is StatusCode.UNSET


def test_a_frame_whose_socket_ends_is_an_error(traced: Traced) -> None:
    span = traced(InDoubt("socket_closed", timedelta(seconds=1)))
    assert (span.attributes or {})["berth.outcome"] == "socket_closed"
    assert span.status.status_code is StatusCode.ERROR
    assert not span.events


def test_outside_a_trace_no_span_is_made() -> None:
    with frame_span.frame_span("ReserveNow", "1.6", 7) as span:
        assert not span.is_recording()
