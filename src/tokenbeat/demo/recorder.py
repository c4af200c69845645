"""Stands between the agent and the control plane and keeps every heartbeat's raw body."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import urllib3

if TYPE_CHECKING:
    from typing_extensions import Self

_TIMEOUT_S = 10.0


class Recorder:
    """A relay on a free port of loopback.

    Args:
        target: The control plane's address.

    Attributes:
        bodies: The bodies of all heartbeats that arrived, whatever became of them.
    """

    def __init__(self, target: str) -> None:
        self.bodies: list[bytes] = []
        self._target = target
        self._pool = urllib3.PoolManager()
        recorder = self

        class Relay(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                recorder.bodies.append(body)
                self._answer(recorder.forward(self.path, body, dict(self.headers.items())))

            def _answer(self, answer: urllib3.BaseHTTPResponse) -> None:
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers.get("Content-Type", "text/plain"))
                self.send_header("Content-Length", str(len(answer.data)))
                self.end_headers()
                self.wfile.write(answer.data)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Says nothing: the demo's terminal is not a server's log."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Relay)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where the agent sends its heartbeats."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def forward(self, path: str, body: bytes, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        """Passes a heartbeat on, with its key and its type."""
        names = {"authorization", "content-type"}
        passed = {name: value for name, value in headers.items() if name.lower() in names}
        return self._pool.request(
            "POST", self._target + path, body=body, headers=passed, retries=False,
            timeout=_TIMEOUT_S,
        )  # fmt: skip

    def __enter__(self) -> Self:
        """Starts."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops and frees the port."""
        self._server.shutdown()
        self._server.server_close()
        self._pool.clear()
        self._thread.join()
