"""Services come into being: by registration, or by the first beat with a fleet key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokenbeat.control_plane.db.engine import insert
from tokenbeat.control_plane.db.models import Service

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncSession

FIRST_INTERVAL_MS: Final = 30_000
"""How often a service is expected that never said so (milliseconds): AgentSpec's default."""


async def ensure_service(  # noqa: PLR0913 what a new service needs
    session: AsyncSession,
    *,
    tenant: str,
    service: str,
    agent_id: str,
    now: datetime,
    original_name: str | None = None,
) -> None:
    """Make the service unless it exists. ``agent_id`` and the rest are used only if it is new."""
    await session.execute(
        insert(session, Service)
        .values(
            tenant=tenant,
            service=service,
            agent_id=agent_id,
            original_name=original_name or service,
            runtime="local",
            created_at=now,
            interval_ms=FIRST_INTERVAL_MS,
            phase="Unknown",
        )
        .on_conflict_do_nothing()
    )
