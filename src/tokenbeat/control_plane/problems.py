"""Errors as answers: ``application/problem+json`` (RFC 9457) that names the field.

The one place that knows which error is which HTTP status.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from tokenbeat.control_plane.errors import ControlPlaneError
from tokenbeat.control_plane.ingest.errors import (
    BodyNotJson,
    BodyTooLarge,
    BodyUndecodable,
    ClonedIncarnation,
    CountsRefused,
    ForeignIncarnation,
    ForeignService,
    TooManyBeats,
)
from tokenbeat.control_plane.keys.errors import (
    AdminKeyRefused,
    KeyMissing,
    KeyRefused,
    RegistrationRefused,
)
from tokenbeat.control_plane.live.errors import TooManyStreams
from tokenbeat.control_plane.report.errors import BadParameter, UnknownAgent, UnknownRun
from tokenbeat.heartbeat.errors import MessageRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI, Request
    from starlette.responses import Response

CONTENT_TYPE: Final = "application/problem+json"
_TYPES: Final = "/problems/"
_CHALLENGE: Final = 'Bearer realm="tokenbeat"'


class FieldProblem(BaseModel):
    """One field at fault."""

    field: str
    detail: str
    largest: int | None = Field(default=None, description="The largest value it would take.")


class Problem(BaseModel):
    """An answer to a request that was refused."""

    type: str = Field(description="What kind of problem, as a URI reference.")
    title: str
    status: int
    detail: str
    field: str | None = Field(default=None, description="The field at fault, as a path.")
    largest: int | None = Field(
        default=None, description="The largest value that this field would take."
    )
    errors: list[FieldProblem] | None = Field(
        default=None, description="All fields at fault, where more than one is known."
    )


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The ``responses=`` of a route: that it may answer these statuses with a `Problem`."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def problem(  # noqa: PLR0913 the members of a problem are what they are
    status: int,
    *,
    kind: str,
    detail: str,
    field: str | None = None,
    largest: int | None = None,
    errors: list[FieldProblem] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem as a response. ``kind`` is the last part of its type."""
    body = Problem(
        type=_TYPES + kind,
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        field=field,
        largest=largest,
        errors=errors,
    )
    return JSONResponse(
        body.model_dump(exclude_none=True),
        status_code=status,
        headers=dict(headers or {}),
        media_type=CONTENT_TYPE,
    )


def problem_of(error: Exception, *, page: bool = False) -> JSONResponse:  # noqa: C901, PLR0911, PLR0912 a table
    """The answer to an error of ours.

    Args:
        error: What was raised.
        page: Whether a browser asks for a page: it is then asked for the key by its own dialogue.
    """
    detail = str(error)
    match error:
        case KeyMissing() | KeyRefused():
            challenge = {"WWW-Authenticate": _CHALLENGE}
            return problem(401, kind="key", detail=detail, headers=challenge)
        case AdminKeyRefused() if page:
            basic = {"WWW-Authenticate": 'Basic realm="tokenbeat admin key", charset="UTF-8"'}
            return problem(401, kind="admin-key", detail=detail, headers=basic)
        case AdminKeyRefused():
            return problem(403, kind="admin-key", detail=detail, field="X-Admin-Key")
        case ForeignService() | ForeignIncarnation():
            return problem(403, kind="foreign", detail=detail, field=error.field)
        case ClonedIncarnation():
            return problem(409, kind="clone", detail=detail, field="tokenbeat.nonces")
        case BodyTooLarge():
            return problem(
                413, kind="too-large", detail=detail, field="body", largest=error.most_bytes
            )
        case BodyNotJson():
            return problem(415, kind="not-json", detail=detail, field=error.header)
        case BodyUndecodable() | RegistrationRefused():
            return problem(422, kind="invalid", detail=detail, field=error.field)
        case MessageRefused():
            return problem(
                422, kind="invalid", detail=detail, field=error.field, largest=error.largest
            )
        case CountsRefused():
            first, *more = faults = [
                FieldProblem(field=fault.field, detail=fault.reason, largest=fault.largest)
                for fault in error.faults
            ]
            return problem(
                422,
                kind="limit",
                detail=detail,
                field=first.field,
                largest=first.largest,
                errors=faults if more else None,
            )
        case BadParameter():
            return problem(422, kind="invalid", detail=detail, field=error.parameter)
        case UnknownAgent() | UnknownRun():
            return problem(404, kind="unknown", detail=detail)
        case TooManyStreams():
            after = {"Retry-After": str(error.retry_after_s)}
            return problem(503, kind="streams", detail=detail, headers=after)
        case TooManyBeats():
            after = {"Retry-After": str(error.retry_after_s)}
            return problem(429, kind="rate", detail=detail, headers=after)
        case _:
            return problem(500, kind="internal", detail="the server failed; its log says how")


def field_path(parts: tuple[str | int, ...]) -> str:
    """``("usage", "models", 0, "modelId")`` as ``usage.models[0].modelId``."""
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path


def install_problems(app: FastAPI) -> None:
    """Let the app answer every error with a problem."""

    async def ours(request: Request, error: Exception) -> Response:
        return problem_of(error, page=_wants_page(request))

    async def http(request: Request, error: Exception) -> Response:
        del request
        if not isinstance(error, HTTPException):
            raise error
        kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        return problem(
            error.status_code, kind=kind, detail=str(error.detail), headers=error.headers
        )

    async def invalid(request: Request, error: Exception) -> Response:
        del request
        if not isinstance(error, RequestValidationError):
            raise error
        first = error.errors()[0]
        place = tuple(first["loc"])
        # "query", "path", "header" say where a field is, not how it is called.
        path = field_path(place[1:] if len(place) > 1 else place)
        return problem(422, kind="invalid", detail=f"{path}: {first['msg']}", field=path)

    app.add_exception_handler(ControlPlaneError, ours)
    app.add_exception_handler(MessageRefused, ours)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, ours)


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")
