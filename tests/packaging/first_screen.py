"""What the README's first screen promises, in the environment of a user: `tokenbeat[langchain]`.

A real LangChain model answers once with a scripted usage, and three doors must show it: OTLP
metrics, OTLP spans and a heartbeat. Both ways are tried, the command line's and the code's.

Run by that environment's interpreter: ``python -I tests/packaging/first_screen.py user``, or
``user-distro`` where OpenTelemetry's distro is installed beside us.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

INPUT_TOKENS = 100
MODEL_CALL = """
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

usage = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}
answer = AIMessage("Hello.", usage_metadata=usage)
GenericFakeChatModel(messages=iter([answer])).invoke("Hello?")
"""
FROM_CODE = f"import tokenbeat\n\ntokenbeat.start()\n{MODEL_CALL}"


class Doors:
    """What arrived over HTTP, as it arrived."""

    def __init__(self) -> None:
        self.bodies: dict[str, list[bytes]] = defaultdict(list)
        doors = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                doors.bodies[self.path].append(body)
                answer = b""
                if self.path == "/api/v1/heartbeat":
                    revision = json.loads(body)["tokenbeat"]["revision"]
                    answer = json.dumps({"revision": revision, "nextHeartbeatMs": 30_000}).encode()
                self.send_response(200)
                kind = "application/json" if answer else "application/x-protobuf"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def metric_input_tokens(self) -> list[int]:
        """The last level of each series of the input counter."""
        levels: dict[str, int] = {}
        for body in self.bodies["/v1/metrics"]:
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        if metric.name == "gen_ai.client.inference.usage.input_tokens":
                            for point in metric.sum.data_points:
                                levels[str(point.attributes)] = point.as_int
        return list(levels.values())

    def span_input_tokens(self) -> list[int]:
        """The input tokens that stand on spans."""
        return [
            attribute.value.int_value
            for body in self.bodies["/v1/traces"]
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
            for attribute in span.attributes
            if attribute.key == "gen_ai.usage.input_tokens"
        ]

    def heartbeat_input_tokens(self) -> int:
        """The greatest cumulative input of the heartbeats, over all cells."""
        cells: dict[str, int] = {}
        for body in self.bodies["/api/v1/heartbeat"]:
            message: dict[str, Any] = json.loads(body)["tokenbeat"]
            every = [*message.get("cells", [])]
            every += [cell for cut in message.get("cuts", []) for cell in cut["cells"]]
            for cell in every:
                name = str([cell.get(key) for key in ("requestModel", "responseModel", "caller")])
                cells[name] = max(cells.get(name, 0), cell.get("tokens", {}).get("input", 0))
        return sum(cells.values())


def run(program: str, *before: str) -> Doors:
    """Run a program as a user would, with nothing of this process's environment."""
    doors = Doors()
    with tempfile.TemporaryDirectory() as folder:
        app = Path(folder) / "app.py"
        app.write_text(program)
        here = Path(sys.executable).parent
        told = subprocess.run(
            [*before, str(here / "python"), str(app)],
            cwd=folder,
            env={
                "PATH": f"{here}{os.pathsep}{os.environ['PATH']}",
                "HOME": folder,
                "OTEL_METRICS_EXPORTER": "otlp,tokenbeat",
                "OTEL_TRACES_EXPORTER": "otlp",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_EXPORTER_OTLP_ENDPOINT": doors.url,
                "OTEL_SERVICE_NAME": "first-screen",
                "TOKENBEAT_CONTROL_PLANE_URL": doors.url,
                "TOKENBEAT_API_KEY": "a-key-for-this-test-only",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    doors.close()
    assert told.returncode == 0, told.stderr
    assert "Traceback" not in told.stderr, told.stderr
    return doors


def check(way: str, doors: Doors) -> int:
    """Compare the doors with what the model said; the number of those that differ."""
    shown = {
        "metrics": doors.metric_input_tokens(),
        "spans": doors.span_input_tokens(),
        "heartbeats": [doors.heartbeat_input_tokens()],
    }
    wrong = {door: numbers for door, numbers in shown.items() if numbers != [INPUT_TOKENS]}
    print(f"{'FAILED' if wrong else 'ok    '} {way}: {shown}")
    return len(wrong)


def main(lock: str) -> int:
    """Try both ways."""
    has_distro = importlib.util.find_spec("opentelemetry.distro") is not None
    assert has_distro == (lock == "user-distro"), "this is not the environment that was asked for"
    assert importlib.util.find_spec("fastapi") is None, "this environment has more than a user's"
    instrument = str(Path(sys.executable).parent / "opentelemetry-instrument")
    failed = check("opentelemetry-instrument", run(MODEL_CALL, instrument))
    failed += check("tokenbeat.start()", run(FROM_CODE))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
