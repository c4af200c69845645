"""What a 422 named: held back or sent capped, while everything else goes on.

Example:
    A cell grew by 25,000,000,000 tokens during an outage and the server takes 10,000,000,000 a
    beat: it answers 422 with ``largest`` 10,000,000,000. The sender sends that, then
    20,000,000,000, then the truth. Any value below the truth is safe, because the next one can only
    be greater; the beat's revision stays below the cell's change until then.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from tokenbeat.usage.counts import COUNT_FIELDS, WIRE_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokenbeat.usage.call import CellKey
    from tokenbeat.usage.counts import Counts

_PARKED_NS: Final = 3_600 * 1_000_000_000
"""After an hour what was refused is tried again: a server may have been upgraded."""

_COUNT_INDEX: Final = {
    f"{group}.{name}" if group else name: COUNT_FIELDS.index(field)
    for field, (group, name) in WIRE_NAMES.items()
}

_PLACE: Final = re.compile(
    r"tokenbeat\.(?P<list>cuts|runs)\[(?P<outer>\d+)\](?:\.cells\[(?P<inner>\d+)\])?(?:\.(?P<rest>.+))?"
)


class ItemId(NamedTuple):
    """What can be held back by itself: a cell, a run's head, or a cell of a run."""

    run: tuple[str, int] | None = None
    """(run id, part), or None for a cell of the incarnation."""
    key: CellKey | None = None
    """None for a run's head."""


class Place(NamedTuple):
    """A field of a message, taken apart."""

    of_runs: bool
    outer: int
    inner: int | None
    rest: str


def read_place(field: str) -> Place | None:
    """``tokenbeat.cuts[0].cells[3].tokens.input`` taken apart; None for any other field."""
    match = _PLACE.fullmatch(field)
    if match is None:
        return None
    inner = match["inner"]
    return Place(
        of_runs=match["list"] == "runs",
        outer=int(match["outer"]),
        inner=None if inner is None else int(inner),
        rest=match["rest"] or "",
    )


class Holds:
    """The items that a server refused, and what it would have taken."""

    def __init__(self) -> None:
        self._caps: dict[ItemId, dict[int, int]] = {}
        self._parked: dict[ItemId, int] = {}

    def refuse(self, item: ItemId, *, rest: str, largest: int | None, now_ns: int) -> None:
        """Note a refusal.

        Args:
            item: What the field belongs to.
            rest: The field inside of it, as ``tokens.input``.
            largest: The largest value that would be taken there, if the server said so.
            now_ns: Monotonic time: nanoseconds.
        """
        index = _COUNT_INDEX.get(rest)
        if index is None or largest is None or self._caps.get(item, {}).get(index) == largest:
            # No count, no limit, or the limit itself was refused: nothing of it can be sent.
            self._parked[item] = now_ns
            self._caps.pop(item, None)
        else:
            self._caps.setdefault(item, {})[index] = largest

    def parked(self, item: ItemId, *, now_ns: int) -> bool:
        """Whether nothing of this item is to be sent now (monotonic nanoseconds)."""
        since_ns = self._parked.get(item)
        if since_ns is None:
            return False
        if now_ns - since_ns >= _PARKED_NS:
            del self._parked[item]
            return False
        return True

    def capped(self, item: ItemId, counts: Counts) -> Counts:
        """The counts, none above what the server takes."""
        caps = self._caps.get(item)
        if caps is None:
            return counts
        return tuple(
            min(count, caps[index]) if index in caps else count
            for index, count in enumerate(counts)
        )

    def release(self, items: Iterable[ItemId]) -> bool:
        """A beat with these items was stored: try their full values next.

        Returns:
            Whether one of them was capped, so that there is more to send at once.
        """
        released = [self._caps.pop(item, None) for item in items if item in self._caps]
        return bool(released)

    def __bool__(self) -> bool:
        return bool(self._caps or self._parked)
