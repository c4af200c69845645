"""The two clocks: wall time for what is shown, monotonic time for what is measured.

Time comes in by argument everywhere; this is what is passed. Both are integers of nanoseconds: a
float of seconds since 1970 cannot tell two calls apart that are 200 ns from each other.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from tokenbeat.errors import TokenbeatError


class TimeRunsForward(TokenbeatError):
    """A clock was asked to advance by a negative duration."""

    def __init__(self, *, duration_ns: int) -> None:
        super().__init__(f"a clock cannot advance by {duration_ns} ns; see step_wall")
        self.duration_ns = duration_ns


class Clock(Protocol):
    """What everything of ours that needs the time asks for it."""

    def wall_ns(self) -> int:
        """Nanoseconds since 1970 (UTC). It can step either way: never subtract two of them."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds since some fixed moment. It never goes back; differences count."""
        ...


class SystemClock:
    """The machine's own clocks."""

    __slots__ = ()

    # The builtins themselves: a method around them would double the price on the call path.
    wall_ns = staticmethod(time.time_ns)
    monotonic_ns = staticmethod(time.monotonic_ns)


SYSTEM_CLOCK: Clock = SystemClock()
"""The clock of a living process. It has no state, so one is enough."""


@dataclass(slots=True, kw_only=True)
class ManualClock:
    """A clock that stands still until it is told otherwise: for tests and simulations.

    Example:
        ``clock = ManualClock(); clock.advance(1_000_000_000)`` moves both clocks by one second;
        ``clock.step_wall(-3_600_000_000_000)`` sets the wall clock back by an hour, as NTP or a
        resumed laptop does, and leaves the monotonic one alone.
    """

    now_wall_ns: int = 1_700_000_000_000_000_000
    """What ``wall_ns`` answers: nanoseconds since 1970. The default is in November 2023."""

    now_monotonic_ns: int = 0
    """What ``monotonic_ns`` answers: nanoseconds, >= 0."""

    def wall_ns(self) -> int:
        """See ``Clock.wall_ns``."""
        return self.now_wall_ns

    def monotonic_ns(self) -> int:
        """See ``Clock.monotonic_ns``."""
        return self.now_monotonic_ns

    def advance(self, duration_ns: int) -> None:
        """Let time pass on both clocks: ``duration_ns`` nanoseconds, 0 or more."""
        if duration_ns < 0:
            raise TimeRunsForward(duration_ns=duration_ns)
        self.now_wall_ns += duration_ns
        self.now_monotonic_ns += duration_ns

    def step_wall(self, difference_ns: int) -> None:
        """Set the wall clock forward or back (nanoseconds) without any time passing."""
        self.now_wall_ns += difference_ns
