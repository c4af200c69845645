"""An OTLP receiver that decodes what arrives and keeps the last level of every token counter."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from typing_extensions import Self

COUNTERS: Final = frozenset(
    {
        "gen_ai.client.inference.usage.input_tokens",
        "gen_ai.client.inference.usage.output_tokens",
        "tokenbeat.usage.unclassified_tokens",
    }
)
"""The counters that make up a total; the others count parts of these."""

Series = tuple[str, tuple[tuple[str, str], ...]]


class OtlpSink:
    """Receives metrics and traces over HTTP on a free port of loopback.

    Attributes:
        levels: The greatest value of each series of the `COUNTERS`, as they came.
        spans: How many spans came.
    """

    def __init__(self) -> None:
        self.levels: dict[Series, int] = {}
        self.spans = 0
        self._lock = threading.Lock()
        sink = self

        class Receiver(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                sink.take(self.path, body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Says nothing: the demo's terminal is not a server's log."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """The endpoint for ``OTEL_EXPORTER_OTLP_ENDPOINT``."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def take(self, path: str, body: bytes) -> None:
        """Decodes one request and keeps what matters of it."""
        if path.endswith("/metrics"):
            request = ExportMetricsServiceRequest.FromString(body)
            with self._lock:
                for series, value in _points(request):
                    self.levels[series] = max(self.levels.get(series, 0), value)
        elif path.endswith("/traces"):
            traces = ExportTraceServiceRequest.FromString(body)
            with self._lock:
                self.spans += sum(
                    len(scope.spans)
                    for resource in traces.resource_spans
                    for scope in resource.scope_spans
                )

    def tokens(self) -> Iterator[tuple[tuple[str, str], int]]:
        """Each series' model, caller and level."""
        with self._lock:
            levels = dict(self.levels)
        for (_, attributes), value in levels.items():
            named = dict(attributes)
            model = named.get("gen_ai.response.model", "")
            yield (model, named.get("tokenbeat.caller", "")), value

    def __enter__(self) -> Self:
        """Starts."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops and frees the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _points(request: ExportMetricsServiceRequest) -> Iterator[tuple[Series, int]]:
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if metric.name in COUNTERS:
                    for point in metric.sum.data_points:
                        yield (metric.name, _attributes(point.attributes)), point.as_int


def _attributes(attributes: Iterable[KeyValue]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((a.key, a.value.string_value) for a in attributes))
