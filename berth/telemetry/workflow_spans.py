"""Spans of workflows and of the calls to them, each in the trace of the request that it serves.

Imported only when tracing is on (berth/telemetry/tracing.py). The calls are traced by the SDK's own
interceptor. What workflows do is traced here: by the SDK's rule all of it belongs to the request that started
the workflow, a cancel two days later too, and the trace of that cancel would end before its frame.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn

from opentelemetry import context as tracing_context
from opentelemetry.trace import SpanKind, Tracer, set_span_in_context
from temporalio import client, worker, workflow
from temporalio.api.common.v1 import Payload
from temporalio.contrib.opentelemetry import TracingInterceptor


class ReservationTracing(client.Interceptor, worker.Interceptor):
    """For the clients of API and worker: their calls to workflows, and the workflows.

    To run the worker's own activities makes no spans: they look into the database, and wait for a charger
    in thousands of attempts.
    """

    def __init__(self, tracer: Tracer | None = None) -> None:
        self._calls = TracingInterceptor(tracer)

    def intercept_client(self, next: client.OutboundInterceptor) -> client.OutboundInterceptor:
        return self._calls.intercept_client(next)

    def workflow_interceptor_class(
        self, input: worker.WorkflowInterceptorClassInput
    ) -> type[worker.WorkflowInboundInterceptor]:
        class OfThese(_Inbound):
            calls = self._calls

        return OfThese


class _LatestRequest:
    """The trace of the latest request that reached a workflow; what the workflow does belongs to it."""

    def __init__(self, calls: TracingInterceptor) -> None:
        self._calls = calls
        self._followed: Payload | None = None

    def follow(self, headers: Mapping[str, Payload]) -> None:
        """Go on in the trace of this request, if it has one."""
        self._followed = headers.get(self._calls.header_key, self._followed)
        self.name_in_logs()

    def name_in_logs(self) -> None:
        """Have the log lines of the current task name the trace."""
        # Nothing detaches it: the task has a context of its own, which ends with it.
        tracing_context.attach(self._context())

    def span(self, name: str, kind: SpanKind, headers: Mapping[str, Payload]) -> Mapping[str, Payload]:
        """Make a span, except in a replay; the headers with it, for who continues the trace.

        It has no duration, so that none is open while a reservation sleeps.
        """
        if self._header() is None or workflow.unsafe.is_replaying():
            return headers
        info, now = workflow.info(), workflow.time_ns()
        parent = self._context()
        attributes = {"temporalWorkflowID": info.workflow_id, "temporalRunID": info.run_id}
        span = self._calls.tracer.start_span(name, parent, kind=kind, attributes=attributes, start_time=now)
        span.end(end_time=now)
        carrier: dict[str, str] = {}
        self._calls.text_map_propagator.inject(carrier, set_span_in_context(span, parent))
        (header,) = self._calls.payload_converter.to_payloads([carrier])
        return {**headers, self._calls.header_key: header}

    def carried_on(self, headers: Mapping[str, Payload]) -> Mapping[str, Payload]:
        """The headers for the run that continues this one."""
        header = self._header()
        return headers if header is None else {**headers, self._calls.header_key: header}

    def _header(self) -> Payload | None:
        if self._followed is not None:
            return self._followed
        return workflow.info().headers.get(self._calls.header_key)

    def _context(self) -> tracing_context.Context:
        header = self._header()
        if header is None:
            return tracing_context.Context()
        (carrier,) = self._calls.payload_converter.from_payloads([header])
        return self._calls.text_map_propagator.extract(carrier, tracing_context.Context())


class _Inbound(worker.WorkflowInboundInterceptor):
    """What reaches a workflow. Queries make no span: their caller's tells all there is."""

    calls: ClassVar[TracingInterceptor]

    def init(self, outbound: worker.WorkflowOutboundInterceptor) -> None:
        self._latest = _LatestRequest(self.calls)
        super().init(_Outbound(outbound, self._latest))

    async def execute_workflow(self, input: worker.ExecuteWorkflowInput) -> Any:
        # Not followed: a signal or an update that came before this first step is later than the start.
        self._latest.name_in_logs()
        self._latest.span(f"RunWorkflow:{workflow.info().workflow_type}", SpanKind.SERVER, {})
        return await super().execute_workflow(input)

    async def handle_signal(self, input: worker.HandleSignalInput) -> None:
        self._latest.follow(input.headers)
        self._latest.span(f"HandleSignal:{input.signal}", SpanKind.SERVER, {})
        await super().handle_signal(input)

    async def handle_update_handler(self, input: worker.HandleUpdateInput) -> Any:
        self._latest.follow(input.headers)
        self._latest.span(f"HandleUpdate:{input.update}", SpanKind.SERVER, {})
        return await super().handle_update_handler(input)


_OF_THE_DATABASE = frozenset({"LookAtCharger", "Unsubscribe"})


class _Outbound(worker.WorkflowOutboundInterceptor):
    """What a workflow has done elsewhere. Questions to the database make no span."""

    def __init__(self, next: worker.WorkflowOutboundInterceptor, latest: _LatestRequest) -> None:
        super().__init__(next)
        self._latest = latest

    def start_activity(self, input: worker.StartActivityInput) -> workflow.ActivityHandle[Any]:
        if input.activity not in _OF_THE_DATABASE:
            name = f"StartActivity:{input.activity}"
            input.headers = self._latest.span(name, SpanKind.CLIENT, input.headers)
        return super().start_activity(input)

    def continue_as_new(self, input: worker.ContinueAsNewInput) -> NoReturn:
        input.headers = self._latest.carried_on(input.headers)
        super().continue_as_new(input)
