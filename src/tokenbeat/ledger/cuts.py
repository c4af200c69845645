"""Cuts: the cells as they stood at minute boundaries, thinned out as they age."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokenbeat.ledger.bounds import SECOND_NS, Bounds
from tokenbeat.ledger.snapshot import Cut

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenbeat.usage.call import CellKey
    from tokenbeat.usage.counts import Counts

MINUTE_NS: Final = 60 * SECOND_NS
HOUR_NS: Final = 3_600 * SECOND_NS
DAY_NS: Final = 86_400 * SECOND_NS


class Cuts:
    """The closed cuts of one incarnation, and which cells the open one will hold.

    A cut holds cumulative counts, so leaving one out is always safe: its increase falls into the
    next. That is what thinning does: with cuts at 10:01 (7 tokens) and 10:02 (9 tokens) merged into
    11:00, the receiver books 9 tokens in the hour that ends at 11:00 and none twice.

    Args:
        bounds: How long windows stay a minute, then an hour, then a day long.
    """

    def __init__(self, *, bounds: Bounds) -> None:
        self._bounds = bounds
        self._closed: list[Cut] = []
        self._changed: set[CellKey] = set()
        self._ends_ns = 0

    def close_before(self, at_ns: int, counts_of: Callable[[CellKey], Counts]) -> None:
        """Closes the open cut where its minute is over at ``at_ns`` (ns since 1970).

        Args:
            at_ns: Now, on the line that never runs back.
            counts_of: The counts of a cell as they stand before any later change.
        """
        if not self._changed or at_ns < self._ends_ns:
            return
        cells = {key: counts_of(key) for key in self._changed}
        self._closed.append(Cut(self._ends_ns, cells))
        self._changed.clear()
        self._thin(at_ns)

    def touch(self, key: CellKey, at_ns: int) -> None:
        """Notes that a cell changed at ``at_ns``; the open cut ends with that minute."""
        if not self._changed:
            self._ends_ns = (at_ns // MINUTE_NS + 1) * MINUTE_NS
        self._changed.add(key)

    def kept(self) -> tuple[Cut, ...]:
        """The closed cuts, oldest first."""
        return tuple(self._closed)

    def _thin(self, now_ns: int) -> None:
        bounds = self._bounds
        kept: list[Cut] = []
        pending: dict[CellKey, Counts] = {}
        last = self._closed[-1]
        for cut in self._closed:
            age_ns = now_ns - cut.at_ns
            if age_ns <= bounds.minute_cuts_ns:
                keep = True
            elif age_ns <= bounds.hour_cuts_ns:
                keep = cut.at_ns % HOUR_NS == 0 or self._last_of(cut, HOUR_NS)
            elif age_ns <= bounds.day_cuts_ns:
                keep = cut.at_ns % DAY_NS == 0 or self._last_of(cut, DAY_NS)
            else:
                keep = False
            if keep or cut is last:
                kept.append(Cut(cut.at_ns, {**pending, **cut.cells}) if pending else cut)
                pending = {}
            else:
                pending.update(cut.cells)
        self._closed = kept

    def _last_of(self, cut: Cut, span_ns: int) -> bool:
        """Whether no later cut lies in the same hour or day: that span's own last word."""
        index = self._closed.index(cut)
        span = -(-cut.at_ns // span_ns)
        following = self._closed[index + 1 : index + 2]
        return not following or -(-following[0].at_ns // span_ns) != span
