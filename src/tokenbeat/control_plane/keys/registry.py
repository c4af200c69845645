"""Registration and authentication: which key opens what.

Registering a name again rotates: the subject stays, earlier keys of that name answer 401 from the
commit on. An *agent key* is for one service; a *fleet key* creates the services of its tenant as
they appear.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import select, update

from tokenbeat.control_plane.db.models import Key, Service, Tenant
from tokenbeat.control_plane.db.revisions import rise
from tokenbeat.control_plane.keys.errors import KeyMissing, KeyRefused
from tokenbeat.control_plane.keys.services import ensure_service
from tokenbeat.control_plane.keys.tokens import jti_sha256, key_id, make_key, read_key

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncSession

    from tokenbeat.control_plane.plane import Plane

KeyKind = Literal["agent", "fleet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A new key. It is shown once and kept nowhere."""

    subject: str
    key: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who beats with a key.

    Attributes:
        tenant: Whose data it is.
        service: The only service that the key is for; None for a fleet key.
    """

    tenant: str
    service: str | None


async def register(  # noqa: PLR0913 what a registration says
    plane: Plane,
    *,
    tenant: str,
    kind: KeyKind,
    name: str,
    runtime: str,
    manifest: dict[str, Any] | None = None,
) -> Registered:
    """Make a key for a service or a fleet; earlier keys of the same name end.

    Args:
        plane: The control plane.
        tenant: Whose service or fleet.
        kind: For one service, or for any of the tenant.
        name: The service's name, or the fleet's; checked by the caller.
        runtime: Where a service runs, in AgentSpec's words.
        manifest: AgentSpec's manifest, kept as it is.
    """
    now = plane.now()
    expires_at = now + timedelta(days=plane.settings.key_lifetime_days)
    jti = key_id(plane.chance(16))
    async with plane.database.write() as session:
        if kind == "agent":
            subject = await _agent(
                plane, session, tenant=tenant, name=name, runtime=runtime, manifest=manifest
            )
        else:
            subject = await _fleet(plane, session, tenant=tenant, name=name)
        await session.execute(
            update(Key)
            .where(Key.tenant == tenant, Key.kind == kind, Key.name == name)
            .where(Key.revoked_at.is_(None))
            .values(revoked_at=now)
        )
        session.add(
            Key(
                tenant=tenant,
                jti_sha256=jti_sha256(jti),
                kind=kind,
                name=name,
                subject=subject,
                created_at=now,
                expires_at=expires_at,
                revoked_at=None,
            )
        )
        await session.flush()
        revision = await rise(session, tenant=tenant)
    plane.changes.announce(tenant, revision=revision)
    key = make_key(
        plane.secrets.signing_secret,
        tenant=tenant,
        subject=subject,
        jti=jti,
        issued_at=now,
        expires_at=expires_at,
    )
    return Registered(subject=subject, key=key, expires_at=expires_at)


async def authenticate(plane: Plane, *, authorization: str | None) -> Holder:
    """Who sent a heartbeat, by its ``Authorization`` header (``Bearer``, in any case).

    Raises:
        KeyMissing: There is no bearer key.
        KeyRefused: It was not made here, is unknown (a lost database), revoked or expired.
    """
    scheme, _, given = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not given.strip():
        raise KeyMissing
    claims = read_key(given.strip(), signing_secret=plane.secrets.signing_secret)
    async with plane.database.read() as session:
        key = await session.get(Key, (claims.tenant, claims.jti_sha256))
    if key is None or key.subject != claims.subject:
        raise KeyRefused(reason="is not known: register again")
    if key.revoked_at is not None:
        raise KeyRefused(reason="has been revoked")
    if key.expires_at <= plane.now():
        raise KeyRefused(reason="has expired: register again")
    return Holder(tenant=key.tenant, service=key.name if key.kind == "agent" else None)


async def _agent(  # noqa: PLR0913 what a registration says
    plane: Plane,
    session: AsyncSession,
    *,
    tenant: str,
    name: str,
    runtime: str,
    manifest: dict[str, Any] | None,
) -> str:
    await ensure_service(
        session, tenant=tenant, service=name, agent_id=agent_id(plane), now=plane.now()
    )
    # The lock lets one registration of this name go after the other.
    service = await session.scalar(
        select(Service)
        .where(Service.tenant == tenant, Service.service == name)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    assert service is not None  # noqa: S101 it was ensured in this transaction
    service.runtime = runtime
    if manifest is not None:
        service.manifest = manifest
    return service.agent_id


async def _fleet(plane: Plane, session: AsyncSession, *, tenant: str, name: str) -> str:
    # There is no row of the fleet itself to lock.
    await session.execute(
        select(Tenant.tenant).where(Tenant.tenant == tenant).with_for_update(key_share=True)
    )
    former = await session.scalar(
        select(Key.subject)
        .where(Key.tenant == tenant, Key.kind == "fleet", Key.name == name)
        .limit(1)
    )
    return former or f"flt_{plane.chance(16).hex()}"


def agent_id(plane: Plane) -> str:
    """A new id of AgentSpec's form."""
    return f"agt_{plane.chance(16).hex()}"
