"""Runs: what a piece of work spent, over all processes that took part in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokenbeat.control_plane.report.dimensions import DIMENSIONS, columns_of
from tokenbeat.control_plane.report.errors import UnknownRun
from tokenbeat.control_plane.report.figures import figures
from tokenbeat.control_plane.report.period import iso
from tokenbeat.control_plane.report.service import added, roll_up
from tokenbeat.usage.counts import ZERO_COUNTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tokenbeat.control_plane.db.models import Run
    from tokenbeat.control_plane.report.dimensions import Column, Dimension
    from tokenbeat.control_plane.report.repository import ReportRepository
    from tokenbeat.control_plane.report.service import Page

Json = dict[str, Any]
_RUN: Final[frozenset[Column]] = frozenset({"run"})
BY_CALLER_AND_MODEL: Final = (DIMENSIONS["caller"], DIMENSIONS["model"])
"""How one run is shown: callers with their instances (``subagent:researcher#2``)."""


class RunService:
    """Runs of one tenant.

    Args:
        repository: Reads inside one transaction.
        now: The moment of the reading.
    """

    def __init__(self, repository: ReportRepository, *, now: datetime) -> None:
        self._repository = repository
        self._now = now

    async def runs(self, *, page: Page, service: str | None = None) -> Json:
        """Runs with their totals, the latest started first."""
        names = await self._repository.run_ids(
            service=service, limit=page.limit, offset=page.offset
        )
        groups = await self._repository.groups(_RUN, runs=names)
        counts = {group.facts["run"]: group.counts for group in groups}
        parts: dict[str, list[tuple[Run, str]]] = {}
        for part in await self._repository.run_parts(names):
            parts.setdefault(part[0].run, []).append(part)
        return {
            "service": service,
            "at": iso(self._now),
            "revision": await self._repository.revision(),
            "runs": [
                _described(parts[name]) | figures(counts.get(name, ZERO_COUNTS)) for name in names
            ],
        }

    async def run(self, name: str, *, by: Sequence[Dimension] = BY_CALLER_AND_MODEL) -> Json:
        """One run, split by the dimensions.

        Raises:
            UnknownRun: Nobody reported it.
        """
        parts = await self._repository.run_parts([name])
        if not parts:
            raise UnknownRun(run=name[:128])
        columns = columns_of(by, also=_RUN)
        groups = await self._repository.groups(columns, runs=[name])
        sums = roll_up(groups, lambda group: tuple(one.read(group.facts) for one in by))
        rows = sorted(sums.items(), key=lambda item: tuple(value or "" for value in item[0]))
        return _described(parts) | {
            "by": [one.name for one in by],
            "at": iso(self._now),
            "revision": await self._repository.revision(),
            "totals": figures(added(sums.values())),
            "rows": [
                dict(zip((one.name for one in by), key, strict=True)) | figures(counts)
                for key, counts in rows
            ],
            "parts": [
                {
                    "service": service,
                    "incarnation": part.incarnation,
                    "part": part.part,
                    "status": part.status,
                    "startedAt": iso(part.started_at),
                    "endedAt": iso(part.ended_at),
                    "late": part.late,
                }
                for part, service in parts
            ],
        }


def _described(parts: list[tuple[Run, str]]) -> Json:
    """What is told of a run as a whole.

    Status and end are those of the process that opened it: another one (a sub-agent across HTTP)
    knows its own piece only, and is through with it earlier or later.
    """
    opener = parts[0][0].incarnation  # parts come in the order of their starts
    own = [part for part, _ in parts if part.incarnation == opener]
    closed = [part for part in own if part.status != "open"]
    last = (closed or own)[-1]
    first = parts[0][0]
    return {
        "run": first.run,
        "services": sorted({service for _, service in parts}),
        "thread": next((part.thread for part, _ in parts if part.thread is not None), None),
        "rootAgent": next((p.root_agent for p, _ in parts if p.root_agent is not None), None),
        "user": next((p.user_name for p, _ in parts if p.user_name is not None), None),
        "labels": first.labels or {},
        "status": last.status,
        "startedAt": iso(first.started_at),
        "endedAt": iso(last.ended_at),
        "late": any(part.late for part, _ in parts),
    }
