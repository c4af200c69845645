"""``tokenbeat serve``: the control plane under uvicorn."""

from __future__ import annotations

import logging
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import click

from tokenbeat.cli.errors import BadOption
from tokenbeat.errors import MissingExtra, TokenbeatError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from fastapi import FastAPI

    from tokenbeat.control_plane.settings import ServerSettings


def serve(given: Mapping[str, object], *, log_level: str) -> None:
    """Serves until SIGINT or SIGTERM.

    Args:
        given: Settings that come before those of the environment, by name.
        log_level: From which level on the server's log goes to standard error.

    Raises:
        MissingExtra: The server's packages are not installed.
        TokenbeatError: A setting, a secret or the database cannot be used.
    """
    try:
        import uvicorn  # noqa: PLC0415 the server's packages come with an extra

        from tokenbeat.control_plane.app import create_app  # noqa: PLC0415
        from tokenbeat.control_plane.live.server import StreamingServer  # noqa: PLC0415
        from tokenbeat.control_plane.settings import load_settings  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MissingExtra(door="tokenbeat serve", extra="server") from error
    settings = load_settings(**given)
    logging.basicConfig(level=log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    app = create_app(settings)
    failed = _catch_start_errors(app)
    config = uvicorn.Config(app, log_config=None, access_log=log_level == "debug", lifespan="on")
    with _listen(settings.host, settings.port) as listening:

        class Announcing(StreamingServer):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                if self.started:
                    _announce(settings, listening)

        try:
            Announcing(config, changes=app.state.changes).run(sockets=[listening])
        except KeyboardInterrupt:
            return  # Ctrl-C is how one ends it; uvicorn has ended its streams by now
        except SystemExit:
            if not failed:
                raise
    if failed:
        raise failed[0]


def _catch_start_errors(app: FastAPI) -> list[TokenbeatError]:
    """Keeps what stops the start, so that it is told in one line and not as a traceback."""
    failed: list[TokenbeatError] = []
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        try:
            async with inner(app):
                yield
        except TokenbeatError as error:
            failed.append(error)
            raise

    app.router.lifespan_context = lifespan
    logging.getLogger("uvicorn.error").addFilter(lambda _: not failed)
    return failed


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(1_024)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        reason = f"cannot listen on {host} port {port}: {error.strerror}"
        raise BadOption(option="--host, --port", reason=reason) from error
    listening.setblocking(False)
    return listening


def _announce(settings: ServerSettings, listening: socket.socket) -> None:
    name: tuple[Any, ...] = listening.getsockname()
    host = f"[{name[0]}]" if ":" in str(name[0]) else name[0]
    click.echo(f"Tokenbeat control plane: http://{host}:{name[1]}")
    if settings.admin_key is None:
        click.echo(f"Admin key: {settings.data_dir.expanduser().absolute() / 'admin.key'}")
    click.echo("Ctrl-C ends it.")
