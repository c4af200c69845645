"""A relay between sender and control plane, over real sockets, that plays faults by a script."""

from __future__ import annotations

import socket
import struct
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Literal

import urllib3

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from typing_extensions import Self

Break = Literal["before", "after"]
_HOP = ("connection", "transfer-encoding", "content-length", "date", "server")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to one request instead of being passed on."""

    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    resets: Break | None = None
    """The connection is reset: before the control plane hears of the request, or after it has
    committed and answered."""


class Relay:
    """Stands at an address of its own and passes heartbeats on.

    Attributes:
        target: The control plane's address.
        bodies: Every heartbeat that came, whatever became of it.
        statuses: What was answered to each; 0 where the connection was reset.
        fault: Says for each request which fault it meets, or None to let it pass.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.bodies: list[bytes] = []
        self.statuses: list[int] = []
        self.fault: Callable[[bytes], Fault | None] = lambda _: None
        self._pool = urllib3.PoolManager()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        """What the sender believes to be the control plane."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listens; after `stop` at the same port as before."""
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                relay.bodies.append(body)
                relay.answer(self, body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base's
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self._thread.start()

    def stop(self) -> None:
        """Listens no more: whoever connects is refused."""
        server, thread = self._server, self._thread
        self._server = self._thread = None
        if server is not None and thread is not None:
            server.shutdown()
            server.server_close()
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._pool.clear()

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        """Answers one request, as the script says."""
        fault = self.fault(body)
        if fault is None or fault.resets == "after":
            status, headers, content = self._forward(handler, body)
        else:
            status, headers, content = fault.status, dict(fault.headers), fault.body
        if fault is not None and fault.resets is not None:
            self.statuses.append(0)
            _reset(handler.connection)
            handler.close_connection = True
            return
        self.statuses.append(status)
        handler.send_response(status)
        for name, value in headers.items():
            if name.lower() not in _HOP:
                handler.send_header(name, value)
        if status != 204:
            handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _forward(
        self, handler: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        passed = {
            name: value
            for name, value in handler.headers.items()
            if name.lower() not in (*_HOP, "host")
        }
        answer = self._pool.request(
            "POST", self.target + handler.path, body=body, headers=passed, retries=False,
            timeout=20.0,
        )  # fmt: skip
        return answer.status, dict(answer.headers), answer.data


def _reset(connection: socket.socket) -> None:
    """Closes with RST, as a crash or a middlebox does, instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RD)
    connection.close()
