"""What one incarnation has told, and what of it was acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenbeat.heartbeat.chain import Chain
from tokenbeat.heartbeat.holding import Holds, ItemId
from tokenbeat.heartbeat.settled import Settled
from tokenbeat.heartbeat.windows import Baseline, Windows
from tokenbeat.usage.counts import ZERO_COUNTS, add, subtract, total_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokenbeat.ledger.snapshot import CellState, Snapshot
    from tokenbeat.usage.call import CellKey
    from tokenbeat.usage.counts import Counts


class Account:
    """The delivery of one incarnation's books.

    Args:
        books: The id of the books that are delivered.
        started_ns: When they began: nanoseconds since 1970.
        baseline: What AgentSpec's server acknowledged for them before, by model.
    """

    def __init__(self, *, books: str, started_ns: int, baseline: Baseline | None = None) -> None:
        self.books = books
        self.incarnation = books
        """The id on the wire: that of the books, or a new one where that turned out a clone."""
        self.started_ns = started_ns
        self.settled = Settled()
        self.chain = Chain()
        self.holds = Holds()
        self.windows = Windows(started_ns=started_ns, baseline=baseline)
        self.offsets: dict[ItemId, Counts] = {}
        """What was delivered under an earlier id on the wire."""
        self.seen = 0
        """The revision at which `cells` was complete."""
        self.refused_models: frozenset[str] = frozenset()
        self.last_cut_only = False
        """Whether the server refused a closed cut: they are left out then, which is safe."""
        self._cells: dict[CellKey, CellState] = {}

    @property
    def cells(self) -> dict[CellKey, Counts]:
        """All cells as last seen."""
        return {key: cell.counts for key, cell in self._cells.items()}

    def see(self, snapshot: Snapshot) -> None:
        """Take over the cells of a snapshot that was taken since `seen` or before."""
        self._cells.update((cell.key, cell) for cell in snapshot.cells)
        self.seen = snapshot.revision

    def become(self, incarnation: str, *, snapshot: Snapshot) -> None:
        """Go on under a new id, with everything less what was acknowledged under the old one.

        The other process that runs from the same image delivers that under the old id.

        Args:
            incarnation: The new id.
            snapshot: The books, with everything in them.
        """
        for item, changed, counts in _items(snapshot):
            offset = self.offsets.get(item, ZERO_COUNTS)
            rest = subtract(counts, offset)
            held = self.settled.held(item, changed=changed, counts=rest)
            self.offsets[item] = add(offset, held)
        self.incarnation = incarnation
        self.settled = Settled()
        self.chain = Chain()
        self.holds = Holds()

    def undelivered_tokens(self, *, by_window: bool) -> int:
        """Tokens of the cells as last seen that no acknowledgement covers.

        Args:
            by_window: Whether AgentSpec's windows are what is acknowledged.
        """
        if by_window:
            return self.windows.undelivered_tokens(self.cells)
        undelivered = 0
        for cell in self._cells.values():
            item = ItemId(key=cell.key)
            rest = subtract(cell.counts, self.offsets.get(item, ZERO_COUNTS))
            held = self.settled.held(item, changed=cell.changed, counts=rest)
            undelivered += max(total_tokens(rest) - total_tokens(held), 0)
        return undelivered


def _items(snapshot: Snapshot) -> Iterator[tuple[ItemId, int, Counts]]:
    for cell in snapshot.cells:
        yield ItemId(key=cell.key), cell.changed, cell.counts
    for run in snapshot.runs:
        for cell in run.cells:
            identity = ItemId(run=(run.run_id, run.part), key=cell.key)
            yield identity, cell.changed, cell.counts
