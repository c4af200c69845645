"""``POST /api/v1/register``: the admin makes keys. AgentSpec's request and answer."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 pydantic reads the annotation
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from tokenbeat.control_plane.ingest.body import read_json_object
from tokenbeat.control_plane.keys.access import require_admin
from tokenbeat.control_plane.keys.errors import RegistrationRefused
from tokenbeat.control_plane.keys.registry import register
from tokenbeat.control_plane.plane import Plane, plane_of
from tokenbeat.control_plane.problems import field_path, problems
from tokenbeat.heartbeat.limits import MESSAGE_BYTES
from tokenbeat.heartbeat.names import SERVICE_PATTERN

router = APIRouter(prefix="/api/v1", tags=["keys"])

_WIRE: Final = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class RegisterRequest(BaseModel):
    """Who asks for a key."""

    model_config = _WIRE

    agent_name: str = Field(
        pattern=SERVICE_PATTERN,
        min_length=1,
        max_length=63,
        description="The service's name, or the fleet's.",
    )
    runtime: Literal["bedrock", "vertex", "docker", "local", "k8s"]
    manifest: dict[str, Any] | None = Field(default=None, description="AgentSpec's, kept as it is.")
    kind: Literal["agent", "fleet"] = Field(
        default="agent",
        description="A key for this service alone, or one that creates services as they appear.",
    )


class RegisterResponse(BaseModel):
    """The key. It is shown this once."""

    model_config = _WIRE

    agent_id: str = Field(description="agt_ (a fleet: flt_) and 32 hexadecimal digits.")
    api_key: str = Field(description="Goes into Authorization: Bearer.")
    expires_at: datetime


_REQUEST_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": RegisterRequest.model_json_schema()}},
    }
}


@router.post(
    "/register",
    openapi_extra=_REQUEST_BODY,
    responses=problems(400, 403, 413, 415, 422),
)
async def register_agent(
    request: Request,
    plane: Annotated[Plane, Depends(plane_of)],
    tenant: Annotated[str, Depends(require_admin)],
) -> RegisterResponse:
    """Make a heartbeat key. Registering a name again ends its earlier keys."""
    body = await read_json_object(request, most_bytes=MESSAGE_BYTES)
    try:
        asked = RegisterRequest.model_validate(body, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = field_path(first["loc"])
        raise RegistrationRefused(field=field, reason=f"is refused: {first['msg']}") from error
    made = await register(
        plane,
        tenant=tenant,
        kind=asked.kind,
        name=asked.agent_name,
        runtime=asked.runtime,
        manifest=asked.manifest,
    )
    return RegisterResponse(agent_id=made.subject, api_key=made.key, expires_at=made.expires_at)
