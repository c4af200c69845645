"""What the server holds of one incarnation, as far as its answers tell.

The base follows the server's revision up *and down*: a server that was restored from a backup or
never heard of the incarnation says so with every answer, and the next beat carries what it lacks.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from tokenbeat.usage.counts import ZERO_COUNTS, maximum

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenbeat.heartbeat.holding import ItemId
    from tokenbeat.usage.counts import Counts

_MOST_TIMES: Final = 4_096
_MOST_ITEMS: Final = 40_000
"""Items that are remembered. Only cells of runs can be that many; the oldest belong to runs that
closed long ago."""


class Settled:
    """The base, and what was acknowledged of each cell."""

    def __init__(self) -> None:
        self.base = 0
        """The server's revision as it last told: it holds all changes up to this ordinal, and every
        beat carries what changed after it."""
        self._items: dict[ItemId, tuple[int, Counts]] = {}
        self._times: list[tuple[int, int]] = []

    def acknowledge(
        self,
        sent: Mapping[ItemId, tuple[int, Counts]],
        *,
        revision: int,
        snapshot: tuple[int, int] | None,
    ) -> None:
        """A beat was committed.

        Args:
            sent: What was in it: ordinal of the last change, and counts.
            revision: The server's revision after it.
            snapshot: Revision and time (nanoseconds since 1970) of the snapshot which it carried to
                the end; None where something was left out.
        """
        if revision < self.base:
            # It lost something. What it says to hold is all that is sure.
            kept = self._items.items()
            self._items = {item: known for item, known in kept if known[0] <= revision}
        self.base = revision
        for item, (changed, counts) in sent.items():
            before = self._items.pop(item, (0, ZERO_COUNTS))
            self._items[item] = (max(changed, before[0]), maximum(counts, before[1]))
        if len(self._items) > _MOST_ITEMS:
            oldest = [item for item in self._items if item.run is not None]
            for item in oldest[: len(self._items) - _MOST_ITEMS]:
                del self._items[item]
        if snapshot is not None and (not self._times or snapshot > self._times[-1]):
            self._times.append(snapshot)
            del self._times[:-_MOST_TIMES]

    def rebase(self, revision: int) -> None:
        """The server told its revision without having been sent anything."""
        self.acknowledge({}, revision=revision, snapshot=None)

    def changed(self, item: ItemId) -> int | None:
        """The ordinal of an item's last acknowledged change; None where nothing is known."""
        kept = self._items.get(item)
        return None if kept is None else kept[0]

    def held(self, item: ItemId, *, changed: int, counts: Counts) -> Counts:
        """What the server holds of an item that last changed at ``changed`` to ``counts``."""
        if changed <= self.base:
            return counts
        kept = self._items.get(item)
        return ZERO_COUNTS if kept is None else kept[1]

    def cuts_known_to_ns(self) -> int:
        """Closed cuts up to this time (nanoseconds since 1970) say nothing new to the server."""
        index = bisect_right(self._times, self.base, key=lambda time: time[0])
        return self._times[index - 1][1] if index else 0
