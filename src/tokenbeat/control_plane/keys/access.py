"""Who asks: FastAPI dependencies for the admin key and for reading."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader

from tokenbeat.control_plane.db.models import DEFAULT_TENANT
from tokenbeat.control_plane.keys.errors import AdminKeyRefused
from tokenbeat.control_plane.plane import Plane, plane_of

_SCHEME: Final = APIKeyHeader(
    name="X-Admin-Key",
    scheme_name="adminKey",
    description="The control plane's admin key; on loopback, reading needs none by default.",
    auto_error=False,
)
AdminKeyHeader = Annotated[str | None, Security(_SCHEME)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Somebody who may read.

    Attributes:
        tenant: Whose data.
    """

    tenant: str


def require_admin(
    plane: Annotated[Plane, Depends(plane_of)], x_admin_key: AdminKeyHeader = None
) -> str:
    """Let only the admin through; answer the tenant.

    Raises:
        AdminKeyRefused: The key is missing or wrong.
    """
    if not x_admin_key:
        raise AdminKeyRefused(missing=True)
    if not plane.secrets.is_admin_key(x_admin_key):
        raise AdminKeyRefused(missing=False)
    return DEFAULT_TENANT


def require_read(
    request: Request,
    plane: Annotated[Plane, Depends(plane_of)],
    x_admin_key: AdminKeyHeader = None,
) -> Reader:
    """Let everybody through on loopback, elsewhere only who has the admin key.

    The key comes as ``X-Admin-Key`` (what AgentSpec's tools send), as ``Authorization: Bearer``,
    or as the password of ``Authorization: Basic``, which a browser asks for and also sends with
    an event stream. A key that is given must be right, even where none is needed.

    Raises:
        AdminKeyRefused: The key is missing or wrong.
    """
    given = x_admin_key or _authorization_key(request.headers.get("authorization", ""))
    if given:
        if not plane.secrets.is_admin_key(given):
            raise AdminKeyRefused(missing=False)
    elif plane.settings.reads_need_key:
        raise AdminKeyRefused(missing=True)
    return Reader(tenant=DEFAULT_TENANT)


def _authorization_key(header: str) -> str:
    scheme, _, value = header.strip().partition(" ")
    match scheme.lower():
        case "bearer":
            return value.strip()
        case "basic":
            try:
                return base64.b64decode(value, validate=True).decode().partition(":")[2]
            except ValueError:  # no base64, or no text
                return value
        case _:
            return ""
