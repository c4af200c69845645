"""The control plane as an ASGI application."""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

from fastapi import FastAPI

from tokenbeat.clock import SYSTEM_CLOCK
from tokenbeat.control_plane import health
from tokenbeat.control_plane.changes import Changes
from tokenbeat.control_plane.db.engine import Database
from tokenbeat.control_plane.db.migrate import migrate
from tokenbeat.control_plane.gate import Gate
from tokenbeat.control_plane.keys.secrets import open_secrets
from tokenbeat.control_plane.keys.tenants import open_tenant
from tokenbeat.control_plane.plane import Plane
from tokenbeat.control_plane.problems import Problem, install_problems

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tokenbeat.clock import Clock
    from tokenbeat.control_plane.settings import ServerSettings

_PAGES = ("report", "live", "view")


def create_app(settings: ServerSettings, *, clock: Clock = SYSTEM_CLOCK) -> FastAPI:
    """The application; nothing is opened or written before its lifespan begins.

    Args:
        settings: See `tokenbeat.control_plane.settings.load_settings`.
        clock: Where the time comes from.

    Raises:
        BadSetting: At the start of the lifespan: the secrets cannot be had.
        DatabaseError: At the start of the lifespan: the database cannot be used.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        secrets = open_secrets(settings)
        database = Database(settings.database)
        plane = Plane(
            settings=settings, clock=clock, database=database, changes=changes, secrets=secrets
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
    app.include_router(health.router)
    for folder in _PAGES:
        name = f"tokenbeat.control_plane.{folder}.routes"
        if _exists(name):
            app.include_router(import_module(name).router)
    app.add_middleware(Gate, hosts=settings.hosts)
    _describe_problems(app)
    return app


def _exists(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _describe_problems(app: FastAPI) -> None:
    """Put the schema of `Problem` into the OpenAPI document; routes refer to it by name."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        document = describe()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if "Problem" not in schemas:
            schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(cast("dict[str, Any]", schema.pop("$defs", {})))
            schemas["Problem"] = schema
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it
