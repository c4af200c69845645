"""A real control plane on a real SQLite file, and rows put into its tables."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tokenbeat.clock import ManualClock
from tokenbeat.control_plane.app import create_app
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
from tokenbeat.control_plane.settings import load_settings
from tokenbeat.usage.call import CellKey
from tokenbeat.usage.counts import COUNT_FIELDS, ZERO_COUNTS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from fastapi import FastAPI
    from sqlalchemy.ext.asyncio import AsyncSession

    from tokenbeat.control_plane.plane import Plane
    from tokenbeat.usage.counts import Counts

NOW = datetime(2026, 4, 1, 12, 0, 30, tzinfo=timezone.utc)


@dataclass
class Rows:
    """Puts rows into the tables of one tenant; what a test does not care about is filled in."""

    session: AsyncSession
    tenant: str = "default"
    now: datetime = NOW

    async def service(self, name: str, **columns: Any) -> None:
        self.session.add(
            Service(
                **{
                    "tenant": self.tenant,
                    "service": name,
                    "agent_id": f"agt_{self.tenant}_{name}",
                    "original_name": name,
                    "runtime": "local",
                    "created_at": self.now,
                    "last_seen": self.now,
                    "interval_ms": 30_000,
                    "phase": "Healthy",
                    "grade": "A",
                    "score": 95,
                    **columns,
                }
            )
        )
        await self.session.flush()

    async def incarnation(self, name: str, *, service: str, **columns: Any) -> None:
        self.session.add(
            Incarnation(
                **{
                    "tenant": self.tenant,
                    "incarnation": name,
                    "service": service,
                    "kind": "tokenbeat",
                    "revision": 1,
                    "first_seen": self.now,
                    "last_seen": self.now,
                    "beats": 1,
                    "beat_window_at": self.now,
                    "beat_window_count": 1,
                    "cuts_ahead": 0,
                    "gauge_revision": 1,
                    "sent_at": self.now,
                    "interval_ms": 30_000,
                    "open_calls": 0,
                    "final": False,
                    **columns,
                }
            )
        )
        await self.session.flush()

    async def key(self, name: str, key: CellKey) -> None:
        self.session.add(CellKeyRow(tenant=self.tenant, cell=name, **key._asdict()))
        await self.session.flush()

    async def key_of(self, name: str, *, caller: str) -> None:
        await self.key(name, CellKey("chat", "openai", "gpt-4o", None, None, caller))

    async def cell(self, key: str, counts: Counts, *, incarnation: str) -> None:
        self.session.add(
            Cell(tenant=self.tenant, incarnation=incarnation, cell=key, **_columns(counts))
        )
        await self.session.flush()

    async def bucket(self, key: str, counts: Counts, *, incarnation: str, minute: int) -> None:
        self.session.add(
            Bucket(
                tenant=self.tenant,
                incarnation=incarnation,
                minute=minute,
                cell=key,
                **_columns(counts),
            )
        )
        await self.session.flush()

    async def run(self, name: str, *, incarnation: str, part: int = 0, **columns: Any) -> None:
        self.session.add(
            Run(
                **{
                    "tenant": self.tenant,
                    "incarnation": incarnation,
                    "run": name,
                    "part": part,
                    "revision": 1,
                    "sent_at": self.now,
                    "status": "open",
                    "started_at": self.now - timedelta(minutes=1),
                    "late": False,
                    **columns,
                }
            )
        )
        await self.session.flush()

    async def run_cell(
        self, key: str, counts: Counts, *, run: str, incarnation: str, part: int = 0
    ) -> None:
        self.session.add(
            RunCell(
                tenant=self.tenant,
                incarnation=incarnation,
                run=run,
                part=part,
                cell=key,
                **_columns(counts),
            )
        )
        await self.session.flush()


def _columns(counts: Counts) -> dict[str, int]:
    return dict(zip(COUNT_FIELDS, counts, strict=True))


@asynccontextmanager
async def put_rows(plane: Plane, tenant: str = "default") -> AsyncGenerator[Rows]:
    async with plane.database.write() as session:
        if await session.get(Tenant, tenant) is None:
            session.add(Tenant(tenant=tenant, revision=0, created_at=NOW))
            await session.flush()
        yield Rows(session, tenant)


@pytest.fixture
def rows_of() -> Callable[[Any], AbstractAsyncContextManager[Rows]]:
    """Puts rows into the tables of a lab."""
    return lambda lab: put_rows(lab.plane)


@dataclass
class Asked:
    """The control plane under test: its tables and its API."""

    app: FastAPI
    client: httpx.AsyncClient
    clock: ManualClock

    @property
    def plane(self) -> Plane:
        plane: Plane = self.app.state.plane
        return plane

    def rows(self, tenant: str = "default") -> AbstractAsyncContextManager[Rows]:
        """One transaction that puts rows in; a tenant that is new is made."""
        return put_rows(self.plane, tenant)

    async def json(self, path: str, *, status: int = 200) -> Any:
        answer = await self.client.get(f"/api/v1/{path}")
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
def open_plane(tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[Asked]]:
    """Starts a control plane with these settings for the length of a block."""

    @asynccontextmanager
    async def opened(**settings: object) -> AsyncGenerator[Asked]:
        clock = ManualClock(now_wall_ns=int(NOW.timestamp()) * 1_000_000_000)
        app = create_app(load_settings(data_dir=tmp_path / "plane", **settings), clock=clock)
        transport = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
        ):
            yield Asked(app, client, clock)

    return opened


@pytest.fixture
async def asked(
    open_plane: Callable[..., AbstractAsyncContextManager[Asked]],
) -> AsyncIterator[Asked]:
    """A control plane on loopback, without any data."""
    async with open_plane() as running:
        yield running


@pytest.fixture
def counted() -> Callable[..., Counts]:
    """Counts by name: ``counted(ok=1, with_usage=1, input_tokens=100)``."""

    def counts(**given: int) -> Counts:
        vector = list(ZERO_COUNTS)
        for name, value in given.items():
            vector[COUNT_FIELDS.index(name)] = value
        return tuple(vector)

    return counts
