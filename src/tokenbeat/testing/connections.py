"""The server's open connections, so that a script can cut one as a failing network would."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

Address = tuple[str, int]


class Connections:
    """Transports by the client's address. Used on the server's event loop only."""

    def __init__(self) -> None:
        self._open: dict[Address, asyncio.Transport] = {}
        self.stopping = False
        """Whether the server closes every connection because it stops."""

    def opened(self, transport: asyncio.Transport) -> None:
        """Remember a connection."""
        self._open[_client_of(transport)] = transport

    def lost(self, transport: asyncio.Transport) -> None:
        """Forget a connection."""
        for address in [address for address, one in self._open.items() if one is transport]:
            del self._open[address]

    def cut(self, client: Address) -> None:
        """Close a connection in the middle of whatever it was saying."""
        transport = self._open.get(client)
        if transport is not None:
            transport.abort()

    def cut_all(self) -> None:
        """Close every connection: the server stops and waits for nobody."""
        self.stopping = True
        for transport in list(self._open.values()):
            transport.abort()


def protocol_with(connections: Connections) -> type[asyncio.Protocol]:
    """Uvicorn's HTTP protocol, with its connections noted.

    An application alone cannot cut a connection: uvicorn would finish the response, or log an error
    for each one that a test breaks on purpose.
    """

    class NotedH11Protocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride] - uvicorn narrows it so
            super().connection_made(transport)
            connections.opened(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            connections.lost(self.transport)
            super().connection_lost(exc)

    return NotedH11Protocol


def _client_of(transport: asyncio.Transport) -> Address:
    host, port = cast("Address", transport.get_extra_info("peername"))[:2]
    return str(host), int(port)


class Pauses:
    """Answers that stand still until the test lets them go on. Safe to use from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._held: dict[asyncio.Event, Callable[[], object]] = {}

    async def hold(self, *, until: asyncio.Task[None]) -> None:
        """Stand still until released, or until the given task is done."""
        released = asyncio.Event()
        loop = asyncio.get_running_loop()
        with self._changed:
            self._held[released] = lambda: loop.call_soon_threadsafe(released.set)
            self._changed.notify_all()
        waiting = asyncio.ensure_future(released.wait())
        try:
            await asyncio.wait({waiting, until}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            with self._changed:
                self._held.pop(released, None)
                self._changed.notify_all()

    def release(self) -> int:
        """Let every answer that stands still go on; how many those were."""
        with self._changed:
            held = list(self._held.values())
            self._held.clear()
            for let_go in held:
                let_go()
            return len(held)

    def wait_for(self, *, held: int, timeout_s: float) -> bool:
        """Wait until so many answers stand still; whether that was so in time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._held) >= held, timeout=timeout_s)
