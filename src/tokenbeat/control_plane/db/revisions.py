"""The revision of a tenant's data: what a report is as new as."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import update

from tokenbeat.control_plane.db.models import Tenant

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession


async def rise(session: AsyncSession, *, tenant: str) -> int:
    """Raise it by one, and answer the new one.

    The last step of a transaction, always: the row is one for the whole tenant, and whoever
    commits next waits for it. (Taken first, it could deadlock with the rows of a service.)
    """
    revision = await session.scalar(
        update(Tenant)
        .where(Tenant.tenant == tenant)
        .values(revision=Tenant.revision + 1)
        .returning(Tenant.revision)
    )
    return revision or 0
