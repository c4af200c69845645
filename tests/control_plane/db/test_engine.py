"""Transactions: what commits, what rolls back, what a reader sees."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import StatementError

from tokenbeat.control_plane.db import engine
from tokenbeat.control_plane.db.engine import Database, database_url
from tokenbeat.control_plane.db.models import Tenant
from tokenbeat.control_plane.errors import DatabaseError

if TYPE_CHECKING:
    from pathlib import Path

    from ..conftest import Lab  # noqa: TID252 only for the type checkers


async def _revision(lab: Lab) -> int:
    async with lab.plane.database.read() as session:
        return await session.scalar(select(Tenant.revision)) or 0


async def test_a_writer_commits_at_its_end_and_rolls_back_at_an_error(any_lab: Lab) -> None:
    async with any_lab.plane.database.write() as session:
        await session.execute(update(Tenant).values(revision=7))
    assert await _revision(any_lab) == 7

    async def failing() -> None:
        async with any_lab.plane.database.write() as session:
            await session.execute(update(Tenant).values(revision=8))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failing()
    assert await _revision(any_lab) == 7


async def test_all_that_a_reader_reads_is_of_one_moment(any_lab: Lab) -> None:
    async with any_lab.plane.database.read() as reading:
        before = await reading.scalar(select(Tenant.revision))
        async with any_lab.plane.database.write() as writing:
            await writing.execute(update(Tenant).values(revision=Tenant.revision + 1))
        assert await reading.scalar(select(Tenant.revision)) == before
    assert await _revision(any_lab) == (before or 0) + 1


async def test_sqlite_is_set_up_to_survive_and_to_wait(lab: Lab) -> None:
    async with lab.plane.database.read() as session:
        values = [
            await session.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        ]
    assert values == ["wal", 2, 10_000, 1]


async def test_times_come_back_aware_whatever_offset_they_went_in_with(any_lab: Lab) -> None:
    moment = datetime(2026, 4, 1, 2, 0, 0, 123_456, tzinfo=timezone(timedelta(hours=2)))
    async with any_lab.plane.database.write() as session:
        await session.execute(update(Tenant).values(created_at=moment))
    async with any_lab.plane.database.read() as session:
        back = await session.scalar(select(Tenant.created_at))
    assert back is not None
    assert back.isoformat() == "2026-04-01T00:00:00.123456+00:00"


async def test_a_time_without_an_offset_is_refused(any_lab: Lab) -> None:
    naive = datetime(2026, 4, 1)  # noqa: DTZ001 the case under test
    with pytest.raises((StatementError, DatabaseError), match="no offset"):
        async with any_lab.plane.database.write() as session:
            await session.execute(update(Tenant).values(created_at=naive))


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite:///a.sqlite3", "sqlite+aiosqlite"),
        ("postgres://u:p@h/d", "postgresql+asyncpg"),
        ("postgresql://u:p@h/d", "postgresql+asyncpg"),
        ("postgresql+asyncpg://u:p@h/d", "postgresql+asyncpg"),
    ],
)
def test_an_address_gets_the_driver_that_is_used(url: str, driver: str) -> None:
    assert database_url(url).drivername == driver


@pytest.mark.parametrize("url", ["mysql://u:p@h/d", "no address", "postgresql+psycopg2://u:p@h/d"])
def test_another_database_is_refused_without_repeating_the_address(url: str) -> None:
    with pytest.raises(DatabaseError) as refused:
        Database(url)
    assert "u:p" not in str(refused.value)


def test_a_driver_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(DatabaseError, match="asyncpg"):
        Database("postgresql://u:p@h/d")


async def test_a_file_that_others_keep_busy_is_given_up_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_BUSY_MS", 100)
    file = tmp_path / "busy.sqlite3"
    with closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN EXCLUSIVE")
        database = Database(f"sqlite:///{file}")
        with pytest.raises(DatabaseError, match="busy"):
            await database.prepare()
        other.rollback()
        await database.prepare()
        await database.close()
