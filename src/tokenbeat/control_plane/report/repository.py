"""The only file of the reports that knows SQL. It reads, groups and adds; it explains nothing.

Every query names the tenant. Sums are exact beyond 64 bits: SQLite stops with an error where a sum
leaves them, so the upper and lower 32 bits of each count are added apart and put together here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import Integer, and_, func, literal_column, select

from tokenbeat.control_plane.db.models import (
    Bucket,
    Cell,
    CellKeyRow,
    Incarnation,
    Run,
    RunCell,
    Service,
    Tenant,
)
from tokenbeat.control_plane.report.dimensions import COLUMNS
from tokenbeat.control_plane.report.period import ALWAYS
from tokenbeat.usage.counts import COUNT_FIELDS, finished

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.ext.asyncio import AsyncSession

    from tokenbeat.control_plane.report.dimensions import Column
    from tokenbeat.control_plane.report.period import Period
    from tokenbeat.usage.counts import Counts

    CountTable = type[Cell | Bucket | RunCell]

_LOW_BITS: Final = 32
_LOW_MASK: Final = (1 << _LOW_BITS) - 1
_KEY_COLUMNS: Final = frozenset(
    {"operation", "provider", "request_model", "response_model", "agent", "caller"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What one group of rows counted together."""

    facts: dict[str, str | None]
    """The columns that were grouped by."""
    counts: Counts
    bucket: int | None = None
    """End of the bucket, in buckets since 1970; None outside a series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """What a service's processes say of themselves, added up."""

    incarnations: int
    """Processes and forks that ever reported."""
    running: int
    """Those that have not said that they end."""
    open_calls: int
    """Calls under way in them."""
    undelivered_calls: int
    """Calls that they had counted at their last beat and that are not here."""
    undelivered_tokens: int
    """Tokens of theirs that may not be here: at most so many."""


def _number(value: int) -> ColumnElement[int]:
    """A number that stands in the SQL itself.

    PostgreSQL shifts by 32-bit numbers only, which a parameter is not, and does not see that two
    parameters of one value are the same where it groups by an expression.
    """
    return literal_column(str(int(value)), Integer)


def _exact_sums(table: CountTable) -> list[ColumnElement[int]]:
    columns = [cast("ColumnElement[int]", getattr(table, name)) for name in COUNT_FIELDS]
    return [
        half
        for column in columns
        for half in (
            func.sum(column.bitwise_rshift(_number(_LOW_BITS))),
            func.sum(column.bitwise_and(_number(_LOW_MASK))),
        )
    ]


def _together(halves: Sequence[Any]) -> Counts:
    whole = [int(half or 0) for half in halves]
    pairs = zip(whole[::2], whole[1::2], strict=True)
    return tuple((high << _LOW_BITS) + low for high, low in pairs)


_NOBODY: Final = Presence(
    incarnations=0, running=0, open_calls=0, undelivered_calls=0, undelivered_tokens=0
)


class ReportRepository:
    """Reads one tenant's tables inside one transaction."""

    def __init__(self, session: AsyncSession, *, tenant: str) -> None:
        self._session = session
        self._tenant = tenant

    async def revision(self) -> int:
        """How often the tenant's data has changed; 0 for a tenant without any."""
        query = select(Tenant.revision).where(Tenant.tenant == self._tenant)
        return (await self._session.scalar(query)) or 0

    async def groups(
        self,
        columns: AbstractSet[Column],
        *,
        period: Period = ALWAYS,
        services: Iterable[str] | None = None,
        runs: Iterable[str] | None = None,
        bucket_minutes: int | None = None,
    ) -> list[Group]:
        """Counts grouped by ``columns``.

        Read from the buckets where the period is bounded or a series is asked for, from the runs'
        cells where ``run`` is a column, else from the cells of the processes.

        Args:
            columns: What to group by; empty for one sum.
            period: Which minutes.
            services: These services only.
            runs: These runs only.
            bucket_minutes: Also group by buckets of that many minutes.
        """
        table: CountTable = Cell
        if "run" in columns:
            table = RunCell
        elif period.bounded or bucket_minutes is not None:
            table = Bucket
        chosen: list[Column] = [name for name in COLUMNS if name in columns]
        keys = [self._column(name, table) for name in chosen]
        if bucket_minutes is not None:
            size = _number(bucket_minutes)
            keys.append((Bucket.minute + (size - _number(1))) // size)
        query = self._joined(
            select(*keys, *_exact_sums(table)), table, columns=columns, services=services
        )
        if period.after is not None:
            query = query.where(Bucket.minute > period.after)
        if period.until is not None:
            query = query.where(Bucket.minute <= period.until)
        if runs is not None:
            query = query.where(RunCell.run.in_(list(runs)))
        rows = (await self._session.execute(query.group_by(*keys))).all()
        if not keys and rows[0][0] is None:
            return []
        return [
            Group(
                facts=dict(zip(map(str, chosen), row[: len(chosen)], strict=True)),
                counts=_together(row[len(keys) :]),
                bucket=None if bucket_minutes is None else int(row[len(chosen)]),
            )
            for row in rows
        ]

    def _column(self, name: Column, table: CountTable) -> ColumnElement[Any]:
        if name == "service":
            return cast("ColumnElement[Any]", Incarnation.service)
        if name in _KEY_COLUMNS:
            return cast("ColumnElement[Any]", getattr(CellKeyRow, name))
        return cast("ColumnElement[Any]", getattr(table, name))

    def _joined(
        self,
        query: Select[Any],
        table: CountTable,
        *,
        columns: AbstractSet[Column],
        services: Iterable[str] | None,
    ) -> Select[Any]:
        query = query.select_from(table).where(table.tenant == self._tenant)
        if columns & _KEY_COLUMNS:
            query = query.join(
                CellKeyRow,
                and_(CellKeyRow.tenant == table.tenant, CellKeyRow.cell == table.cell),
            )
        if services is not None or "service" in columns:
            query = query.join(
                Incarnation,
                and_(
                    Incarnation.tenant == table.tenant,
                    Incarnation.incarnation == table.incarnation,
                ),
            )
        if services is not None:
            query = query.where(Incarnation.service.in_(list(services)))
        return query

    async def services(
        self, *, limit: int | None = None, offset: int = 0, name: str | None = None
    ) -> Sequence[Service]:
        """Services by name."""
        query = select(Service).where(Service.tenant == self._tenant).order_by(Service.service)
        if name is not None:
            query = query.where(Service.service == name)
        if limit is not None:
            query = query.limit(limit)
        return (await self._session.scalars(query.offset(offset))).all()

    async def last_seen(self, *, service: str | None = None) -> datetime | None:
        """When the latest beat was accepted."""
        # Not func.max: a latest row keeps the column's type, and with it the offset.
        query = (
            select(Service.last_seen)
            .where(Service.tenant == self._tenant, Service.last_seen.is_not(None))
            .order_by(Service.last_seen.desc())
            .limit(1)
        )
        if service is not None:
            query = query.where(Service.service == service)
        return await self._session.scalar(query)

    async def since(self, *, service: str | None = None) -> datetime | None:
        """When the first process began whose counts are here."""
        began = func.coalesce(Incarnation.started_at, Incarnation.first_seen)
        query = select(began).where(Incarnation.tenant == self._tenant).order_by(began).limit(1)
        if service is not None:
            query = query.where(Incarnation.service == service)
        return await self._session.scalar(query)

    async def presences(self, services: Iterable[str]) -> dict[str, Presence]:
        """How these services' processes stand."""
        names = list(services)
        query = select(Incarnation).where(
            Incarnation.tenant == self._tenant, Incarnation.service.in_(names)
        )
        here = {
            str(group.facts["incarnation"]): finished(group.counts)
            for group in await self.groups(frozenset({"incarnation"}), services=names)
        }
        found: dict[str, Presence] = {}
        for process in await self._session.scalars(query):
            before = found.get(process.service, _NOBODY)
            books = process.books or {}
            missing = max(int(books.get("finished", 0)) - here.get(process.incarnation, 0), 0)
            found[process.service] = Presence(
                incarnations=before.incarnations + 1,
                running=before.running + (not process.final),
                open_calls=before.open_calls + (0 if process.final else process.open_calls),
                undelivered_calls=before.undelivered_calls + missing,
                undelivered_tokens=before.undelivered_tokens
                + (int(books.get("undelivered", 0)) if missing else 0),
            )
        return found

    async def run_ids(self, *, service: str | None, limit: int, offset: int) -> list[str]:
        """Runs, the latest started first; those that started together by their id."""
        query = (
            select(Run.run)
            .where(Run.tenant == self._tenant)
            .group_by(Run.run)
            .order_by(func.min(Run.started_at).desc(), Run.run)
            .limit(limit)
            .offset(offset)
        )
        if service is not None:
            query = query.join(
                Incarnation,
                and_(Incarnation.tenant == Run.tenant, Incarnation.incarnation == Run.incarnation),
            ).where(Incarnation.service == service)
        return list(await self._session.scalars(query))

    async def run_parts(self, runs: Iterable[str]) -> list[tuple[Run, str]]:
        """All parts of these runs, each with the service that reported it."""
        query = (
            select(Run, Incarnation.service)
            .join(
                Incarnation,
                and_(Incarnation.tenant == Run.tenant, Incarnation.incarnation == Run.incarnation),
            )
            .where(Run.tenant == self._tenant, Run.run.in_(list(runs)))
            .order_by(Run.run, Run.started_at, Run.incarnation, Run.part)
        )
        return [(run, service) for run, service in await self._session.execute(query)]
