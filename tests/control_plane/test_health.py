"""Liveness, and readiness with its two reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Lab


async def test_a_fresh_server_lives_and_is_ready(any_lab: Lab) -> None:
    assert (await any_lab.client.get("/healthz")).json() == {"status": "ok"}
    ready = await any_lab.client.get("/readyz")
    assert (ready.status_code, ready.json()) == (
        200,
        {"status": "ready", "database": True, "migrations": True},
    )


async def test_a_schema_of_another_version_is_not_ready(any_lab: Lab) -> None:
    async with any_lab.plane.database.write() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    ready = await any_lab.client.get("/readyz")
    assert (ready.status_code, ready.json()) == (
        503,
        {"status": "not ready", "database": True, "migrations": False},
    )


async def test_a_database_that_does_not_answer_is_not_ready_but_the_server_lives(
    lab: Lab, tmp_path: Path
) -> None:
    await lab.plane.database.close()
    for file in (tmp_path / "data").glob("tokenbeat.sqlite3*"):
        file.unlink()
    (tmp_path / "data" / "tokenbeat.sqlite3").mkdir()
    ready = await lab.client.get("/readyz")
    assert (ready.status_code, ready.json()) == (
        503,
        {"status": "not ready", "database": False, "migrations": False},
    )
    assert (await lab.client.get("/healthz")).status_code == 200
