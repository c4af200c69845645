"""A beat with cells: one transaction, from the lock on its incarnation to the commit.

The order of locks is the same everywhere, so that no two transactions wait in a ring: (the service
where it is new), the incarnation, cell keys in the order of their names, cells, buckets, runs, the
service, the tenant. Rows are locked ``FOR NO KEY UPDATE``: a row that refers to a service holds its
key, and the stronger lock would wait for it while its transaction waits for our cell keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenbeat.control_plane.db.revisions import rise
from tokenbeat.control_plane.ingest.booking import CountLimits, book_cuts
from tokenbeat.control_plane.ingest.cells import (
    Owner,
    ensure_keys,
    held_cells,
    write_cells,
    write_increases,
)
from tokenbeat.control_plane.ingest.incarnations import (
    check_chain,
    count_beat,
    lock_incarnation,
    settle,
    take_gauges,
)
from tokenbeat.control_plane.ingest.runs import take_runs
from tokenbeat.control_plane.ingest.services import (
    lock_service,
    open_service,
    take_state,
    take_window,
)
from tokenbeat.control_plane.keys.registry import agent_id
from tokenbeat.control_plane.moments import at_ns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncSession

    from tokenbeat.control_plane.db.models import Incarnation
    from tokenbeat.control_plane.plane import Plane
    from tokenbeat.heartbeat.values import Beat, Heartbeat
    from tokenbeat.usage.call import CellKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a sender is told after the commit.

    Attributes:
        revision: The greatest one up to which everything of the incarnation is held.
        nonce: The one held, where the sender's base was above ``revision``; else None.
    """

    revision: int
    nonce: str | None


async def take_beat(
    plane: Plane,
    *,
    tenant: str,
    heartbeat: Heartbeat,
    beat: Beat,
    body: Mapping[str, object],
) -> Taken:
    """Store a beat, or nothing of it.

    Args:
        plane: The control plane.
        tenant: Whose it is.
        heartbeat: The message, checked.
        beat: Its part of ours.
        body: The message as it came, for what AgentSpec's readers get back unchanged.

    Raises:
        ForeignIncarnation: The incarnation is another service's.
        TooManyBeats: The incarnation beats too often.
        ClonedIncarnation: Another process image took over its id.
        CountsRefused: Counts are past a limit.
    """
    now = plane.now()
    service = beat.service
    owner = Owner(tenant=tenant, incarnation=beat.incarnation)
    async with plane.database.write() as session:
        await open_service(
            session,
            tenant=tenant,
            service=service.name,
            original_name=service.original_name,
            agent_id=agent_id(plane),
            now=now,
        )
        row = await lock_incarnation(
            session, owner=owner, service=service.name, kind="tokenbeat", now=now
        )
        count_beat(row, now=now, most_per_minute=plane.settings.beats_per_minute)
        check_chain(row, beat)
        news = row.beats == 1
        news |= await _take_counts(plane, session, owner=owner, row=row, beat=beat)
        nonce = settle(row, beat)
        before = (row.open_calls, row.final)
        newest = take_gauges(row, beat)
        news |= before != (row.open_calls, row.final)
        # Read now: the flush below would do, but after the commit the row is nobody's.
        revision = row.revision
        await session.flush()
        shown = await lock_service(session, tenant=tenant, service=service.name)
        shown.last_seen = now
        if newest:
            shown.namespace = service.namespace
            shown.original_name = service.original_name or service.name
            shown.interval_ms = beat.interval_ms
            # A dead process's last words say nothing about the health of the living.
            if beat.sender != "recovery":
                news |= take_state(shown, heartbeat)
                take_window(shown, body, now=now)
        await session.flush()
        fleet_revision = await rise(session, tenant=tenant) if news else None
    if fleet_revision is not None:
        plane.changes.announce(tenant, revision=fleet_revision)
    return Taken(revision=revision, nonce=nonce)


def count_limits(plane: Plane) -> CountLimits:
    """The limits that this server was started with."""
    settings = plane.settings
    return CountLimits(max_increase=settings.max_beat_increase, max_cells=settings.max_cells)


async def _take_counts(
    plane: Plane, session: AsyncSession, *, owner: Owner, row: Incarnation, beat: Beat
) -> bool:
    limits = count_limits(plane)
    keys = {cell.key for cut in beat.cuts for cell in cut.cells}
    held, cell_count = await held_cells(session, owner=owner, keys=keys)
    booking = book_cuts(
        beat.cuts,
        held=held,
        cell_count=cell_count,
        received_ns=at_ns(plane.now()),
        limits=limits,
    )
    await session.flush()
    # All in one go: keys taken in two steps could make two transactions wait in a ring.
    await ensure_keys(session, tenant=owner.tenant, keys=_counted_keys(beat))
    if booking.cells:
        await write_cells(session, owner=owner, cells=booking.cells)
        await write_increases(session, owner=owner, increases=booking.increases)
        row.cuts_ahead += booking.cuts_ahead
    changed = await take_runs(session, owner=owner, beat=beat, limits=limits)
    return bool(booking.cells) or changed


def _counted_keys(beat: Beat) -> set[CellKey]:
    cuts = (cell for cut in beat.cuts for cell in cut.cells)
    runs = (cell for run in beat.runs for cell in run.cells)
    return {cell.key for cell in (*cuts, *runs) if any(cell.counts)}
