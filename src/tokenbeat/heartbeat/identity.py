"""Who sends, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenbeat.heartbeat.values import Sender, Service


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment on both clocks, in nanoseconds."""

    wall_ns: int
    now_ns: int
    """Monotonic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who sends, where to, and what is drawn by chance."""

    service: Service
    sender: Sender
    url: str
    """For the log: without user, password or query."""
    new_nonce: Callable[[], str]
    new_incarnation: Callable[[], str]
    """Asked where the server heard somebody else under our id."""
