"""Spans of workflows and of the calls to them, each in the trace of the request that it serves.

Imported only when tracing is on (launch/tracing.py). The SDK's interceptor does the work: its spans of a
workflow have no duration, so none is open while a reservation sleeps, and a replay makes none.
"""

from collections.abc import Mapping
from typing import Any

from opentelemetry import context as tracing_context
from temporalio.api.common.v1 import Payload
from temporalio.contrib.opentelemetry import TracingInterceptor, TracingWorkflowInboundInterceptor
from temporalio.worker import (
    ActivityInboundInterceptor,
    HandleQueryInput,
    HandleSignalInput,
    HandleUpdateInput,
    WorkflowInterceptorClassInput,
)


class ReservationTracing(TracingInterceptor):
    """The SDK's tracing, less the worker's own activities.

    Those look into the directory, and wait for a charger in thousands of attempts.
    """

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return next

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[TracingWorkflowInboundInterceptor]:
        super().workflow_interceptor_class(input)
        return _LatestRequest


class _LatestRequest(TracingWorkflowInboundInterceptor):
    """What a workflow does belongs to the trace of the latest request that reached it.

    By the SDK's own rule all of it belongs to the request that started the workflow, a cancel two days later
    too, and the trace of that cancel would end before its frame.
    """

    async def handle_signal(self, input: HandleSignalInput) -> None:
        self._follow(input.headers)
        await super().handle_signal(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        self._follow(input.headers)
        return await super().handle_update_handler(input)

    async def handle_query(self, input: HandleQueryInput) -> Any:
        return await self.next.handle_query(input)  # its caller's span tells all there is

    def _follow(self, headers: Mapping[str, Payload]) -> None:
        if self.header_key in headers:
            (carrier,) = self.payload_converter.from_payloads([headers[self.header_key]])
            self._workflow_context_carrier = carrier

    def _completed_span(self, span_name: str, **options: Any) -> None:
        # `run` has kept the context of its start. Nor does a span need a link to its own parent.
        options.pop("link_context_carrier", None)
        latest = self.text_map_propagator.extract(self._load_workflow_context_carrier() or {})
        token = tracing_context.attach(latest)
        try:
            super()._completed_span(span_name, **options)
        finally:
            tracing_context.detach(token)
