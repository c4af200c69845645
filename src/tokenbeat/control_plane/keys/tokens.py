"""Heartbeat keys: JSON Web Tokens (HS256), as AgentSpec hands them out.

The server keeps only SHA-256 of a key's id (``jti``). So a copy of the database opens nothing, and
a database that was lost knows no key any more: the operator registers again.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from uuid import UUID

import jwt

from tokenbeat.control_plane.keys.errors import KeyRefused

if TYPE_CHECKING:
    from datetime import datetime

_ALGORITHM: Final = "HS256"
_TENANT: Final = "tenant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a key says, once its signature was found good."""

    tenant: str
    subject: str
    """``agt_…`` or ``flt_…``."""
    jti_sha256: str


def key_id(chance: bytes) -> str:
    """A key's id from 16 random bytes: a UUID of version 4, as AgentSpec's."""
    return str(UUID(bytes=chance, version=4))


def jti_sha256(jti: str) -> str:
    """What is stored of a key's id."""
    return sha256(jti.encode("utf-8", "surrogatepass")).hexdigest()


def make_key(  # noqa: PLR0913 a key has these claims
    signing_secret: str,
    *,
    tenant: str,
    subject: str,
    jti: str,
    issued_at: datetime,
    expires_at: datetime,
) -> str:
    """Sign a key."""
    claims = {"sub": subject, "jti": jti, "iat": issued_at, "exp": expires_at, _TENANT: tenant}
    return jwt.encode(  # pyright: ignore[reportUnknownMemberType] of cryptography, not installed
        claims, signing_secret, algorithm=_ALGORITHM
    )


def read_key(key: str, *, signing_secret: str) -> Claims:
    """Check a key's signature and read its claims. Whether it is still good, the table says.

    Raises:
        KeyRefused: It was not signed here, or lacks a claim.
    """
    try:
        claims = jwt.decode(  # pyright: ignore[reportUnknownMemberType] of cryptography
            key,
            signing_secret,
            algorithms=[_ALGORITHM],
            options={
                "require": ["sub", "jti", "exp", _TENANT],
                # Expiry is compared with the server's own clock, in `keys.registry`.
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except jwt.InvalidTokenError as error:
        raise KeyRefused(reason="was not made by this control plane") from error
    tenant = claims[_TENANT]
    if not isinstance(tenant, str):
        raise KeyRefused(reason="was not made by this control plane")
    return Claims(
        tenant=tenant, subject=str(claims["sub"]), jti_sha256=jti_sha256(str(claims["jti"]))
    )
