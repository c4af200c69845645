"""Cells, buckets and their keys in the database: read what is held, write what rose."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select

from tokenbeat.control_plane.db.engine import insert
from tokenbeat.control_plane.db.models import Bucket, Cell, CellKeyRow, RunCell
from tokenbeat.usage.counts import COUNT_FIELDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sqlalchemy.ext.asyncio import AsyncSession

    from tokenbeat.usage.call import CellKey
    from tokenbeat.usage.counts import Counts

_HASH_DIGITS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose cells."""

    tenant: str
    incarnation: str


def cell_id(key: CellKey) -> str:
    """A cell's name in the tables: 128 bits of SHA-256 over its key."""
    text = json.dumps(key, ensure_ascii=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()[:_HASH_DIGITS]


async def held_cells(
    session: AsyncSession, *, owner: Owner, keys: Collection[CellKey]
) -> tuple[dict[CellKey, Counts], int]:
    """Counts of those of ``keys`` that the incarnation has, and how many cells it has in all."""
    by_id = {cell_id(key): key for key in keys}
    mine = (Cell.tenant == owner.tenant, Cell.incarnation == owner.incarnation)
    columns = [getattr(Cell, name) for name in COUNT_FIELDS]
    rows = await session.execute(select(Cell.cell, *columns).where(*mine, Cell.cell.in_(by_id)))
    held = {by_id[row[0]]: tuple(row[1:]) for row in rows.all()}
    count = await session.scalar(select(func.count()).select_from(Cell).where(*mine))
    return held, count or 0


async def held_run_cells(
    session: AsyncSession, *, owner: Owner, runs: Collection[str]
) -> dict[tuple[str, int], dict[str, Counts]]:
    """All cells of some runs, by (run, part) and `cell_id`."""
    columns = [getattr(RunCell, name) for name in COUNT_FIELDS]
    rows = await session.execute(
        select(RunCell.run, RunCell.part, RunCell.cell, *columns).where(
            RunCell.tenant == owner.tenant,
            RunCell.incarnation == owner.incarnation,
            RunCell.run.in_(runs),
        )
    )
    held: dict[tuple[str, int], dict[str, Counts]] = {}
    for row in rows.all():
        held.setdefault((row[0], row[1]), {})[row[2]] = tuple(row[3:])
    return held


async def ensure_keys(session: AsyncSession, *, tenant: str, keys: Iterable[CellKey]) -> None:
    """Write down what the cells of these keys count for, unless that is known."""
    by_id = {cell_id(key): key for key in keys}
    known = await session.scalars(
        select(CellKeyRow.cell).where(CellKeyRow.tenant == tenant, CellKeyRow.cell.in_(by_id))
    )
    new = sorted(by_id.keys() - set(known))
    if new:
        # In one order everywhere: two beats that bring the same new keys wait, and never in a ring.
        rows = [{"tenant": tenant, "cell": cell, **by_id[cell]._asdict()} for cell in new]
        await session.execute(insert(session, CellKeyRow).on_conflict_do_nothing(), rows)


async def write_cells(
    session: AsyncSession, *, owner: Owner, cells: Mapping[CellKey, Counts]
) -> None:
    """Set cells to their new counts."""
    rows = [_row(owner, counts, cell=cell_id(key)) for key, counts in cells.items()]
    await _set(session, Cell, rows=rows)


async def write_run_cells(
    session: AsyncSession, *, owner: Owner, run: str, part: int, cells: Mapping[CellKey, Counts]
) -> None:
    """Set the cells of a run to their new counts."""
    rows = [
        _row(owner, counts, run=run, part=part, cell=cell_id(key)) for key, counts in cells.items()
    ]
    await _set(session, RunCell, rows=rows)


async def write_increases(
    session: AsyncSession, *, owner: Owner, increases: Mapping[tuple[int, CellKey], Counts]
) -> None:
    """Add increases to their minutes."""
    rows = [
        _row(owner, counts, minute=minute, cell=cell_id(key))
        for (minute, key), counts in increases.items()
    ]
    if not rows:
        return
    adding = insert(session, Bucket)
    sums = {name: getattr(Bucket, name) + adding.excluded[name] for name in COUNT_FIELDS}
    keys = ["tenant", "incarnation", "minute", "cell"]
    await session.execute(adding.on_conflict_do_update(index_elements=keys, set_=sums), rows)


async def _set(
    session: AsyncSession, table: type[Cell | RunCell], *, rows: list[dict[str, Any]]
) -> None:
    if not rows:
        return
    setting = insert(session, table)
    values = {name: setting.excluded[name] for name in COUNT_FIELDS}
    keys = [column.name for column in table.__table__.primary_key]
    await session.execute(setting.on_conflict_do_update(index_elements=keys, set_=values), rows)


def _row(owner: Owner, counts: Counts, **place: str | int) -> dict[str, Any]:
    return {
        "tenant": owner.tenant,
        "incarnation": owner.incarnation,
        **place,
        **dict(zip(COUNT_FIELDS, counts, strict=True)),
    }
