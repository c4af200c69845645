"""Migrations: the same schema as the models, once, whoever starts at the same time."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from tokenbeat.control_plane.db.engine import Database
from tokenbeat.control_plane.db.migrate import at_head, head, migrate
from tokenbeat.control_plane.db.models import Base, CountColumns
from tokenbeat.control_plane.errors import DatabaseError
from tokenbeat.usage.counts import COUNT_FIELDS

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from ..conftest import Lab  # noqa: TID252 only for the type checkers


async def test_the_migrations_make_exactly_what_the_models_say(any_lab: Lab) -> None:
    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Base.metadata))

    async with any_lab.plane.database.read() as session:
        connection = await session.connection()
        assert await connection.run_sync(differences) == []


def test_each_count_has_its_column_in_the_order_of_the_vector() -> None:
    assert tuple(CountColumns.__annotations__) == COUNT_FIELDS


def test_the_tenant_comes_first_in_every_primary_key() -> None:
    for table in Base.metadata.tables.values():
        assert next(iter(table.primary_key.columns)).name == "tenant", table.name


async def test_migrating_again_changes_nothing(any_lab: Lab, beat: Any, cell: Any) -> None:
    await any_lab.send(beat((30, [cell("lead", 1)])))
    before = await any_lab.everything()
    await migrate(any_lab.plane.database)
    assert await any_lab.everything() == before
    async with any_lab.plane.database.read() as session:
        assert await at_head(session)


async def test_servers_that_start_at_the_same_time_migrate_once(tmp_path: Path) -> None:
    databases = [Database(f"sqlite:///{tmp_path / 'beat.sqlite3'}") for _ in range(4)]
    await asyncio.gather(*(migrate(database) for database in databases))
    async with databases[0].read() as session:
        rows = (await session.execute(text("SELECT version_num FROM alembic_version"))).all()
    assert [row[0] for row in rows] == [head()]
    for database in databases:
        await database.close()


async def test_processes_that_start_at_the_same_time_on_postgresql_migrate_once(
    fresh_postgres: str,
) -> None:
    program = (
        "import asyncio, sys\n"
        "from tokenbeat.control_plane.db.engine import Database\n"
        "from tokenbeat.control_plane.db.migrate import migrate\n"
        "async def main() -> None:\n"
        "    database = Database(sys.argv[1])\n"
        "    await migrate(database)\n"
        "    await database.close()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", program, fresh_postgres]
    started = [await asyncio.create_subprocess_exec(*command) for _ in range(3)]
    ended = await asyncio.wait_for(asyncio.gather(*(each.wait() for each in started)), timeout=60)
    assert ended == [0, 0, 0]


async def test_a_schema_of_a_newer_version_is_refused(lab: Lab) -> None:
    async with lab.plane.database.write() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseError, match="9999"):
        await migrate(lab.plane.database)


async def test_a_database_that_cannot_be_reached_stops_the_start(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path / 'no' / 'folder'}", "postgresql://u:p@127.0.0.1:1/none"):
        database = Database(url)
        with pytest.raises(DatabaseError) as stopped:
            await migrate(database)
        assert "u:p" not in str(stopped.value)
        await database.close()
