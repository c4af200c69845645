"""Adds up what the repository read, so that rows and ``rest`` always make the totals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tokenbeat.control_plane.report.dimensions import DIMENSIONS, columns_of
from tokenbeat.control_plane.report.errors import BadParameter, UnknownAgent
from tokenbeat.control_plane.report.figures import figures
from tokenbeat.control_plane.report.period import (
    ALWAYS,
    BUCKET_MINUTES,
    Period,
    iso,
    minute_end,
)
from tokenbeat.usage.counts import ZERO_COUNTS, add, finished, total_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from tokenbeat.control_plane.db.models import Service
    from tokenbeat.control_plane.report.dimensions import Dimension
    from tokenbeat.control_plane.report.period import BucketSize
    from tokenbeat.control_plane.report.repository import Group, Presence, ReportRepository
    from tokenbeat.usage.counts import Counts

Json = dict[str, Any]
Key = tuple["str | None", ...]

SILENT_INTERVALS: Final = 3
"""A service that missed so many intervals of its own is silent."""
MOST_POINTS: Final = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which rows of a list: ``limit`` of them after the first ``offset``."""

    limit: int
    offset: int = 0


def _bounds(period: Period) -> Json:
    """The times that a report used."""
    return {
        "from": None if period.after is None else iso(minute_end(period.after)),
        "to": None if period.until is None else iso(minute_end(period.until)),
    }


def roll_up(
    groups: Iterable[Group], read: Callable[[Group], tuple[Any, ...]]
) -> dict[tuple[Any, ...], Counts]:
    """Groups added up by what ``read`` makes of them."""
    sums: dict[tuple[Any, ...], Counts] = {}
    for group in groups:
        key = read(group)
        before = sums.get(key)
        sums[key] = group.counts if before is None else add(before, group.counts)
    return sums


def added(counts: Iterable[Counts]) -> Counts:
    """The sum of many vectors."""
    total = ZERO_COUNTS
    for one in counts:
        total = add(total, one)
    return total


def _most_first(item: tuple[Key, Counts]) -> tuple[Any, ...]:
    key, counts = item
    # The names decide between equals, so that two readings list the same rows in the same order.
    return (
        -total_tokens(counts),
        -finished(counts),
        tuple((name is None, name or "") for name in key),
    )


class ReportService:
    """Reports of one tenant.

    Args:
        repository: Reads inside one transaction, so a report is of one moment.
        now: That moment.
    """

    def __init__(self, repository: ReportRepository, *, now: datetime) -> None:
        self._repository = repository
        self._now = now

    async def usage(
        self,
        by: Sequence[Dimension],
        *,
        page: Page,
        period: Period = ALWAYS,
        service: str | None = None,
    ) -> Json:
        """Totals, and their split by the dimensions: the rows with most tokens first.

        Raises:
            BadParameter: ``run`` with a period, which the tables do not know.
        """
        columns = columns_of(by, also=["caller"])
        if "run" in columns and period.bounded:
            raise BadParameter(parameter="by", reason="run cannot be had with from or to")
        services = None if service is None else [service]
        groups = await self._repository.groups(columns, period=period, services=services)
        report: Json = {} if service is None else {"service": service}
        report |= {
            "by": [one.name for one in by],
            **_bounds(period),
            "at": iso(self._now),
            "since": iso(await self._repository.since(service=service)),
            "lastSeen": iso(await self._repository.last_seen(service=service)),
            "revision": await self._repository.revision(),
        }
        return report | self._split(groups, by, page=page)

    def _split(self, groups: list[Group], by: Sequence[Dimension], *, page: Page) -> Json:
        sums = roll_up(groups, lambda group: tuple(one.read(group.facts) for one in by))
        ranked = sorted(sums.items(), key=_most_first) if by else []
        shown = ranked[page.offset : page.offset + page.limit]
        hidden = ranked[: page.offset] + ranked[page.offset + page.limit :]
        lost = added(g.counts for g in groups if g.facts["caller"] == "unattributed")
        return {
            "totals": figures(added(sums.values())),
            "unattributed": {"calls": finished(lost), "tokens": total_tokens(lost)},
            "rowCount": len(ranked),
            "rows": [
                dict(zip((one.name for one in by), key, strict=True)) | figures(counts)
                for key, counts in shown
            ],
            "rest": figures(added(counts for _, counts in hidden)),
        }

    async def series(
        self,
        by: Sequence[Dimension],
        *,
        size: BucketSize,
        period: Period,
        service: str | None = None,
    ) -> Json:
        """What happened in each bucket, oldest first; a bucket without calls has no point.

        Raises:
            BadParameter: ``run`` among the dimensions; or more points than one answer holds.
        """
        columns = columns_of(by)
        if "run" in columns:
            raise BadParameter(parameter="by", reason="run cannot be had over time")
        minutes = BUCKET_MINUTES[size]
        groups = await self._repository.groups(
            columns,
            period=period,
            services=None if service is None else [service],
            bucket_minutes=minutes,
        )
        sums = roll_up(groups, lambda group: (group.bucket, *(one.read(group.facts) for one in by)))
        if len(sums) > MOST_POINTS:
            raise BadParameter(parameter="from", reason=f"more than {MOST_POINTS:,} points")
        ranked = sorted(
            sums.items(), key=lambda item: (item[0][0], _most_first((item[0][1:], item[1])))
        )
        return {
            "bucket": size,
            "by": [one.name for one in by],
            **_bounds(period),
            "at": iso(self._now),
            "revision": await self._repository.revision(),
            "points": [
                {"at": iso(minute_end(key[0] * minutes))}
                | dict(zip((one.name for one in by), key[1:], strict=True))
                | figures(counts)
                for key, counts in ranked
            ],
        }

    async def agents(self, *, page: Page, period: Period = ALWAYS) -> list[Json]:
        """Services by name: AgentSpec's fields, and what they spent."""
        services = await self._repository.services(limit=page.limit, offset=page.offset)
        names = [service.service for service in services]
        presences = await self._repository.presences(names)
        groups = await self._repository.groups(
            frozenset({"service"}), period=period, services=names
        )
        counts = {group.facts["service"]: group.counts for group in groups}
        return [
            self._agent(service, presences.get(service.service))
            | {"totals": figures(counts.get(service.service, ZERO_COUNTS))}
            for service in services
        ]

    def _agent(self, service: Service, presence: Presence | None) -> Json:
        silent_ms: float | None = None
        if service.last_seen is not None:
            silent_ms = (self._now - service.last_seen).total_seconds() * 1_000
        stale = silent_ms is not None and silent_ms > SILENT_INTERVALS * service.interval_ms
        ended = presence is not None and presence.running == 0
        return {
            "agentId": service.agent_id,
            "agentName": service.service,
            "runtime": service.runtime,
            "phase": service.phase,
            "grade": service.grade,
            "score": service.score,
            "lastSeen": iso(service.last_seen),
            "stale": stale,
            "state": "never"
            if silent_ms is None
            else "ended"
            if ended
            else "silent"
            if stale
            else "live",
            "originalName": service.original_name,
            "namespace": service.namespace,
            "intervalMs": service.interval_ms,
            "incarnations": presence.incarnations if presence else 0,
            "running": presence.running if presence else 0,
            "open": presence.open_calls if presence else 0,
            "undeliveredCalls": presence.undelivered_calls if presence else 0,
            "undeliveredTokens": presence.undelivered_tokens if presence else 0,
        }

    async def known(self, name: str) -> Service:
        """The service of that name.

        Raises:
            UnknownAgent: Nobody of that name.
        """
        found = await self._repository.services(name=name)
        if not found:
            raise UnknownAgent(agent=name[:64])
        return found[0]


def agentspec_window(service: Service) -> Json:
    """The latest window that the service reported, in AgentSpec's words; zeros if there was none.

    Fields beside AgentSpec's are left out, fields inside ``models`` are kept, as there.
    """
    window = service.window or {}
    return {
        "windowStartedAt": window.get("windowStartedAt"),
        "models": window.get("models", []),
        "totalTokens": window.get("totalTokens", 0),
        "totalCalls": window.get("totalCalls", 0),
        "receivedAt": iso(service.window_received_at),
    }


BY_SERVICE: Final = (DIMENSIONS["service"],)
"""The fleet's split: what the page and its stream begin with."""
