"""Tenants: whose data it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from tokenbeat.control_plane.db.engine import insert
from tokenbeat.control_plane.db.models import DEFAULT_TENANT, Tenant

if TYPE_CHECKING:
    from tokenbeat.control_plane.plane import Plane


async def open_tenant(plane: Plane, *, tenant: str = DEFAULT_TENANT) -> None:
    """Make sure that a tenant exists, and announce the revision that it stands at."""
    async with plane.database.write() as session:
        await session.execute(
            insert(session, Tenant)
            .values(tenant=tenant, revision=0, created_at=plane.now())
            .on_conflict_do_nothing()
        )
        revision = await session.scalar(select(Tenant.revision).where(Tenant.tenant == tenant))
    plane.changes.announce(tenant, revision=revision or 0)
