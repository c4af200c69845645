"""What every request passes first: the Host header is checked, answers get safe headers.

A page on another site can point a name of its own at 127.0.0.1 (DNS rebinding) and would then
read a server without keys; it cannot choose the Host header. Probes ask by IP address, so the
health endpoints, which tell nothing, are exempt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.datastructures import MutableHeaders

from tokenbeat.control_plane.problems import problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

UNGATED: Final = frozenset({"/healthz", "/readyz"})
"""Paths that are answered under any name."""

SAFE_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""Set on every answer whose route did not choose otherwise."""


def host_name(header: str) -> str:
    """The name in a Host header: no port, no brackets, lower case."""
    name = header.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.rpartition(":")[0] if name.count(":") == 1 else name


class Gate:
    """Middleware around the whole app.

    Args:
        app: What comes behind it.
        hosts: Names that the Host header may carry; ``*`` is any.
    """

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def safe_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = self._app if self._welcome(scope) else _wrong_host
        await answer(scope, receive, safe_send)

    def _welcome(self, scope: Scope) -> bool:
        if "*" in self._hosts or scope["path"] in UNGATED:
            return True
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        return len(hosts) == 1 and host_name(hosts[0].decode("latin-1")) in self._hosts


async def _wrong_host(scope: Scope, receive: Receive, send: Send) -> None:
    answer = problem(
        400,
        kind="host",
        detail="the server is not known under this name; TOKENBEAT_ALLOWED_HOSTS lists its names",
        field="Host",
    )
    await answer(scope, receive, send)
