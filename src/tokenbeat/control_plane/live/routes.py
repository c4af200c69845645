"""``GET /api/v1/usage/stream``: server-sent events with the fleet's report."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Final, cast

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import StreamingResponse

from tokenbeat.control_plane.keys.access import Reader, require_read
from tokenbeat.control_plane.live.feed import Feed
from tokenbeat.control_plane.plane import Plane, plane_of
from tokenbeat.control_plane.problems import problems

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

router = APIRouter(prefix="/api/v1", tags=["report"])

_DESCRIPTION: Final = (
    "Events named `usage`, each with the report of `/api/v1/usage`; its id is the revision. At "
    "most four a second: whoever is slow gets the latest."
)


class _Events(StreamingResponse):
    """A stream that gives its place back however it ends, also before its first byte."""

    def __init__(self, frames: AsyncIterator[bytes], *, place: ExitStack) -> None:
        super().__init__(
            frames,
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the frames or the reader end."""
        with self._place:
            await super().__call__(scope, receive, send)


def feed_of(request: Request, plane: Annotated[Plane, Depends(plane_of)]) -> Feed:
    """The app's feed, made when somebody first watches."""
    state = request.app.state
    if not hasattr(state, "feed"):
        state.feed = Feed(plane)
    return cast("Feed", state.feed)


@router.get(
    "/usage/stream",
    response_class=StreamingResponse,
    responses={
        200: {"description": _DESCRIPTION, "content": {"text/event-stream": {"schema": {}}}},
        **problems(401, 403, 422, 503),
    },
)
async def stream(
    request: Request,
    reader: Annotated[Reader, Depends(require_read)],
    feed: Annotated[Feed, Depends(feed_of)],
    last_event_id: Annotated[
        str | None, Header(description="The revision that the reader already has.")
    ] = None,
) -> StreamingResponse:
    """Follow the fleet's report: the present state first, then every change."""
    seen = int(last_event_id) if last_event_id and last_event_id.isdecimal() else None
    place = ExitStack()
    place.enter_context(feed.admit())
    return _Events(feed.frames(reader.tenant, seen=seen, gone=request.is_disconnected), place=place)
