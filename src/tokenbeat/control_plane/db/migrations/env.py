"""What Alembic runs: the migrations, on the connection that `db.migrate` gives.

There is no second way with a URL from a file, and so no second place for settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import context

from tokenbeat.control_plane.db.models import Base

if TYPE_CHECKING:
    from sqlalchemy import Connection

connection: Connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    # SQLite cannot alter a table in place; Alembic then copies it.
    render_as_batch=connection.dialect.name == "sqlite",
)
context.run_migrations()
