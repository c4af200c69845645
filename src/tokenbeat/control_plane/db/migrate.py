"""Brings a database to the schema of this version, once, whoever else starts at the same time."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from tokenbeat.control_plane.db.engine import lock_schema
from tokenbeat.control_plane.errors import DatabaseError

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncSession

    from tokenbeat.control_plane.db.engine import Database

_MIGRATIONS = "tokenbeat.control_plane.db.migrations"


async def migrate(database: Database) -> None:
    """Run the migrations that are missing, all in one transaction, under a lock.

    Raises:
        DatabaseError: It cannot be reached, or a newer version of the control plane made it.
    """
    try:
        await database.prepare()
        async with database.write() as session:
            await session.run_sync(lambda sync: _upgrade(sync.connection()))
    except (DBAPIError, OSError) as error:
        raise DatabaseError(reason=f"{type(error).__name__} while migrating") from error


async def at_head(session: AsyncSession) -> bool:
    """Whether the database has the schema of this version."""
    return await session.run_sync(lambda sync: _current(sync.connection()) == head())


def head() -> str | None:
    """The latest migration of this version."""
    with as_file(files(_MIGRATIONS)) as folder:
        return ScriptDirectory(str(folder)).get_current_head()


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection) -> None:
    lock_schema(connection)
    with as_file(files(_MIGRATIONS)) as folder:
        config = Config()
        config.set_main_option("script_location", str(folder))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise DatabaseError(
                reason=f"its schema {_current(connection)!r} is not known to this version ({error})"
            ) from error
