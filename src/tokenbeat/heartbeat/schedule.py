"""When the next beat goes: every interval ± 10 %, sooner while something is left, later on failure.

Example:
    With an interval of 30 s beats go 27 to 33 s apart. After failures in a row the next attempt
    comes after 0.5 to 1 s, 1 to 2 s, 2 to 4 s, … and at the latest after the interval, so that a
    control plane that is back hears everybody within one interval and not all at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokenbeat.heartbeat.limits import BEAT_INTERVAL_MS

if TYPE_CHECKING:
    from collections.abc import Callable

_JITTER: Final = 0.1
_FIRST_WAIT_S: Final = 1.0
_REST_FOLLOWS_S: Final = 1.0
_SHORTEST_LONGEST_WAIT_S: Final = 10.0
"""AgentSpec takes one beat in 10 s; backing off below that would never find the gap."""


class Schedule:
    """Counts failures and says how long to wait.

    Args:
        interval_ms: The interval that was configured: milliseconds.
        chance: A number from 0 up to 1, fresh at each call.
    """

    def __init__(self, *, interval_ms: int, chance: Callable[[], float]) -> None:
        self._interval_ms = min(max(interval_ms, 1), BEAT_INTERVAL_MS[1])
        self._chance = chance
        self._failures = 0

    @property
    def interval_ms(self) -> int:
        """The interval in force: as configured, until a server asks for another one."""
        return self._interval_ms

    @property
    def failures(self) -> int:
        """Failures since the last success."""
        return self._failures

    def succeeded(self, *, next_ms: int | None = None, more: bool = False) -> float:
        """Seconds until the next beat after a success.

        Args:
            next_ms: What the server asked for (milliseconds), clamped to 1 s … 10 min, or to less
                than 1 s where that was configured; the interval if None.
            more: Whether something did not fit and follows at once.
        """
        self._failures = 0
        interval_s = self._interval_ms / 1_000
        if more:
            return min(_REST_FOLLOWS_S, interval_s) * self._around_one()
        if next_ms is not None:
            shortest_ms, longest_ms = BEAT_INTERVAL_MS
            shortest_ms = min(shortest_ms, self._interval_ms)
            interval_s = min(max(next_ms, shortest_ms), longest_ms) / 1_000
        return interval_s * self._around_one()

    def failed(self, *, after_s: float | None = None) -> float:
        """Seconds until the next attempt after a failure.

        Args:
            after_s: What ``Retry-After`` says; then it is that and up to 10 % more.
        """
        self._failures += 1
        if after_s is not None:
            return max(after_s, 0.1) * (1 + _JITTER * self._chance())
        longest_s = max(self._interval_ms / 1_000, _SHORTEST_LONGEST_WAIT_S)
        first_s = min(_FIRST_WAIT_S, self._interval_ms / 1_000)
        wait_s = min(first_s * (1 << min(self._failures - 1, 20)), longest_s)
        return wait_s * (0.5 + 0.5 * self._chance())

    def idle(self) -> float:
        """Seconds until the next look where nothing may be sent: one interval, with jitter."""
        return self._interval_ms / 1_000 * self._around_one()

    def _around_one(self) -> float:
        return 1 + _JITTER * (2 * self._chance() - 1)
