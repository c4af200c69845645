"""AgentSpec's windows: a beat without cells.

A window is known by (service, ``windowStartedAt``) and holds, for each model, the greatest counts
that were told: the same window again changes nothing. What it rises by is entered into the cells of
an incarnation that stands for the service as a whole, so that reports need to know one kind of
number only. A window has no end, so a rise is booked into the minute of its receipt.

Two replicas that beat with one key cannot be told apart: their windows differ by their start.
"""

from __future__ import annotations

import math
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, select

from tokenbeat.control_plane.db.models import AgentSpecWindow
from tokenbeat.control_plane.db.revisions import rise
from tokenbeat.control_plane.ingest.beats import count_limits
from tokenbeat.control_plane.ingest.booking import bucket_of
from tokenbeat.control_plane.ingest.cells import (
    Owner,
    ensure_keys,
    held_cells,
    write_cells,
    write_increases,
)
from tokenbeat.control_plane.ingest.errors import CountFault, CountsRefused, TooManyBeats
from tokenbeat.control_plane.ingest.incarnations import lock_incarnation
from tokenbeat.control_plane.ingest.services import (
    lock_service,
    open_service,
    take_state,
    take_window,
)
from tokenbeat.control_plane.keys.registry import agent_id
from tokenbeat.control_plane.moments import at_ns, moment
from tokenbeat.heartbeat.errors import MessageRefused
from tokenbeat.usage.call import CellKey
from tokenbeat.usage.counts import (
    INPUT,
    ITEMS,
    OK,
    OUTPUT,
    UNCLASSIFIED,
    WITH_USAGE,
    ZERO_COUNTS,
    add,
    total_tokens,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncSession

    from tokenbeat.control_plane.db.models import Service
    from tokenbeat.control_plane.ingest.booking import CountLimits
    from tokenbeat.control_plane.plane import Plane
    from tokenbeat.heartbeat.values import Heartbeat, ModelWindow, UsageWindow
    from tokenbeat.usage.counts import Counts

_KEPT: Final = timedelta(days=35)
"""How long a window that nobody tells of any more is known as counted."""
_MOST_MODELS: Final = 1_000
_OTHER: Final = CellKey("chat", "other", "other", None, None, "unattributed")


async def take_window_beat(
    plane: Plane,
    *,
    tenant: str,
    service: str,
    heartbeat: Heartbeat,
    body: Mapping[str, object],
) -> None:
    """Store a beat without cells, or nothing of it.

    Args:
        plane: The control plane.
        tenant: Whose it is.
        service: Who reports: the key's service.
        heartbeat: The message, checked.
        body: The message as it came.

    Raises:
        TooManyBeats: The service's last such beat was accepted less than 10 s ago.
        CountsRefused: A window rises by more than it may with one beat.
        MessageRefused: A window that counts something does not say when it started, or a model's
            total is less than its parts.
    """
    now = plane.now()
    told = _told(heartbeat.usage)
    owner = Owner(tenant=tenant, incarnation=f"agentspec:{service}")
    async with plane.database.write() as session:
        await open_service(
            session,
            tenant=tenant,
            service=service,
            original_name=None,
            agent_id=agent_id(plane),
            now=now,
        )
        own = await lock_incarnation(
            session, owner=owner, service=service, kind="agentspec", now=now
        )
        news = own.beats == 0
        own.beats += 1
        own.last_seen = now
        await session.flush()
        if heartbeat.usage is not None and told:
            window = _window_key(heartbeat.usage)
            rises = await _rises(plane, session, owner=owner, window=window, told=told)
            _check_rises(rises, usage=heartbeat.usage, limits=count_limits(plane))
            news |= bool(rises)
            await _enter(session, owner=owner, rises=rises, now=now)
        shown = await lock_service(session, tenant=tenant, service=service)
        _check_rate(shown, now=now, interval=timedelta(seconds=plane.settings.window_interval_s))
        shown.last_seen = shown.windowed_at = now
        news |= take_state(shown, heartbeat)
        take_window(shown, body, now=now)
        await session.flush()
        revision = await rise(session, tenant=tenant) if news else None
    if revision is not None:
        plane.changes.announce(tenant, revision=revision)


def _told(usage: UsageWindow | None) -> dict[str, Counts]:
    """What a window says of each model that it counted something for."""
    told: dict[str, Counts] = {}
    for index, model in enumerate(usage.models if usage else ()):
        counts = _counts(model, path=f"usage.models[{index}]")
        if any(counts):
            told[model.model_id] = add(told.get(model.model_id, ZERO_COUNTS), counts)
    if told and usage is not None and usage.window_started_at is None:
        raise MessageRefused(
            field="usage.windowStartedAt", reason="is required where something was counted"
        )
    return told


def _counts(model: ModelWindow, *, path: str) -> Counts:
    known = (model.prompt_tokens or 0) + (model.completion_tokens or 0)
    if model.total_tokens < known:
        raise MessageRefused(
            field=f"{path}.totalTokens",
            reason="must not be less than promptTokens + completionTokens",
        )
    counts = list(ZERO_COUNTS)
    counts[OK] = counts[WITH_USAGE] = counts[ITEMS] = model.call_count
    counts[INPUT] = model.prompt_tokens or 0
    counts[OUTPUT] = model.completion_tokens or 0
    counts[UNCLASSIFIED] = model.total_tokens - known
    return tuple(counts)


def _window_key(usage: UsageWindow) -> str:
    if usage.window_started_ns is None:
        return usage.window_started_at or ""
    # "…00.000Z" and "…00.000000+00:00" are one window.
    return moment(usage.window_started_ns).isoformat(timespec="microseconds")


def _check_rate(service: Service, *, now: datetime, interval: timedelta) -> None:
    since = None if service.windowed_at is None else now - service.windowed_at
    # A clock that was set back must not lock anybody out.
    if since is not None and timedelta(0) <= since < interval:
        left = (interval - since).total_seconds()
        raise TooManyBeats(retry_after_s=max(1, math.ceil(left)))


async def _rises(
    plane: Plane,
    session: AsyncSession,
    *,
    owner: Owner,
    window: str,
    told: Mapping[str, Counts],
) -> dict[str, Counts]:
    """By how much each model's greatest counts in this window rise; they are stored as risen."""
    now = plane.now()
    service = owner.incarnation.removeprefix("agentspec:")
    mine = (AgentSpecWindow.tenant == owner.tenant, AgentSpecWindow.service == service)
    await session.execute(
        delete(AgentSpecWindow).where(*mine, AgentSpecWindow.heard_at < now - _KEPT)
    )
    rows = {
        row.model_id: row
        for row in await session.scalars(
            select(AgentSpecWindow).where(*mine, AgentSpecWindow.window == window)
        )
    }
    rises: dict[str, Counts] = {}
    for model_id, counts in told.items():
        row = rows.get(model_id)
        if row is None:
            row = AgentSpecWindow(
                tenant=owner.tenant,
                service=service,
                window=window,
                model_sha256=sha256(model_id.encode()).hexdigest(),
                model_id=model_id,
                prompt_tokens=0,
                completion_tokens=0,
                total_tokens=0,
                calls=0,
            )
            session.add(row)
        row.heard_at = now
        rise_by = _raise(row, counts)
        if any(rise_by):
            rises[model_id] = rise_by
    await session.flush()
    return rises


def _check_rises(rises: Mapping[str, Counts], *, usage: UsageWindow, limits: CountLimits) -> None:
    most = limits.max_increase
    faults = tuple(
        CountFault(
            field=f"usage.models[{index}].{name}",
            reason=f"must not rise by more than {most} with one beat",
            largest=max(0, told - rise_by + most),
        )
        for index, model in enumerate(usage.models)
        for rises_of in (rises.get(model.model_id, ZERO_COUNTS),)
        for name, told, rise_by in (
            ("totalTokens", model.total_tokens, total_tokens(rises_of)),
            ("callCount", model.call_count, rises_of[OK]),
        )
        if rise_by > most
    )
    if faults:
        raise CountsRefused(faults=faults)


def _raise(row: AgentSpecWindow, counts: Counts) -> Counts:
    """Raise what is held to what is told, the total first; answer the rise.

    Parts rise by no more than the total does: 342 tokens that came without parts, and later as
    200 + 142, are the same 342.
    """
    total = counts[INPUT] + counts[OUTPUT] + counts[UNCLASSIFIED]
    calls = max(0, counts[OK] - row.calls)
    left = max(0, total - row.total_tokens)
    row.calls += calls
    row.total_tokens += left
    prompt = min(left, max(0, counts[INPUT] - row.prompt_tokens))
    left -= prompt
    completion = min(left, max(0, counts[OUTPUT] - row.completion_tokens))
    left -= completion
    row.prompt_tokens += prompt
    row.completion_tokens += completion
    risen = list(ZERO_COUNTS)
    risen[OK] = risen[WITH_USAGE] = risen[ITEMS] = calls
    risen[INPUT], risen[OUTPUT], risen[UNCLASSIFIED] = prompt, completion, left
    return tuple(risen)


async def _enter(
    session: AsyncSession, *, owner: Owner, rises: Mapping[str, Counts], now: datetime
) -> None:
    """Add rises to the service's cells, and to the minute of now."""
    keys = {_key(model_id) for model_id in rises} | {_OTHER}
    held, cell_count = await held_cells(session, owner=owner, keys=keys)
    by_key: dict[CellKey, Counts] = {}
    for model_id, counts in rises.items():
        key = _key(model_id)
        if key not in held and key not in by_key:
            # Nobody could bound the models of a foreign reporter but us; totals stay exact.
            key = key if cell_count < _MOST_MODELS else _OTHER
            cell_count += key is not _OTHER
        by_key[key] = add(by_key.get(key, ZERO_COUNTS), counts)
    await ensure_keys(session, tenant=owner.tenant, keys=by_key)
    cells = {key: add(held.get(key, ZERO_COUNTS), counts) for key, counts in by_key.items()}
    await write_cells(session, owner=owner, cells=cells)
    minute = bucket_of(at_ns(now))
    increases = {(minute, key): counts for key, counts in by_key.items()}
    await write_increases(session, owner=owner, increases=increases)


def _key(model_id: str) -> CellKey:
    """AgentSpec writes ``provider/model``."""
    provider, slash, model = model_id.partition("/")
    if not slash or not provider or not model:
        return CellKey("chat", "unknown", model_id, None, None, "unattributed")
    return CellKey("chat", provider, model, None, None, "unattributed")
