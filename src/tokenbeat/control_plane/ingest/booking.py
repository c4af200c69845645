"""The arithmetic of ingest: maximum, increase, and the minute that an increase belongs to.

No I/O: what is held comes in by argument, what is to be written goes out. So the laws of the books
can be tried with thousands of random beats in a second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tokenbeat.control_plane.ingest.errors import CountFault, CountsRefused
from tokenbeat.heartbeat.limits import MAX_COUNT
from tokenbeat.usage.counts import COUNT_FIELDS, WIRE_NAMES, ZERO_COUNTS, add, maximum, subtract

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tokenbeat.heartbeat.values import Cell, CutCells
    from tokenbeat.usage.call import CellKey
    from tokenbeat.usage.counts import Counts

_MINUTE_NS: Final = 60 * 1_000_000_000
CLOCK_LEEWAY_NS: Final = 5 * _MINUTE_NS
"""How far a cut may lie after its receipt (nanoseconds) before its time is not believed."""
_MOST_FAULTS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class CountLimits:
    """What one beat may bring."""

    max_increase: int = 10**10
    """The most by which one count of one cell may rise."""
    max_cells: int = 1_200
    """Cells that an incarnation, or a run, may have."""


@dataclass(slots=True, kw_only=True)
class Booking:
    """What a beat changes.

    Attributes:
        cells: New counts of the cells that rose.
        increases: By how much, by minute (its end, minutes since 1970) and key.
        cuts_ahead: Cuts that were booked at their receipt, because their time is not believable.
    """

    cells: dict[CellKey, Counts] = field(default_factory=dict["CellKey", "Counts"])
    increases: dict[tuple[int, CellKey], Counts] = field(
        default_factory=dict[tuple[int, "CellKey"], "Counts"]
    )
    cuts_ahead: int = 0


def bucket_of(at_ns: int) -> int:
    """The minute bucket that holds a moment, by its end in minutes since 1970.

    A bucket holds what comes after the minute before, up to and with its end: a cut at 12:05:00
    goes into the bucket that ends at 12:05, one at 12:05:00.001 into the one that ends at 12:06.
    """
    return -(-at_ns // _MINUTE_NS)


def book_cuts(
    cuts: Sequence[CutCells],
    *,
    held: Mapping[CellKey, Counts],
    cell_count: int,
    received_ns: int,
    limits: CountLimits,
) -> Booking:
    """Take the maximum of every cell, cut by cut, and book each rise into the cut's minute.

    Args:
        cuts: In the order of time.
        held: Counts of those of their cells that are already there.
        cell_count: How many cells the incarnation has, others included.
        received_ns: When the beat was received: where a cut goes that claims to be from the future.
        limits: What is too much.

    Raises:
        CountsRefused: A cell rises by more than it may with one beat, or there are too many.
    """
    judge = _Judge(held=held, cell_count=cell_count, limits=limits)
    booking = Booking()
    for index, cut in enumerate(cuts):
        ahead = cut.at_ns > received_ns + CLOCK_LEEWAY_NS
        minute = bucket_of(received_ns if ahead else cut.at_ns)
        rose = False
        for place, cell in enumerate(cut.cells):
            judge.check(cell, path=f"tokenbeat.cuts[{index}].cells[{place}]")
            before = booking.cells.get(cell.key) or held.get(cell.key, ZERO_COUNTS)
            after = maximum(before, cell.counts)
            if after == before:
                continue
            rose = True
            booking.cells[cell.key] = after
            at = (minute, cell.key)
            booking.increases[at] = add(
                booking.increases.get(at, ZERO_COUNTS), subtract(after, before)
            )
        booking.cuts_ahead += ahead and rose
    judge.conclude()
    return booking


def book_run(
    cells: Iterable[Cell],
    *,
    path: str,
    held: Mapping[CellKey, Counts],
    cell_count: int,
    limits: CountLimits,
) -> dict[CellKey, Counts]:
    """The cells of one run that rose, with their new counts.

    Args:
        cells: As sent.
        path: The run's place in the message, as ``tokenbeat.runs[2]``.
        held: Counts of those that are already there.
        cell_count: How many cells the run has, others included.
        limits: What is too much.

    Raises:
        CountsRefused: As `book_cuts`.
    """
    judge = _Judge(held=held, cell_count=cell_count, limits=limits)
    risen: dict[CellKey, Counts] = {}
    for place, cell in enumerate(cells):
        judge.check(cell, path=f"{path}.cells[{place}]")
        before = risen.get(cell.key) or held.get(cell.key, ZERO_COUNTS)
        after = maximum(before, cell.counts)
        if after != before:
            risen[cell.key] = after
    judge.conclude()
    return risen


class _Judge:
    """Collects what is past a limit, so that one refusal names it all."""

    def __init__(
        self, *, held: Mapping[CellKey, Counts], cell_count: int, limits: CountLimits
    ) -> None:
        self._held = held
        self._room = limits.max_cells - cell_count
        self._limits = limits
        self._new: set[CellKey] = set()
        self._faults: list[CountFault] = []

    def check(self, cell: Cell, *, path: str) -> None:
        """Compare one cell with the limits."""
        held = self._held.get(cell.key)
        if held is None and cell.key not in self._new and any(cell.counts):
            self._new.add(cell.key)
            if len(self._new) > self._room:
                reason = f"is one cell more than the {self._limits.max_cells} that there can be"
                self._faults.append(CountFault(field=path, reason=reason, largest=0))
        for index, value in enumerate(cell.counts):
            # No sum over cells may leave 64 bits: that is what the increase is bounded for.
            most = min((held or ZERO_COUNTS)[index] + self._limits.max_increase, MAX_COUNT)
            if value > most:
                reason = f"must be at most {most} in this beat"
                place = f"{path}.{_wire_path(index)}"
                self._faults.append(CountFault(field=place, reason=reason, largest=most))

    def conclude(self) -> None:
        """Refuse if anything was found."""
        if self._faults:
            raise CountsRefused(faults=tuple(self._faults[:_MOST_FAULTS]))


def _wire_path(index: int) -> str:
    group, name = WIRE_NAMES[COUNT_FIELDS[index]]
    return f"{group}.{name}" if group else name
