"""An OTLP/HTTP endpoint that keeps the spans it is sent, and one that never answers."""

import gzip
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status


@dataclass(frozen=True)
class Span:
    """A span as the collector got it; ids in hex."""

    service: str
    instance: str | None
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: str
    attributes: dict[str, Any]
    failed: bool
    seconds: float


class Collector:
    """What arrived; `bodies` are the requests as they came, `spans` what they say."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.url = ""

    @property
    def spans(self) -> list[Span]:
        return [span for body in list(self.bodies) for span in _spans(body)]

    def trace(self, trace_id: str) -> list[Span]:
        return [span for span in self.spans if span.trace_id == trace_id]

    def path_to(self, leaf: Span) -> list[Span]:
        """The span's ancestors, the root first, and itself."""
        by_id = {span.span_id: span for span in self.trace(leaf.trace_id)}
        path = [leaf]
        while path[0].parent_id in by_id:
            path.insert(0, by_id[path[0].parent_id])
        return path


@contextmanager
def collector() -> Iterator[Collector]:
    """A collector on a free port."""
    kept = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            known = self.path == "/v1/traces" and self.headers["content-type"] == "application/x-protobuf"
            if known:
                kept.bodies.append(body)
            self.send_response(200 if known else 400)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kept.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield kept
        finally:
            server.shutdown()


@contextmanager
def hanging_collector() -> Iterator[str]:
    """The URL of an endpoint that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def _spans(body: bytes) -> Iterator[Span]:
    for of_process in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = _plain(of_process.resource.attributes)
        for scope in of_process.scope_spans:
            for span in scope.spans:
                yield Span(
                    resource["service.name"],
                    resource.get("service.instance.id"),
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    OtlpSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
                    _plain(span.attributes),
                    span.status.code == Status.STATUS_CODE_ERROR,
                    (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                )


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
