"""The OpenAPI document: what FastAPI cannot know by itself is added here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tokenbeat.control_plane.problems import Problem
from tokenbeat.heartbeat.message import schema

if TYPE_CHECKING:
    from fastapi import FastAPI

_COMPONENTS: Final = "#/components/schemas/"


def describe(app: FastAPI) -> None:
    """Let the app's OpenAPI document tell of problems, heartbeats and their keys."""
    describe_routes = app.openapi

    def openapi() -> dict[str, Any]:
        document = describe_routes()
        components = document.setdefault("components", {})
        if "securitySchemes" not in components:
            components["securitySchemes"] = {
                "heartbeatKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A heartbeat key, made by POST /api/v1/register.",
                }
            }
            components.setdefault("schemas", {}).update(_problem() | _heartbeat())
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


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
