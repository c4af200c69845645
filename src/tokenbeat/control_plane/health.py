"""Whether the server lives, and whether it can work."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError

from tokenbeat.control_plane.db.migrate import at_head
from tokenbeat.control_plane.plane import Plane, plane_of

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """What the server needs for its work."""

    status: Literal["ready", "not ready"]
    database: bool
    """The database answers."""
    migrations: bool
    """It has the schema of this version."""


@router.get("/healthz")
async def healthz() -> Alive:
    """Answer 200 as long as the process answers at all."""
    return Alive()


@router.get("/readyz", responses={200: {"model": Readiness}, 503: {"model": Readiness}})
async def readyz(plane: Annotated[Plane, Depends(plane_of)]) -> Response:
    """Answer 200 when the database is reachable and has this version's schema, else 503."""
    database = migrations = False
    try:
        async with plane.database.read() as session:
            migrations = await at_head(session)
            database = True
    except (DBAPIError, OSError):
        pass
    ready = database and migrations
    state = Readiness(
        status="ready" if ready else "not ready", database=database, migrations=migrations
    )
    return JSONResponse(state.model_dump(), status_code=200 if ready else 503)
