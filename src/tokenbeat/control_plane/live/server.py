"""A uvicorn server that ends its streams when it is told to stop.

uvicorn waits for open responses before it tells the application that the server stops; a stream
that waits for that news would hold it for ever. So the news comes first.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    import socket

    from tokenbeat.control_plane.changes import Changes


class StreamingServer(uvicorn.Server):
    """Serves an app whose streams wait for changes.

    Args:
        config: uvicorn's settings.
        changes: ``app.state.changes``; closed when the server begins to stop.
    """

    def __init__(self, config: uvicorn.Config, *, changes: Changes) -> None:
        super().__init__(config)
        self._changes = changes
        self.settled = threading.Event()
        """Set when the server answers, or has given up."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, and tell other threads."""
        await super().startup(sockets)
        self.settled.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let every stream end, then stop as uvicorn does."""
        self._changes.close()
        await super().shutdown(sockets)
