"""``POST /api/v1/heartbeat``: AgentSpec's address and manners, ours with cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, cast

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from tokenbeat.control_plane.ingest.beats import take_beat
from tokenbeat.control_plane.ingest.body import read_json_object
from tokenbeat.control_plane.ingest.cells import Owner
from tokenbeat.control_plane.ingest.errors import ForeignService
from tokenbeat.control_plane.ingest.incarnations import held_revision
from tokenbeat.control_plane.ingest.windows import take_window_beat
from tokenbeat.control_plane.keys.registry import authenticate
from tokenbeat.control_plane.plane import Plane, plane_of
from tokenbeat.control_plane.problems import problems
from tokenbeat.heartbeat.errors import MessageRefused
from tokenbeat.heartbeat.limits import BEAT_INTERVAL_MS, MESSAGE_BYTES
from tokenbeat.heartbeat.message import parse_heartbeat, service_name
from tokenbeat.heartbeat.names import INCARNATION_HEADER

if TYPE_CHECKING:
    from tokenbeat.control_plane.keys.registry import Holder
    from tokenbeat.heartbeat.values import Beat, Heartbeat

router = APIRouter(prefix="/api/v1", tags=["heartbeat"])


class Acknowledgement(BaseModel):
    """What was committed. Only this answer acknowledges cells."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    revision: int = Field(
        description="The greatest revision up to which everything of the incarnation is held: "
        "the sender's next base, up or down."
    )
    nonce: str | None = Field(
        default=None,
        description="The latest nonce held, where the beat's base was above the revision held.",
    )
    next_heartbeat_ms: int = Field(description="When to beat again (milliseconds from now).")


_REQUEST_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Heartbeat"}}},
    },
    "security": [{"heartbeatKey": []}],
}


@router.post(
    "/heartbeat",
    response_model=Acknowledgement,
    openapi_extra=_REQUEST_BODY,
    responses={
        204: {"description": "Taken: a beat of an AgentSpec reporter, without cells."},
        **problems(400, 401, 403, 409, 413, 415, 422, 429),
    },
)
async def heartbeat(
    request: Request,
    plane: Annotated[Plane, Depends(plane_of)],
    authorization: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:
    """Take a heartbeat. The answer leaves after the commit, and only then.

    With ``tokenbeat`` in it the beat's cells are taken by maximum, and the answer is 200 with the
    revision held. Without it, it is an AgentSpec reporter's, and the answer is 204; unless the
    header ``Tokenbeat-Incarnation`` says that the same tokens will come as cells: then nothing is
    taken, and the answer is 200 with the revision held. Anything else stored nothing: a limit that
    one count breaks refuses the whole beat.
    """
    holder = await authenticate(plane, authorization=authorization)
    body = await read_json_object(request, most_bytes=MESSAGE_BYTES)
    message = parse_heartbeat(body)
    incarnation = request.headers.get(INCARNATION_HEADER)
    if message.beat is None and incarnation is not None:
        return await _ask_for_cells(plane, tenant=holder.tenant, incarnation=incarnation)
    if message.beat is None:
        service = _window_service(holder, message)
        await take_window_beat(
            plane, tenant=holder.tenant, service=service, heartbeat=message, body=body
        )
        return Response(status_code=204)
    _check_service(holder, message.beat)
    taken = await take_beat(
        plane, tenant=holder.tenant, heartbeat=message, beat=message.beat, body=body
    )
    return _acknowledged(
        plane, taken.revision, nonce=taken.nonce, interval_ms=message.beat.interval_ms
    )


async def _ask_for_cells(plane: Plane, *, tenant: str, incarnation: str) -> Response:
    """One of our senders took us for AgentSpec's server, as after a 204 from something in between.

    Its window is left alone: it sends the cells once it has heard of a revision.
    """
    async with plane.database.read() as session:
        owner = Owner(tenant=tenant, incarnation=incarnation)
        revision = await held_revision(session, owner=owner)
    return _acknowledged(plane, revision, nonce=None, interval_ms=0)


def _acknowledged(plane: Plane, revision: int, *, nonce: str | None, interval_ms: int) -> Response:
    wait_ms = next_heartbeat_ms(interval_ms, shortest_ms=plane.settings.min_heartbeat_interval_ms)
    told = Acknowledgement(revision=revision, nonce=nonce, next_heartbeat_ms=wait_ms)
    return JSONResponse(told.model_dump(by_alias=True, exclude_none=True))


def next_heartbeat_ms(interval_ms: int, *, shortest_ms: int) -> int:
    """When a sender is asked to beat again: at its own interval, if that is not too short.

    Args:
        interval_ms: The sender's own interval (milliseconds).
        shortest_ms: The shortest that this server allows (milliseconds).
    """
    return min(max(interval_ms, shortest_ms), BEAT_INTERVAL_MS[1])


def _check_service(holder: Holder, beat: Beat) -> None:
    if holder.service is not None and beat.service.name != holder.service:
        raise ForeignService(field="tokenbeat.service.name", named=beat.service.name)


def _window_service(holder: Holder, message: Heartbeat) -> str:
    """The service of a beat without cells: the key's, or what a fleet's member calls itself."""
    if holder.service is not None:
        return holder.service
    raw = cast("dict[str, object]", message.health.raw)
    for name in ("agentName", "agent_name"):
        named = raw.get(name)
        if isinstance(named, str) and named:
            return service_name(named)
    raise MessageRefused(field="health.agentName", reason="is required with a fleet key")
