"""The engine and its sessions. What is peculiar to SQLite or PostgreSQL stands here alone.

SQLite (one file, the default): write-ahead log, so that readers never wait; 10 s of patience with
other processes; every commit reaches the disk before the answer leaves (``synchronous=FULL``: the
answer to a heartbeat says "I have it"). Python's driver begins transactions late and as readers;
a writer that starts as a reader can fail with "database is locked" at once, so a writing
transaction begins with ``BEGIN IMMEDIATE`` (https://www.sqlite.org/lang_transaction.html). Inside
one process writers queue at a lock of ours, because SQLite's own queue is polling.

PostgreSQL (by URL): readers see one snapshot (``REPEATABLE READ``), writers lock rows.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import event, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from tokenbeat.control_plane.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from sqlalchemy import URL, Connection
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.orm import DeclarativeBase
    from sqlalchemy.pool import ConnectionPoolEntry

    Insert = postgresql.Insert | sqlite.Insert

_WRITES: Final = "tokenbeat_writes"
_BUSY_MS: Final = 10_000
_COME_AGAIN_MS: Final = 20
_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
}


def database_url(url: str) -> URL:
    """``url`` with the driver that the control plane uses.

    Args:
        url: ``sqlite:///path`` or ``postgresql://user:password@host/name``.

    Raises:
        DatabaseError: It is no address of SQLite or PostgreSQL. The address, which may hold a
            password, is not repeated.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise DatabaseError(reason="its address cannot be read") from error
    driver = _DRIVERS.get(parsed.drivername, parsed.drivername)
    if driver not in _DRIVERS.values():
        raise DatabaseError(reason=f"{parsed.drivername} is neither sqlite nor postgresql")
    return parsed.set(drivername=driver)


class Database:
    """An engine with its two kinds of transactions.

    Args:
        url: See `database_url`.

    Raises:
        DatabaseError: The address is none, or its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        address = database_url(url)
        try:
            self.engine: AsyncEngine = create_async_engine(
                address, pool_pre_ping=address.get_backend_name() != "sqlite"
            )
        except ModuleNotFoundError as error:
            raise DatabaseError(reason=f"its driver is not installed ({error})") from error
        self.dialect: str = self.engine.dialect.name
        if self.dialect == "sqlite":
            event.listen(self.engine.sync_engine, "connect", _set_up_sqlite)
            event.listen(self.engine.sync_engine, "begin", _begin_sqlite)
        writing = self.engine.execution_options(**{_WRITES: True})
        reading = (
            self.engine
            if self.dialect == "sqlite"
            else self.engine.execution_options(isolation_level="REPEATABLE READ")
        )
        self._one_writer = asyncio.Lock() if self.dialect == "sqlite" else None
        self._writers = async_sessionmaker(writing, expire_on_commit=False, autoflush=False)
        self._readers = async_sessionmaker(reading, expire_on_commit=False, autoflush=False)

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncSession]:
        """One writing transaction: commits at the end, rolls back at an exception."""
        async with self._one_writer or nullcontext(), self._writers.begin() as session:
            yield session

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncSession]:
        """One snapshot: all that is read inside is of the same moment."""
        async with self._readers() as session:
            yield session

    async def prepare(self) -> None:
        """Turn a SQLite file's write-ahead log on, once; the file remembers it.

        SQLite does not wait for others with this one, whatever its patience: the first of several
        that start at the same time does it, and the others come again.

        Raises:
            DatabaseError: The file cannot be opened, or others kept it busy all the time.
        """
        if self.dialect != "sqlite":
            return
        for _ in range(_BUSY_MS // _COME_AGAIN_MS):
            if await self._turn_on_wal():
                return
            await asyncio.sleep(_COME_AGAIN_MS / 1_000)
        raise DatabaseError(reason="others keep its file busy")

    async def _turn_on_wal(self) -> bool:
        try:
            async with self.engine.connect() as connection:
                # Below SQLAlchemy, which would begin a transaction: inside one it cannot be done.
                driver: Any = (await connection.get_raw_connection()).driver_connection
                await driver.execute("PRAGMA journal_mode = WAL")
        except (sqlite3.OperationalError, DBAPIError) as error:
            if "locked" in str(error):
                return False
            raise DatabaseError(reason=f"its file cannot be opened ({error})") from error
        return True

    async def close(self) -> None:
        """Give all connections back."""
        await self.engine.dispose()


def insert(session: AsyncSession, table: type[DeclarativeBase]) -> Insert:
    """An INSERT that knows ``ON CONFLICT``, in the words of the session's database."""
    if session.get_bind().dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def lock_schema(connection: Connection) -> None:
    """Let only one process at a time change the schema; freed at the end of the transaction."""
    if connection.dialect.name != "sqlite":  # SQLite's BEGIN IMMEDIATE is that lock
        # Any fixed number will do: the first eight bytes of SHA-256 of "tokenbeat.schema".
        connection.execute(text("SELECT pg_advisory_xact_lock(-4805320519404209978)"))


def _set_up_sqlite(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
    del entry
    # The driver's own idea of transactions is switched off: `_begin_sqlite` begins them.
    connection.isolation_level = None
    cursor: Any = connection.cursor()
    for pragma in (
        f"busy_timeout = {_BUSY_MS}",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
