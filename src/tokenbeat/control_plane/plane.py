"""What one running control plane consists of, and how a request gets at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from fastapi import Request  # noqa: TC002 FastAPI reads the annotation

from tokenbeat.control_plane.moments import moment

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tokenbeat.clock import Clock
    from tokenbeat.control_plane.changes import Changes
    from tokenbeat.control_plane.db.engine import Database
    from tokenbeat.control_plane.keys.secrets import Secrets
    from tokenbeat.control_plane.settings import ServerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """Everything that lives as long as the server does. It stands at ``app.state.plane``."""

    settings: ServerSettings
    clock: Clock
    database: Database
    """Its ``read()`` and ``write()`` give sessions."""
    changes: Changes
    secrets: Secrets
    chance: Callable[[int], bytes]
    """Random bytes, as many as asked for."""

    def now(self) -> datetime:
        """The wall clock's time, aware, UTC, to the microsecond."""
        return moment(self.clock.wall_ns())


def plane_of(request: Request) -> Plane:
    """The control plane that a request came to: a FastAPI dependency."""
    return cast("Plane", request.app.state.plane)
