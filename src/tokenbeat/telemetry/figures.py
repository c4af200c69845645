"""What other parts tell about themselves, so that it becomes metrics: the heartbeat's figures.

The heartbeat stands above telemetry and cannot be imported here; it registers itself as a source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatFigures:
    """How the heartbeats of this incarnation are doing."""

    sent: int
    """Heartbeats that the control plane acknowledged; only rises."""
    failed: int
    """Attempts that were not acknowledged; only rises."""
    undelivered_tokens: int
    """Tokens that are counted here and not yet acknowledged."""
    age_s: float | None
    """Seconds since the last acknowledgement, or since the start; None before the first beat."""


class HeartbeatSource(Protocol):
    """Whoever sends heartbeats; asked once in each collection, in the reader's thread."""

    def heartbeat_figures(self) -> HeartbeatFigures:
        """The figures now; quick, and without any lock that is held over I/O."""
        ...
