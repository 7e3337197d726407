"""The span of a command's frame: from its turn to the charger's answer, or to why there is none.

It continues the trace of the activity; where there is none, tracing is off.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode

from berth.charger_link import InDoubt
from gateway.frames import Answer, BrokenAnswer, CallError, CallResult
from gateway.ocpp_schemas import Version
from workflows.messages import CancelStatus, PasswordStatus, ReserveStatus

OTHER = "other"
"""A status or code that OCPP does not have: chargers must not write into spans."""

_STATUSES = frozenset({*ReserveStatus, *CancelStatus, *PasswordStatus})
_ERROR_CODES = frozenset(
    {
        "FormatViolation",
        "FormationViolation",
        "GenericError",
        "InternalError",
        "MessageTypeNotSupported",
        "NotImplemented",
        "NotSupported",
        "OccurenceConstraintViolation",  # as OCPP 1.6 spells it
        "OccurrenceConstraintViolation",
        "PropertyConstraintViolation",
        "ProtocolError",
        "RpcFrameworkError",
        "SecurityError",
        "TypeConstraintViolation",
    }
)

_tracer = trace.get_tracer("berth.gateway")


@contextmanager
def frame_span(action: str, version: Version, charger_id: int) -> Iterator[Span]:
    """Make a span current while the frame is out; one that stays in doubt is an error."""
    outer = trace.get_current_span()
    if not outer.get_span_context().is_valid:
        yield outer
        return
    attributes: dict[str, str | int] = {
        "ocpp.action": action,
        "ocpp.version": version,
        "berth.charger_id": charger_id,
    }
    with _tracer.start_as_current_span(
        action,
        kind=SpanKind.CLIENT,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except InDoubt as error:
            span.set_attribute("berth.outcome", error.cause)
            span.set_status(StatusCode.ERROR)
            raise


def tell_answer(span: Span, answer: Answer) -> None:
    """Write into the span how the charger answered, in the words of the metrics."""
    match answer:
        case CallResult():
            span.set_attribute("berth.outcome", "answered")
            if "status" in answer.payload:  # an answer to SetVariables has one for each variable
                status = answer.payload["status"]
                span.set_attribute(
                    "ocpp.status", status if isinstance(status, str) and status in _STATUSES else OTHER
                )
        case CallError():
            span.set_attribute("berth.outcome", "call_error")
            span.set_attribute("ocpp.error_code", answer.code if answer.code in _ERROR_CODES else OTHER)
        case BrokenAnswer():
            span.set_attribute("berth.outcome", "broken_answer")
