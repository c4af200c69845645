"""The OpenAPI document: what FastAPI cannot know by itself is added here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tokenbeat.control_plane.gate import UNGATED
from tokenbeat.control_plane.problems import Problem, problems
from tokenbeat.heartbeat.message import schema

if TYPE_CHECKING:
    from fastapi import FastAPI

_COMPONENTS: Final = "#/components/schemas/"
_FASTAPIS_OWN: Final = ("HTTPValidationError", "ValidationError")


def describe(app: FastAPI) -> None:
    """Let the app's OpenAPI document tell of problems, heartbeats and their keys."""
    describe_routes = app.openapi

    def openapi() -> dict[str, Any]:
        document = describe_routes()
        components = document.setdefault("components", {})
        components.setdefault("securitySchemes", {})["heartbeatKey"] = {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A heartbeat key, made by POST /api/v1/register.",
        }
        schemas = components.setdefault("schemas", {})
        schemas.update(_problem() | _heartbeat())
        for name in _FASTAPIS_OWN:
            schemas.pop(name, None)
        for path, operations in document["paths"].items():
            for operation in operations.values():
                _describe_refusals(operation["responses"], path=path)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _describe_refusals(responses: dict[str, Any], *, path: str) -> None:
    """What any route can answer: FastAPI's own refusals are problems here as well."""
    refusals = problems(400, 422)
    if path not in UNGATED:
        responses.setdefault("400", refusals[400])
    if any(name in str(responses.get("422")) for name in _FASTAPIS_OWN):
        responses["422"] = refusals[422]


def _problem() -> dict[str, Any]:
    problem = Problem.model_json_schema(ref_template=_COMPONENTS + "{model}")
    inner = problem.pop("$defs", {})
    return {**inner, "Problem": problem}


def _heartbeat() -> dict[str, Any]:
    """The heartbeat's JSON Schema, its parts moved to where OpenAPI looks for them."""
    text = json.dumps(schema()).replace('"#/$defs/', f'"{_COMPONENTS}Heartbeat_')
    heartbeat: dict[str, Any] = json.loads(text)
    parts = heartbeat.pop("$defs")
    for name in ("$schema", "$id"):
        heartbeat.pop(name, None)
    return {
        "Heartbeat": heartbeat,
        **{f"Heartbeat_{name}": part for name, part in parts.items()},
    }
