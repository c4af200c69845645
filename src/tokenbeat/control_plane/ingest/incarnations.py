"""The row of an incarnation: its lock, its rate, its chain of nonces, its revision, its gauges."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from tokenbeat.control_plane.db.engine import insert
from tokenbeat.control_plane.db.models import Incarnation
from tokenbeat.control_plane.ingest.errors import (
    ClonedIncarnation,
    ForeignIncarnation,
    TooManyBeats,
)
from tokenbeat.control_plane.moments import moment

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncSession

    from tokenbeat.control_plane.ingest.cells import Owner
    from tokenbeat.heartbeat.values import Beat

_RATE_WINDOW: Final = timedelta(minutes=1)
_NEVER: Final = moment(0)


async def lock_incarnation(
    session: AsyncSession, *, owner: Owner, service: str, kind: str, now: datetime
) -> Incarnation:
    """The incarnation's row, made if it is new, locked until the transaction ends.

    Raises:
        ForeignIncarnation: It is another service's.
    """
    await session.execute(
        insert(session, Incarnation)
        .values(
            tenant=owner.tenant,
            incarnation=owner.incarnation,
            service=service,
            kind=kind,
            revision=0,
            first_seen=now,
            last_seen=now,
            beats=0,
            beat_window_at=now,
            beat_window_count=0,
            cuts_ahead=0,
            gauge_revision=0,
            sent_at=_NEVER,
            interval_ms=0,
            open_calls=0,
            final=False,
        )
        .on_conflict_do_nothing()
    )
    row = await session.scalar(
        select(Incarnation)
        .where(Incarnation.tenant == owner.tenant, Incarnation.incarnation == owner.incarnation)
        .with_for_update(key_share=True)
    )
    if row is None or row.service != service:
        raise ForeignIncarnation
    return row


async def held_revision(session: AsyncSession, *, owner: Owner) -> int:
    """The revision up to which everything of an incarnation is held; 0 for an unknown one."""
    revision = await session.scalar(
        select(Incarnation.revision).where(
            Incarnation.tenant == owner.tenant, Incarnation.incarnation == owner.incarnation
        )
    )
    return revision or 0


def count_beat(row: Incarnation, *, now: datetime, most_per_minute: int) -> None:
    """Count an accepted beat.

    Raises:
        TooManyBeats: There were enough within this minute.
    """
    since = now - row.beat_window_at
    # A clock that was set back begins a new minute as well: it must not lock anybody out.
    if not timedelta(0) <= since < _RATE_WINDOW:
        row.beat_window_at = now
        row.beat_window_count = 0
    elif row.beat_window_count >= most_per_minute:
        left = (_RATE_WINDOW - since).total_seconds()
        raise TooManyBeats(retry_after_s=max(1, math.ceil(left)))
    row.beat_window_count += 1
    row.beats += 1
    row.last_seen = now


def check_chain(row: Incarnation, beat: Beat) -> None:
    """Find out whether the beat comes from the same process image as the one before it.

    Only the process itself is in the chain. A beat whose base is above what is held here (a
    restored backup) cannot be judged and leaves the chain alone; the answer tells it the nonce.

    Raises:
        ClonedIncarnation: The sender does not know the latest nonce.
    """
    if not _in_chain(row, beat) or row.nonce is None:
        return
    if row.nonce != beat.nonce and row.nonce not in beat.nonces:
        raise ClonedIncarnation(incarnation=row.incarnation)


def settle(row: Incarnation, beat: Beat) -> str | None:
    """Move revision and nonce on.

    Returns:
        The nonce to tell the sender: the one held here, where its base was above what is held.
    """
    if beat.base > row.revision:
        return row.nonce
    if _in_chain(row, beat) and beat.nonce is not None:
        row.nonce = beat.nonce
    row.revision = max(row.revision, beat.revision)
    return None


def take_gauges(row: Incarnation, beat: Beat) -> bool:
    """Take over what is no sum, if no newer beat was here before.

    Returns:
        Whether it was taken over.
    """
    sent_at = moment(beat.sent_ns)
    if (beat.revision, sent_at) < (row.gauge_revision, row.sent_at):
        return False
    row.gauge_revision = beat.revision
    row.sent_at = sent_at
    row.started_at = moment(beat.service.started_ns)
    row.interval_ms = beat.interval_ms
    row.instance = beat.service.instance
    row.host = beat.service.host
    row.pod = beat.service.pod
    row.sdk_version = beat.service.sdk_version
    row.sender = beat.sender
    row.open_calls = beat.open_calls
    row.books = asdict(beat.books)
    row.final = beat.final
    return True


def _in_chain(row: Incarnation, beat: Beat) -> bool:
    return beat.sender == "process" and beat.base <= row.revision
