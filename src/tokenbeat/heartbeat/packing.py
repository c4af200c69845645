"""Which cells and runs go into a beat of bounded size, and what revision it can claim.

Items go in the order of their last change, all cuts of a cell together. The beat's revision is the
ordinal before the first change that is left out, so that a server which took it holds everything up
to there.

Example:
    Cells changed last at 4, 7 and 9, the ledger is at 11. If all fit, the revision is 11. If the
    one of 9 does not, it is 8, and the next beat has base 8 and carries it. If the one of 4 is held
    back, the beat carries 7 and 9, but its revision is 3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tokenbeat.heartbeat.encoding import cell_json, run_json, to_bytes
from tokenbeat.heartbeat.holding import ItemId
from tokenbeat.heartbeat.limits import MAX_COUNT, MAX_CUTS
from tokenbeat.heartbeat.times import to_wire
from tokenbeat.heartbeat.values import Cell, RunCells
from tokenbeat.usage.counts import ZERO_COUNTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tokenbeat.heartbeat.encoding import Json
    from tokenbeat.heartbeat.holding import Holds
    from tokenbeat.ledger.snapshot import Cut, RunState, Snapshot
    from tokenbeat.usage.call import CellKey
    from tokenbeat.usage.counts import Counts

_CUT_BYTES: Final = len('{"at":"2026-04-01T00:00:00.000Z","cells":[]},')
_LAST_CUT: Final = -1
_RUN_HEAD_BYTES: Final = 16_384
_MAX_RUNS: Final = 900
_MAX_CLOSED_CUTS: Final = MAX_CUTS - 1


@dataclass(slots=True)
class Packed:
    """The contents of a beat, and where each of them stands in it."""

    revision: int
    complete: bool
    """Whether nothing was left out for want of room."""
    cuts: list[Json] = field(default_factory=list["Json"])
    runs: list[Json] = field(default_factory=list["Json"])
    cut_places: list[list[ItemId]] = field(default_factory=list["list[ItemId]"])
    run_places: list[tuple[ItemId, list[ItemId]]] = field(
        default_factory=list["tuple[ItemId, list[ItemId]]"]
    )
    sent: dict[ItemId, tuple[int, Counts]] = field(
        default_factory=dict["ItemId", "tuple[int, Counts]"]
    )
    """What is in it: the ordinal of its last change, and the counts as sent."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    id: ItemId
    changed: int
    counts: Counts
    run: RunState | None = None


@dataclass(slots=True)
class _Item:
    id: ItemId
    changed: int
    counts: Counts
    held: bool
    size: int
    values: list[tuple[int, Json]] = field(default_factory=list["tuple[int, Json]"])
    """For a cell: (index of the closed cut, or -1 for the last one; its JSON)."""
    run: RunState | None = None


@dataclass(slots=True, kw_only=True)
class Packer:
    """Packs one snapshot."""

    snapshot: Snapshot
    """The ledger at one revision; cells and runs that changed after ``base`` at least."""
    base: int
    """What the server holds already: an ordinal."""
    holds: Holds
    """What it refused."""
    now_ns: int
    """Monotonic time: nanoseconds."""
    skip_cuts_to_ns: int
    """Closed cuts up to this time say nothing new to the server."""
    acknowledged_change: Callable[[ItemId], int | None]
    """The ordinal of an item's last change that a server has stored; only looked at while something
    is held back."""
    offsets: Mapping[ItemId, Counts]
    """Subtracted from all counts: what another incarnation has delivered of them."""
    _closed: list[Cut] = field(init=False)

    def __post_init__(self) -> None:
        closed = [cut for cut in self.snapshot.cuts if cut.at_ns > self.skip_cuts_to_ns]
        self._closed = closed[-_MAX_CLOSED_CUTS:]

    def pack(self, *, room_bytes: int) -> Packed:
        """Pack what fits into ``room_bytes``.

        One change goes whole at least, however little room is: the cell, the run and the run's cell
        that one call changed have the same ordinal, and only together do they let the base rise.
        """
        room = room_bytes - _CUT_BYTES
        # Half of it for one cell's cuts: a run's head and cell fit into the rest.
        room_for_cuts = room // 2
        candidates, first_missing = self._candidates()
        taken: list[_Item] = []
        cuts_used: set[int] = set()
        runs_used: set[tuple[str, int]] = set()
        for candidate in candidates:
            item = self._item(candidate, room_for_cuts)
            cost = self._cost(item, cuts_used=cuts_used, runs_used=runs_used)
            fits = cost <= room and len(runs_used) < _MAX_RUNS
            if taken and not fits and candidate.changed != taken[0].changed:
                break
            room -= cost
            taken.append(item)
            cuts_used.update(index for index, _ in item.values)
            if item.id.run is not None:
                runs_used.add(item.id.run)
            if item.held:
                first_missing = min(first_missing, item.changed)
        left_out = candidates[len(taken) :]
        first_missing = min([first_missing, *(item.changed for item in left_out)])
        revision = min(self.snapshot.revision, first_missing - 1)
        return self._assemble(Packed(revision=revision, complete=not left_out), taken)

    def _candidates(self) -> tuple[list[_Candidate], int]:
        """What could be sent, in the order of sending, and the first change that cannot."""
        found: list[_Candidate] = []
        first_missing = MAX_COUNT
        for candidate in self._changed():
            if self.holds and self._parked(candidate.id):
                first_missing = min(first_missing, candidate.changed)
            else:
                found.append(candidate)
        if self.holds:
            # A held item keeps the base below it: what the server has already seen of the others
            # must not crowd out what it has not.
            found.sort(key=lambda item: (self._is_stored(item), item.changed))
        else:
            found.sort(key=lambda item: item.changed)
        return found, first_missing

    def _parked(self, identity: ItemId) -> bool:
        if self.holds.parked(identity, now_ns=self.now_ns):
            return True
        # A run's cells cannot go without its head.
        head = ItemId(run=identity.run)
        return identity.run is not None and self.holds.parked(head, now_ns=self.now_ns)

    def _changed(self) -> Iterator[_Candidate]:
        for cell in self.snapshot.cells:
            if cell.changed > self.base:
                yield _Candidate(ItemId(key=cell.key), cell.changed, cell.counts)
        for run in self.snapshot.runs:
            if run.changed > self.base:
                run_id = (run.run_id, run.part)
                yield _Candidate(ItemId(run=run_id), run.changed, ZERO_COUNTS, run)
                for cell in run.cells:
                    if cell.changed > self.base:
                        identity = ItemId(run=run_id, key=cell.key)
                        yield _Candidate(identity, cell.changed, cell.counts, run)

    def _is_stored(self, candidate: _Candidate) -> bool:
        return self.acknowledged_change(candidate.id) == candidate.changed

    def _item(self, candidate: _Candidate, room: int) -> _Item:
        full = self._less(candidate.id, candidate.counts)
        counts = self.holds.capped(candidate.id, full)
        item = _Item(
            candidate.id, candidate.changed, counts, counts != full, size=0, run=candidate.run
        )
        if candidate.run is None:
            self._add_cuts(item, room)
        elif candidate.id.key is not None:
            item.size = len(to_bytes(cell_json(Cell(candidate.id.key, counts)))) + 1
        return item

    def _add_cuts(self, item: _Item, room: int) -> None:
        key = _key(item)
        values: list[tuple[int, Json]] = []
        last: Counts | None = None
        for index, cut in enumerate(self._closed):
            counts = cut.cells.get(key)
            if counts is not None:
                last = self.holds.capped(item.id, self._less(item.id, counts))
                values.append((index, cell_json(Cell(key, last))))
        if last != item.counts:
            values.append((_LAST_CUT, cell_json(Cell(key, item.counts))))
        sizes = {index: len(to_bytes(value)) + 1 for index, value in values}
        while len(values) > 1 and sum(sizes[index] + _CUT_BYTES for index, _ in values) > room:
            # Every second one goes; the last one stays, and no token is lost with the others.
            values = values[::-1][::2][::-1]
        item.values = values
        item.size = sum(sizes[index] for index, _ in values)

    def _less(self, identity: ItemId, counts: Counts) -> Counts:
        offset = self.offsets.get(identity)
        if offset is None:
            return counts
        return tuple([max(count - off, 0) for count, off in zip(counts, offset, strict=True)])

    def _cost(self, item: _Item, *, cuts_used: set[int], runs_used: set[tuple[str, int]]) -> int:
        new_cuts = {index for index, _ in item.values} - cuts_used - {_LAST_CUT}
        cost = item.size + len(new_cuts) * _CUT_BYTES
        if item.run is not None and item.id.run not in runs_used:
            cost += len(to_bytes(_run_head(item.run))) + 1
        return cost

    def _assemble(self, packed: Packed, taken: list[_Item]) -> Packed:
        by_cut: dict[int, tuple[list[Json], list[ItemId]]] = {}
        by_run: dict[tuple[str, int], tuple[RunState, list[_Item]]] = {}
        for item in taken:
            packed.sent[item.id] = (item.changed, item.counts)
            for index, value in item.values:
                cells, places = by_cut.setdefault(index, ([], []))
                cells.append(value)
                places.append(item.id)
            if item.run is not None and item.id.run is not None:
                members = by_run.setdefault(item.id.run, (item.run, []))[1]
                if item.id.key is not None:
                    members.append(item)
        for index, cut in enumerate(self._closed):
            if index in by_cut:
                _append_cut(packed, at_ns=cut.at_ns, contents=by_cut[index])
        last = by_cut.get(_LAST_CUT, ([], []))
        _append_cut(packed, at_ns=self.snapshot.at_ns, contents=last)
        for run_id, (run, members) in by_run.items():
            head = _run_head(run)
            head["cells"] = [cell_json(Cell(_key(item), item.counts)) for item in members]
            packed.runs.append(head)
            packed.run_places.append((ItemId(run=run_id), [item.id for item in members]))
        return packed


def _append_cut(packed: Packed, *, at_ns: int, contents: tuple[list[Json], list[ItemId]]) -> None:
    cells, places = contents
    packed.cuts.append({"at": to_wire(at_ns), "cells": cells})
    packed.cut_places.append(places)


def _key(item: _Item) -> CellKey:
    assert item.id.key is not None  # noqa: S101 members of a run are its cells
    return item.id.key


def _run_head(run: RunState) -> Json:
    labels = dict(run.labels)
    while True:
        head = run_json(
            RunCells(
                run_id=run.run_id,
                part=run.part,
                thread_id=run.thread_id,
                root_agent=run.root_agent,
                user=run.user,
                labels=labels,
                status=run.status,
                started_ns=run.started_ns,
                ended_ns=run.ended_ns,
                late=run.late,
            )
        )
        if not labels or len(to_bytes(head)) <= _RUN_HEAD_BYTES:
            return head
        labels.popitem()
