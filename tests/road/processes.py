"""Agent programs as processes of their own, with an OTLP receiver and a relay to see them by."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.road.doors import OtlpReceiver, Reading, merged, replayed, reported, usage_of
from tests.road.relay import Relay
from tests.road.stand import new_service, register

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from tokenbeat.control_plane.live.background import RunningPlane
    from tokenbeat.testing import ModelServer

PROGRAM: Final = Path(__file__).with_name("programs") / "asking.py"
ONE_LINE: Final = (str(Path(sys.executable).with_name("opentelemetry-instrument")),)
_PATIENCE_S: Final = 90


class OtlpSink:
    """Receives OTLP over HTTP.

    Attributes:
        received: The counters.
        paths: Where requests went.
    """

    def __init__(self) -> None:
        self.received = OtlpReceiver()
        self.paths: list[str] = []
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                sink.paths.append(self.path)
                if self.path == "/v1/metrics":
                    sink.received.take(body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base's
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Listens no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass
class Workplace:
    """What an agent's process talks to, and its folder."""

    folder: Path
    service: str
    relay: Relay
    sink: OtlpSink
    plane: RunningPlane
    models: ModelServer
    interval_ms: int = 100

    @property
    def modules(self) -> Path:
        """Where the program notes what it has imported."""
        return self.folder / "modules"

    @property
    def journals(self) -> list[Path]:
        """The files in the spool."""
        return [path for path in (self.folder / "spool").rglob("*") if path.is_file()]

    def variables(self) -> dict[str, str]:
        """The whole environment of the process: what the README's lines set, and nothing more."""
        here = Path(sys.executable).parent
        return {
            "PATH": f"{here}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder),
            "OTEL_SERVICE_NAME": self.service,
            "OTEL_METRICS_EXPORTER": "otlp,tokenbeat",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.sink.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "TOKENBEAT_CONTROL_PLANE_URL": self.relay.url,
            "TOKENBEAT_API_KEY_FILE": str(self.folder / "agent.key"),
            "TOKENBEAT_HEARTBEAT_INTERVAL": str(self.interval_ms),
            "TOKENBEAT_SPOOL_DIR": str(self.folder / "spool"),
            **self.models.environ(),
        }

    @contextmanager
    def running(
        self, *arguments: str, before: Iterable[str] = (), **variables: str
    ) -> Generator[subprocess.Popen[str]]:
        """Starts the program; it is gone when the block ends."""
        command = [*before, sys.executable, str(PROGRAM), *arguments]
        with subprocess.Popen(
            [*command, f"--modules={self.modules}"], cwd=self.folder,
            env={**self.variables(), **variables}, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                process.kill()

    def run(self, *arguments: str, before: Iterable[str] = (), **variables: str) -> str:
        """Runs the program to its end, which must be a good one; what it printed."""
        with self.running(*arguments, before=before, **variables) as process:
            printed, complained = process.communicate(timeout=_PATIENCE_S)
        assert process.returncode == 0, complained
        assert "Traceback" not in complained, complained
        return printed

    def doors(self) -> dict[str, Reading]:
        """What each door tells of all processes of the service."""
        journals = Reading()
        for journal in self.journals:
            journals.counts.update(replayed(journal).counts)
        return {
            "journals": journals,
            "counters": self.sink.received.reading(),
            "heartbeats": merged(self.relay.bodies),
            "control plane": reported(usage_of(self.plane.address, self.service)),
        }


@contextmanager
def workplace(folder: Path, *, plane: RunningPlane, models: ModelServer) -> Generator[Workplace]:
    """A workplace of a service of its own, with an empty bill."""
    models.bill.clear()
    with ExitStack() as stack:
        relay = stack.enter_context(Relay(plane.address))
        sink = OtlpSink()
        stack.callback(sink.close)
        service = new_service()
        register(plane, service, key_file=folder / "agent.key")
        yield Workplace(folder, service, relay, sink, plane, models)
