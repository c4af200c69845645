"""Runs of a beat: counts by maximum, the rest from the newest beat that told of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from tokenbeat.control_plane.db.models import Run
from tokenbeat.control_plane.ingest.booking import book_run
from tokenbeat.control_plane.ingest.cells import (
    cell_id,
    held_run_cells,
    write_run_cells,
)
from tokenbeat.control_plane.moments import moment

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from tokenbeat.control_plane.ingest.booking import CountLimits
    from tokenbeat.control_plane.ingest.cells import Owner
    from tokenbeat.heartbeat.values import Beat, RunCells


async def take_runs(
    session: AsyncSession, *, owner: Owner, beat: Beat, limits: CountLimits
) -> bool:
    """Store the runs of a beat.

    The caller holds the incarnation's lock and has written down the cells' keys.

    Returns:
        Whether anything changed.

    Raises:
        CountsRefused: A run's cell is past a limit.
    """
    if not beat.runs:
        return False
    ids = {run.run_id for run in beat.runs}
    rows = await session.scalars(
        select(Run).where(
            Run.tenant == owner.tenant, Run.incarnation == owner.incarnation, Run.run.in_(ids)
        )
    )
    known = {(row.run, row.part): row for row in rows}
    held = await held_run_cells(session, owner=owner, runs=ids)
    changed = False
    for index, run in enumerate(beat.runs):
        place = (run.run_id, run.part)
        mine = held.setdefault(place, {})
        risen = book_run(
            run.cells,
            path=f"tokenbeat.runs[{index}]",
            held={
                cell.key: mine[cell_id(cell.key)] for cell in run.cells if cell_id(cell.key) in mine
            },
            cell_count=len(mine),
            limits=limits,
        )
        row = known.get(place)
        if row is None:
            row = Run(
                tenant=owner.tenant, incarnation=owner.incarnation, run=run.run_id, part=run.part
            )
            _describe(row, run, beat=beat)
            session.add(row)
            known[place] = row
            changed = True
        elif (beat.revision, moment(beat.sent_ns)) >= (row.revision, row.sent_at):
            changed |= _describe(row, run, beat=beat)
        await session.flush()
        await write_run_cells(session, owner=owner, run=run.run_id, part=run.part, cells=risen)
        # The same run can stand in a message twice.
        mine.update({cell_id(key): counts for key, counts in risen.items()})
        changed |= bool(risen)
    return changed


def _describe(row: Run, run: RunCells, *, beat: Beat) -> bool:
    """Set what is no count; answer whether a reader would see a difference."""
    row.revision = beat.revision
    row.sent_at = moment(beat.sent_ns)
    told: dict[str, object] = {
        "thread": run.thread_id,
        "root_agent": run.root_agent,
        "user_name": run.user,
        "status": run.status,
        "started_at": moment(run.started_ns),
        "ended_at": None if run.ended_ns is None else moment(run.ended_ns),
        "late": run.late,
        "labels": dict(run.labels) or None,
    }
    different = False
    for name, value in told.items():
        if getattr(row, name) != value:
            setattr(row, name, value)
            different = True
    return different
