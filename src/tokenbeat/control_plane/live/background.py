"""A control plane that runs beside the code that needs it: in demos, notebooks and tests."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import uvicorn

from tokenbeat.control_plane.live.errors import ServerDidNotStart
from tokenbeat.control_plane.live.server import StreamingServer

if TYPE_CHECKING:
    from collections.abc import Generator

    from fastapi import FastAPI

_PATIENCE_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningPlane:
    """A control plane that answers.

    Attributes:
        app: The application; ``app.state.plane`` is the control plane itself.
        address: ``http://host:port``.
    """

    app: FastAPI
    address: str
    _server: StreamingServer
    _thread: threading.Thread

    def stop(self) -> bool:
        """End it as SIGTERM would; whether it ended in time. Ending it twice is fine."""
        self._server.should_exit = True
        self._thread.join(timeout=_PATIENCE_S)
        return not self._thread.is_alive()


@contextmanager
def running(app: FastAPI, *, host: str = "127.0.0.1", port: int = 0) -> Generator[RunningPlane]:
    """Serve an app from `create_app` for the length of a block, in a thread with its own loop.

    Args:
        app: The application; its settings say which hosts it answers under.
        host: Address to listen on.
        port: TCP port; 0 lets the system choose.

    Raises:
        ServerDidNotStart: The port is taken, or the application's start failed; the log says how.
    """
    config = uvicorn.Config(app, host=host, port=port, log_level="error", lifespan="on")
    server = StreamingServer(config, changes=app.state.changes)
    thread = threading.Thread(target=_run, args=(server,), name="tokenbeat-control-plane")
    thread.start()
    if not server.settled.wait(_PATIENCE_S) or not server.started:
        server.should_exit = True
        thread.join(timeout=_PATIENCE_S)
        raise ServerDidNotStart(host=host, port=port)
    found = server.servers[0].sockets[0].getsockname()[1]
    plane = RunningPlane(app=app, address=f"http://{host}:{found}", _server=server, _thread=thread)
    try:
        yield plane
    finally:
        plane.stop()


def _run(server: StreamingServer) -> None:
    try:
        server.run()
    finally:
        server.settled.set()
