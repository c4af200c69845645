"""The control plane as an ASGI application."""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib.metadata import version
from secrets import token_bytes
from typing import TYPE_CHECKING

from fastapi import FastAPI

from tokenbeat.clock import SYSTEM_CLOCK
from tokenbeat.control_plane import health
from tokenbeat.control_plane.changes import Changes
from tokenbeat.control_plane.db.engine import Database
from tokenbeat.control_plane.db.migrate import migrate
from tokenbeat.control_plane.description import describe
from tokenbeat.control_plane.gate import Gate
from tokenbeat.control_plane.ingest import routes as ingest_routes
from tokenbeat.control_plane.keys import routes as keys_routes
from tokenbeat.control_plane.keys.secrets import open_secrets
from tokenbeat.control_plane.keys.tenants import open_tenant
from tokenbeat.control_plane.live import routes as live_routes
from tokenbeat.control_plane.plane import Plane
from tokenbeat.control_plane.problems import install_problems
from tokenbeat.control_plane.report import routes as report_routes
from tokenbeat.control_plane.view import routes as view_routes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from tokenbeat.clock import Clock
    from tokenbeat.control_plane.settings import ServerSettings


def create_app(
    settings: ServerSettings,
    *,
    clock: Clock = SYSTEM_CLOCK,
    chance: Callable[[int], bytes] = token_bytes,
) -> FastAPI:
    """The application; nothing is opened or written before its lifespan begins.

    Args:
        settings: See `tokenbeat.control_plane.settings.load_settings`.
        clock: Where the time comes from.
        chance: Where random bytes for ids come from.

    Raises:
        BadSetting: At the start of the lifespan: the secrets cannot be had.
        DatabaseError: At the start of the lifespan: the database cannot be used.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        secrets = open_secrets(settings)
        database = Database(settings.database)
        plane = Plane(
            settings=settings,
            clock=clock,
            database=database,
            changes=changes,
            secrets=secrets,
            chance=chance,
        )
        try:
            await migrate(database)
            await open_tenant(plane)
            app.state.plane = plane
            yield
        finally:
            changes.close()
            await database.close()

    changes = Changes()
    app = FastAPI(
        title="Tokenbeat control plane",
        description="Takes heartbeats and tells what a fleet of agents has spent, to the token.",
        version=version("tokenbeat"),
        lifespan=lifespan,
        docs_url=None,  # both pages would load scripts from other people's servers
        redoc_url=None,
    )
    app.state.changes = changes
    install_problems(app)
    for routes in (health, keys_routes, ingest_routes, report_routes, live_routes, view_routes):
        app.include_router(routes.router)
    app.add_middleware(Gate, hosts=settings.hosts)
    describe(app)
    return app
