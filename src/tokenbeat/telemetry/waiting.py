"""Histogram values wait here, so that a call does not pay for them.

``Histogram.record`` costs about 9 µs for each reader, an append 0.1. The next collection records
what waits. A value is never dropped: where nobody collects, the oldest one is recorded for each new
one that comes in, so that a full buffer costs each call its own share and none a pause.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    Waiting = tuple[Callable[..., None], tuple[Any, ...]]

MOST_WAITING: Final = 2_000
"""Calls whose values wait: one minute at 33 calls a second. Recording all of them takes 60 ms."""

_BETWEEN_BREATHS: Final = 100
"""Values after which other threads get their turn: without, they wait 5 ms at each wake-up."""


class WaitingRoom:
    """A bounded queue of things to be recorded later; safe from any thread.

    Args:
        most: How many wait at most.
    """

    __slots__ = ("_most", "_waiting")

    def __init__(self, *, most: int = MOST_WAITING) -> None:
        self._most = most
        self._waiting: deque[Waiting] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, record: Callable[..., None], *arguments: object) -> None:
        """Let ``record(*arguments)`` be called by the next `drain`, or soon if many wait."""
        waiting = self._waiting
        waiting.append((record, arguments))
        if len(waiting) > self._most:
            self._record_oldest()

    def _record_oldest(self) -> bool:
        try:
            record, arguments = self._waiting.popleft()
        except IndexError:  # another thread was quicker
            return False
        record(*arguments)
        return True

    def drain(self) -> None:
        """Record what waits now; what comes in meanwhile waits for the next time."""
        for number in range(1, len(self._waiting) + 1):
            if not self._record_oldest():
                return
            if number % _BETWEEN_BREATHS == 0:
                time.sleep(0)

    def forget(self) -> None:
        """In a forked child: what waits is the parent's, who records it."""
        self._waiting = deque()
