"""Serves the page.

Files of the page hold no data and are open to all. The page itself tells none either; without a
key where one is needed its status says so (401) and it comes up asking for the key, which it then
sends with every reading. No browser dialogue is used, so the key can be forgotten again.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Final

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse, Response

from tokenbeat.control_plane.keys.access import require_read
from tokenbeat.control_plane.keys.errors import AdminKeyRefused
from tokenbeat.control_plane.plane import Plane, plane_of
from tokenbeat.control_plane.view.files import PageFile, read_page_files

_POLICIES: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    # Text that an agent reported can then not become markup, even by a mistake of ours.
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
)
PAGE_POLICY: Final = "; ".join(_POLICIES)
"""Content-Security-Policy of the page: our own files and our own API, nothing else."""

_UNLOCKED: Final = b'<html lang="en">'
_LOCKED: Final = b'<html lang="en" data-locked>'

router = APIRouter(include_in_schema=False)


@cache
def _files() -> dict[str, PageFile]:
    return read_page_files()


@router.get("/", response_class=HTMLResponse)
async def page(request: Request, plane: Annotated[Plane, Depends(plane_of)]) -> Response:
    """The page; with 401 where a key is needed and was not sent."""
    body = _files()["index.html"].body
    headers = {"Content-Security-Policy": PAGE_POLICY, "Vary": "Authorization, X-Admin-Key"}
    try:
        require_read(request, plane, request.headers.get("x-admin-key"))
    except AdminKeyRefused:
        return HTMLResponse(
            body.replace(_UNLOCKED, _LOCKED),
            status_code=401,
            headers={**headers, "WWW-Authenticate": 'Bearer realm="tokenbeat"'},
        )
    return HTMLResponse(body, headers=headers)


@router.get("/assets/{name}")
async def asset(name: str, request: Request) -> Response:
    """A file of the page."""
    file = _files().get(name)
    if file is None or name == "index.html":
        raise HTTPException(status_code=404)
    headers = {
        "ETag": file.etag,
        "Cache-Control": "no-cache",
        "Content-Security-Policy": PAGE_POLICY,
    }
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    return Response(file.body, media_type=file.media_type, headers=headers)
