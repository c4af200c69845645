"""What one running control plane consists of, and how a request gets at it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, cast

from fastapi import Request  # noqa: TC002 FastAPI reads the annotation

if TYPE_CHECKING:
    from tokenbeat.clock import Clock
    from tokenbeat.control_plane.changes import Changes
    from tokenbeat.control_plane.db.engine import Database
    from tokenbeat.control_plane.keys.secrets import Secrets
    from tokenbeat.control_plane.settings import ServerSettings

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """Everything that lives as long as the server does. It stands at ``app.state.plane``."""

    settings: ServerSettings
    clock: Clock
    database: Database
    """Its ``read()`` and ``write()`` give sessions."""
    changes: Changes
    secrets: Secrets

    def now(self) -> datetime:
        """The wall clock's time, aware, UTC, to the microsecond."""
        return _EPOCH + timedelta(microseconds=self.clock.wall_ns() // 1_000)


def plane_of(request: Request) -> Plane:
    """The control plane that a request came to: a FastAPI dependency."""
    return cast("Plane", request.app.state.plane)
