"""A whole control plane for each test: real migrations, a real database, HTTP in and out."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from sqlalchemy import NullPool, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from tokenbeat.clock import ManualClock
from tokenbeat.control_plane.app import create_app
from tokenbeat.control_plane.db.models import Bucket, Cell, CellKeyRow, RunCell
from tokenbeat.control_plane.keys.registry import register
from tokenbeat.control_plane.settings import load_settings
from tokenbeat.heartbeat.times import to_wire
from tokenbeat.usage.counts import COUNT_FIELDS, ZERO_COUNTS, add

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from fastapi import FastAPI

    from tokenbeat.control_plane.keys.registry import KeyKind
    from tokenbeat.control_plane.plane import Plane

Json = dict[str, Any]

INCARNATION = "abcdefgh234567ab"
_START_NS = 1_775_001_600_000_000_000  # 2026-04-01T00:00:00Z: a minute's, hour's and day's boundary
_SECOND_NS = 1_000_000_000


@dataclass(kw_only=True)
class Lab:
    """A running control plane and what a test does with it."""

    app: FastAPI
    client: httpx.AsyncClient
    clock: ManualClock
    keys: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def plane(self) -> Plane:
        plane: Plane = self.app.state.plane
        return plane

    @property
    def admin(self) -> dict[str, str]:
        return {"X-Admin-Key": self.plane.secrets.admin_key}

    async def key(
        self, name: str = "research", *, kind: KeyKind = "agent", tenant: str = "default"
    ) -> str:
        made = await register(self.plane, tenant=tenant, kind=kind, name=name, runtime="local")
        self.keys[name] = made.key
        return made.key

    async def send(self, message: Json, *, key: str | None = None) -> httpx.Response:
        if key is None:
            key = self.keys.get("research") or await self.key()
        return await self.client.post(
            "/api/v1/heartbeat", json=message, headers={"Authorization": f"Bearer {key}"}
        )

    async def post(
        self, content: bytes | AsyncIterator[bytes], *, key: str | None = None, **headers: str
    ) -> httpx.Response:
        if key is None:
            key = self.keys.get("research") or await self.key()
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(
            "/api/v1/heartbeat",
            content=content,
            headers={"authorization": f"Bearer {key}", "content-type": "application/json"} | given,
        )

    async def rows(self, table: type[Any], **where: Any) -> list[Any]:
        async with self.plane.database.read() as session:
            conditions = [getattr(table, name) == value for name, value in where.items()]
            return list(await session.scalars(select(table).where(*conditions)))

    async def cells(self, **where: Any) -> dict[tuple[str, str], Json]:
        """Non-zero counts by (incarnation, caller)."""
        return {
            (row.incarnation, caller): _counts(row)
            for row, caller in await self._with_caller(Cell, **where)
        }

    async def minutes(self, **where: Any) -> dict[tuple[int, str], Json]:
        """Non-zero increases by (the bucket's end in minutes after the lab's start, caller)."""
        start = _START_NS // (60 * _SECOND_NS)
        return {
            (row.minute - start, caller): _counts(row)
            for row, caller in await self._with_caller(Bucket, **where)
        }

    async def runs(self) -> dict[tuple[str, int, str], Json]:
        """Non-zero counts of run cells by (run, part, caller)."""
        return {
            (row.run, row.part, caller): _counts(row)
            for row, caller in await self._with_caller(RunCell)
        }

    async def everything(self) -> list[Any]:
        """All counts there are, for "nothing was stored"."""
        return [await self.cells(), await self.minutes(), await self.runs()]

    async def buckets_equal_cells(self) -> bool:
        """The law of the books: the increases of a cell add up to it, exactly."""
        sums: dict[tuple[str, str], tuple[int, ...]] = {}
        for row in await self.rows(Bucket):
            at = (row.incarnation, row.cell)
            vector = tuple(getattr(row, name) for name in COUNT_FIELDS)
            sums[at] = add(sums.get(at, ZERO_COUNTS), vector)
        cells = {
            (row.incarnation, row.cell): tuple(getattr(row, name) for name in COUNT_FIELDS)
            for row in await self.rows(Cell)
        }
        return sums == cells

    async def _with_caller(self, table: type[Any], **where: Any) -> list[Any]:
        async with self.plane.database.read() as session:
            conditions = [getattr(table, name) == value for name, value in where.items()]
            joined = select(table, CellKeyRow.caller).join(
                CellKeyRow, (CellKeyRow.tenant == table.tenant) & (CellKeyRow.cell == table.cell)
            )
            return list((await session.execute(joined.where(*conditions))).all())


def _counts(row: Any) -> Json:
    return {name: value for name in COUNT_FIELDS if (value := getattr(row, name))}


def make_at(seconds: float) -> str:
    """A time on the wire, so many seconds after the lab's start."""
    return to_wire(_START_NS + int(seconds * _SECOND_NS))


def make_cell(
    caller: str, tokens: int, /, *, model: str = "gpt-4o", provider: str = "openai", **counts: Any
) -> Json:
    return {
        "operation": "chat",
        "provider": provider,
        "requestModel": model,
        "caller": caller,
        "calls": {"ok": 1, "withUsage": 1, "items": 1},
        "tokens": {"input": tokens},
        **counts,
    }


def make_beat(  # noqa: PLR0913 the parts of a message
    *cuts: tuple[float, list[Json]],
    incarnation: str = INCARNATION,
    service: str = "research",
    revision: int = 1,
    base: int = 0,
    sent: float = 0,
    runs: list[Json] | None = None,
    status: str = "ready",
    **more: Any,
) -> Json:
    """A message of ours. A cut is (seconds after the lab's start, cells)."""
    return {
        "health": {"status": status},
        "gap": {"score": 91},
        "tokenbeat": {
            "version": 1,
            "incarnation": incarnation,
            "service": {"name": service, "startedAt": make_at(0)},
            "sentAt": make_at(sent),
            "intervalMs": 30_000,
            "revision": revision,
            "base": base,
            "cuts": [{"at": make_at(at), "cells": cells} for at, cells in cuts],
            "runs": runs or [],
            **more,
        },
    }


@pytest.fixture
def beat() -> Any:
    return make_beat


@pytest.fixture
def cell() -> Any:
    return make_cell


@pytest.fixture
def at() -> Any:
    return make_at


@asynccontextmanager
async def open_lab(**given: Any) -> AsyncGenerator[Lab]:
    clock = ManualClock(now_wall_ns=_START_NS)
    app = create_app(load_settings(**given), clock=clock)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        yield Lab(app=app, client=client, clock=clock)


@pytest.fixture
def new_lab(tmp_path: Path) -> Any:
    """Opens a lab with settings of the test's own: ``async with new_lab(max_cells=3) as lab``."""

    def opened(**given: Any) -> Any:
        return open_lab(**{"data_dir": tmp_path / "data", **given})

    return opened


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """A control plane on a SQLite file."""
    async with open_lab(data_dir=tmp_path / "data") as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
async def any_lab(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Lab]:
    """A control plane on each kind of database."""
    given: Json = {"data_dir": tmp_path / "data"}
    if request.param == "postgresql":
        given["database_url"] = await _fresh_database(request.getfixturevalue("postgres"))
    async with open_lab(**given) as opened:
        yield opened


@pytest.fixture
async def fresh_postgres(postgres: str) -> str:
    """The address of an empty PostgreSQL database."""
    return await _fresh_database(postgres)


async def _fresh_database(server: str) -> str:
    name = f"lab_{os.urandom(6).hex()}"
    address = f"{server}/postgres".replace("postgresql:", "postgresql+asyncpg:")
    engine = create_async_engine(address, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
    await engine.dispose()
    return f"{server}/{name}"


class Served:
    """A server in a thread, on a port of its own."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        config = uvicorn.Config(app, port=0, log_level="warning", ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self.loop: asyncio.AbstractEventLoop | None = None
        self.url = ""

    def start(self) -> None:
        ready = threading.Event()
        startup = self._server.startup

        async def started(*args: Any, **kwargs: Any) -> None:
            self.loop = asyncio.get_running_loop()
            await startup(*args, **kwargs)
            ready.set()

        self._server.startup = started  # type: ignore[method-assign]  # uvicorn has no signal
        self._thread.start()
        assert ready.wait(30)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server on a real port; reads need the key, so that forgetting to ask for it shows."""
    folder = tmp_path_factory.mktemp("plane") / "data"
    server = Served(create_app(load_settings(data_dir=folder, open_reads=False)))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def served_url(served: Served) -> str:
    return served.url


@pytest.fixture
def heartbeat_key(served: Served) -> str:
    """A fleet's key of the server on a real port."""
    assert served.loop is not None
    made = register(
        served.app.state.plane, tenant="default", kind="fleet", name="all", runtime="local"
    )
    return asyncio.run_coroutine_threadsafe(made, served.loop).result(30).key


@pytest.fixture
def served_keys(served: Served, heartbeat_key: str) -> dict[str, str]:
    """Headers that open everything there."""
    admin_key = served.app.state.plane.secrets.admin_key
    return {"X-Admin-Key": admin_key, "Authorization": f"Bearer {heartbeat_key}"}


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server of our own, for as long as the tests run; its address without a name."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = shutil.which("initdb") or (str(found[-1]) if found else None)
    if initdb is None:
        pytest.skip("no PostgreSQL server: apt-get install postgresql")
    binaries = Path(initdb).resolve().parent
    folder = Path(tempfile.mkdtemp(prefix="tokenbeat-pg-"))
    as_user: list[str] = []
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = str(folder / "data")

    def run(program: str, *arguments: str) -> None:
        command = [*as_user, str(binaries / program), "-D", data, *arguments]
        with (folder / "log").open("ab") as log:
            subprocess.run(command, check=True, stdout=log, stderr=log, cwd=folder)

    run("initdb", "-U", "lab", "-A", "trust", "-E", "UTF8", "--no-sync")
    options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder} -c fsync=off"
    run("pg_ctl", "-w", "-l", str(folder / "server.log"), "-o", options, "start")
    yield f"postgresql://lab@127.0.0.1:{port}"
    run("pg_ctl", "-w", "-m", "immediate", "stop")
    shutil.rmtree(folder)
