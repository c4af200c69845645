"""How the heartbeats are doing: the metrics ``tokenbeat.heartbeat.*``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokenbeat.telemetry.figures import HeartbeatFigures

if TYPE_CHECKING:
    from tokenbeat.clock import Clock

_NS_PER_S: Final = 1_000_000_000


class Figures:
    """Counts beats of one process or fork. Plain attribute writes, so that reading needs no lock.

    Args:
        clock: Its monotonic side measures the age.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._sent = 0
        self._failed = 0
        self._undelivered_tokens = 0
        self._since_ns: int | None = None

    def begin(self) -> None:
        """Beats begin now: the age runs from here until the first acknowledgement."""
        if self._since_ns is None:
            self._since_ns = self._clock.monotonic_ns()

    def settled(self, *, acknowledged: bool, undelivered_tokens: int) -> None:
        """A beat was answered, or not."""
        if acknowledged:
            self._sent += 1
            self._since_ns = self._clock.monotonic_ns()
        else:
            self._failed += 1
        self._undelivered_tokens = undelivered_tokens

    def now(self) -> HeartbeatFigures:
        """The figures as they stand."""
        since_ns = self._since_ns
        age_s = None if since_ns is None else (self._clock.monotonic_ns() - since_ns) / _NS_PER_S
        return HeartbeatFigures(
            sent=self._sent,
            failed=self._failed,
            undelivered_tokens=self._undelivered_tokens,
            age_s=age_s,
        )
