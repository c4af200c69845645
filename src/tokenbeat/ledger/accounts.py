"""The content of the books. It changes by applying records and decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenbeat.ledger.bounds import DEFAULT_BOUNDS, Bounds
from tokenbeat.ledger.cuts import Cuts
from tokenbeat.ledger.records import NO_NOTES, End, Link, Notes, Raise, RunChange, Start
from tokenbeat.ledger.snapshot import CellState, RunState
from tokenbeat.usage.counts import (
    ZERO_COUNTS,
    Counts,
    add,
    finished,
    sum_counts,
)

if TYPE_CHECKING:
    from tokenbeat.ledger.records import Entry, Record
    from tokenbeat.usage.call import CellKey

UNATTRIBUTED_PATH = "unattributed"


class RunAccount:
    """A part of a run: what is known of it, and its cells."""

    __slots__ = (
        "cells", "changed", "ended_ns", "labels", "late", "part", "root_agent", "run_id",
        "started_ns", "status", "thread_id", "touched_ns", "user",
    )  # fmt: skip

    def __init__(self, run_id: str, part: int, started_ns: int) -> None:
        self.run_id = run_id
        self.part = part
        self.started_ns = started_ns
        self.thread_id: str | None = None
        self.root_agent: str | None = None
        self.user: str | None = None
        self.labels: dict[str, str] = {}
        self.status = "open"
        self.ended_ns: int | None = None
        self.late = False
        self.changed = 0
        self.touched_ns = started_ns
        self.cells: dict[CellKey, tuple[Counts, int]] = {}

    def state(self, *, since: int) -> RunState:
        """A copy with the cells that changed after ``since``."""
        cells = tuple(
            CellState(key, counts, changed)
            for key, (counts, changed) in self.cells.items()
            if changed > since
        )
        return RunState(
            run_id=self.run_id, part=self.part, thread_id=self.thread_id,
            root_agent=self.root_agent, user=self.user, labels=dict(self.labels),
            status=self.status, started_ns=self.started_ns, ended_ns=self.ended_ns,
            late=self.late, cells=cells, changed=self.changed,
        )  # fmt: skip


class Accounts:
    """Cells, runs and open calls after any number of records.

    Records may be applied in another order than that of their ordinals, as threads finish their
    writes: everything here is a sum or belongs to one call.

    Args:
        bounds: How long cuts are kept.
        keep_cuts: Whether anybody will ask for windows.
    """

    def __init__(self, *, bounds: Bounds = DEFAULT_BOUNDS, keep_cuts: bool = True) -> None:
        self.cells: dict[CellKey, tuple[Counts, int]] = {}
        self.runs: dict[tuple[str, int], RunAccount] = {}
        self.open: dict[int, Start] = {}
        self.held: dict[int, End] = {}
        self.envelopes: set[int] = set()
        self.started = 0
        self.folded = 0
        self.anomalies: dict[str, int] = {}
        self.reconciliations: dict[str, int] = {}
        self.run_cells = 0
        self.at_ns = 0
        self.cuts: Cuts | None = Cuts(bounds=bounds) if keep_cuts else None

    def apply(self, record: Record) -> None:
        """Changes the books by one record; the only way in which they change."""
        self.at_ns = max(self.at_ns, record.at_ns)
        if isinstance(record, Start):
            self.started += 1
            self.open[record.call] = record
            if record.inside is not None:
                self.envelopes.add(record.inside)
        elif isinstance(record, End):
            self._end(record)
        elif isinstance(record, Raise):
            if record.entry is not None and record.counts is not None:
                self._enter(record.entry, record.counts, record)
            self._note(record.notes)
        elif isinstance(record, Link):
            if record.inside in self.open:
                self.envelopes.add(record.inside)
        else:
            self._run(record)

    @property
    def totals(self) -> Counts:
        """The sum over all cells: made when it is asked for, not when a call is entered."""
        return sum_counts(counts for counts, _ in self.cells.values())

    @property
    def unattributed(self) -> int:
        """Finished calls that nobody is known for."""
        return sum(
            finished(counts)
            for key, (counts, _) in self.cells.items()
            if key.caller == UNATTRIBUTED_PATH
        )

    def counts_of(self, key: CellKey) -> Counts:
        """A cell's counts; zeros where there is no such cell."""
        cell = self.cells.get(key)
        return ZERO_COUNTS if cell is None else cell[0]

    def open_leaves(self) -> list[Start]:
        """Calls that began and did not end; envelopes are no calls."""
        return [start for call, start in self.open.items() if call not in self.envelopes]

    @property
    def open_calls(self) -> int:
        """How many `open_leaves` there are, held calls included: they are in no cell yet."""
        if not self.envelopes:
            return len(self.open) + len(self.held)
        return len(self.open_leaves()) + len(self.held)

    def _end(self, record: End) -> None:
        call = record.call
        self.open.pop(call, None)
        self.envelopes.discard(call)
        if record.notes is not NO_NOTES:
            self._note(record.notes)
        if record.held:
            self.held[call] = record
            return
        self.held.pop(call, None)
        if record.entry is not None and record.counts is not None:
            self._enter(record.entry, record.counts, record)

    def _enter(self, entry: Entry, counts: Counts, record: End | Raise) -> None:
        key, run, run_caller = entry
        cuts = self.cuts
        if cuts is not None:
            cuts.close_before(record.at_ns, self.counts_of)
            cuts.touch(key, record.at_ns)
        cell = self.cells.get(key)
        ordinal = record.ordinal
        if cell is None:
            self.cells[key] = (counts, ordinal)
        else:
            before, changed = cell
            self.cells[key] = (add(before, counts), max(changed, ordinal))
        if run is not None:
            if run_caller != key.caller:
                key = key._replace(caller=run_caller)
            self._enter_run(run, key, counts, record)

    def _enter_run(
        self, run: tuple[str, int], key: CellKey, counts: Counts, record: End | Raise
    ) -> None:
        account = self.runs.get(run)
        if account is None:
            account = self.runs[run] = RunAccount(run[0], run[1], record.at_ns)
        before, changed = account.cells.get(key, (ZERO_COUNTS, 0))
        self.run_cells += before is ZERO_COUNTS
        account.cells[key] = (add(before, counts), max(changed, record.ordinal))
        account.changed = max(account.changed, record.ordinal)
        account.touched_ns = record.at_ns
        account.late = account.late or account.ended_ns is not None

    def _run(self, record: RunChange) -> None:
        account = self.runs.get((record.run_id, record.part))
        if account is None:
            account = RunAccount(record.run_id, record.part, record.at_ns)
            self.runs[record.run_id, record.part] = account
        if record.ordinal > account.changed or record.status != "open":
            account.status = record.status
            account.ended_ns = None if record.status == "open" else record.at_ns
        account.thread_id = record.thread_id or account.thread_id
        account.root_agent = record.root_agent or account.root_agent
        account.user = record.user or account.user
        if record.labels is not None:
            account.labels.update(record.labels)
        account.touched_ns = record.at_ns
        account.changed = max(account.changed, record.ordinal)

    def _note(self, notes: Notes) -> None:
        for reason in notes.anomalies:
            self.anomalies[reason] = self.anomalies.get(reason, 0) + 1
        for reason, tokens in notes.reconciliations:
            self.reconciliations[reason] = self.reconciliations.get(reason, 0) + tokens
        self.folded += notes.folded

    def forget_run(self, run: tuple[str, int]) -> None:
        """Drops a run from memory; what is entered for it later opens a new part."""
        account = self.runs.pop(run, None)
        if account is not None:
            self.run_cells -= len(account.cells)
