"""The row of a service: when it was seen, how it is, what AgentSpec's readers want to know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import select

from tokenbeat.control_plane.db.models import Service
from tokenbeat.control_plane.keys.services import ensure_service

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncSession

    from tokenbeat.heartbeat.values import Heartbeat

_GRADES: Final = ((90, "A"), (75, "B"), (60, "C"), (45, "D"), (0, "F"))
"""AgentSpec's: the least score of each grade."""


async def open_service(  # noqa: PLR0913 what a new service needs
    session: AsyncSession,
    *,
    tenant: str,
    service: str,
    original_name: str | None,
    agent_id: str,
    now: datetime,
) -> None:
    """Make the service of a fleet key's beat unless it exists."""
    known = await session.scalar(
        select(Service.service).where(Service.tenant == tenant, Service.service == service)
    )
    if known is None:
        await ensure_service(
            session,
            tenant=tenant,
            service=service,
            agent_id=agent_id,
            now=now,
            original_name=original_name,
        )


async def lock_service(session: AsyncSession, *, tenant: str, service: str) -> Service:
    """The service's row, locked until the transaction ends."""
    return (
        await session.scalars(
            select(Service)
            .where(Service.tenant == tenant, Service.service == service)
            .with_for_update(key_share=True)
        )
    ).one()


def take_state(row: Service, heartbeat: Heartbeat) -> bool:
    """Take over health and gap; answer whether phase, grade or score are other ones now."""
    before = (row.phase, row.grade, row.score)
    row.phase = heartbeat.health.phase
    score = heartbeat.gap.score
    row.score = score
    row.grade = None if score is None else grade(score)
    row.health = dict(heartbeat.health.raw)
    row.gap = dict(heartbeat.gap.raw)
    if heartbeat.proof:
        row.proof = [dict(item) for item in heartbeat.proof]
    return before != (row.phase, row.grade, row.score)


def take_window(row: Service, body: Mapping[str, object], *, now: datetime) -> None:
    """Keep AgentSpec's window as it came, for readers that ask for the latest one.

    Unknown keys beside the totals are dropped, those of a model are kept, as AgentSpec does.
    """
    usage = body.get("usage")
    if isinstance(usage, dict):
        given = cast("dict[str, Any]", usage)
        row.window = {
            "windowStartedAt": given.get("windowStartedAt"),
            "models": given.get("models") or [],
            "totalTokens": given["totalTokens"],
            "totalCalls": given["totalCalls"],
        }
        row.window_received_at = now


def grade(score: int) -> str:
    """AgentSpec's grade of a score from 0 to 100: 90 and more is an A, less than 45 an F."""
    return next(letter for least, letter in _GRADES if score >= least)
