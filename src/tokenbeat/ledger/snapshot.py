"""What a reader of the books gets: copies that hold together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenbeat.usage.call import CellKey
    from tokenbeat.usage.counts import Counts


@dataclass(frozen=True, slots=True)
class CellState:
    """A cell at one revision.

    Attributes:
        key: What it counts for.
        counts: Cumulative since the incarnation began.
        changed: The ordinal of its last change.
    """

    key: CellKey
    counts: Counts
    changed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """A part of a run at one revision.

    Attributes:
        run_id: The run.
        part: The ordinal of the record that opened this part.
        thread_id: The conversation, or None.
        root_agent: The outermost agent's name, or None.
        user: Who it was for, or None.
        labels: The user's labels.
        status: ``open`` or how it ended.
        started_ns: Wall time, ns since 1970.
        ended_ns: Wall time, or None while it is open.
        late: Whether calls were entered after it had ended.
        cells: Its cells; their caller carries instances (``researcher#2``).
        changed: The ordinal of its last change.
    """

    run_id: str
    part: int
    thread_id: str | None
    root_agent: str | None
    user: str | None
    labels: Mapping[str, str]
    status: str
    started_ns: int
    ended_ns: int | None
    late: bool
    cells: tuple[CellState, ...]
    changed: int


@dataclass(frozen=True, slots=True)
class Cut:
    """The cells that changed before a minute boundary, as they stood there.

    Attributes:
        at_ns: The boundary, ns since 1970; the increase belongs to the time before it.
        cells: Cumulative counts of the cells that changed since the cut before.
    """

    at_ns: int
    cells: Mapping[CellKey, Counts]


@dataclass(frozen=True, slots=True, kw_only=True)
class BookCounts:
    """The books about themselves, cumulative since the incarnation began.

    Attributes:
        started: Reports that began.
        finished: Calls entered, whatever their outcome.
        with_usage: Of these, calls with known usage.
        unattributed: Of these, calls that nobody is known for.
        cached: Of these, responses of a local cache.
        failed_attempts: Attempts that ended without usage.
        anomalies: Faults in what was reported, by reason.
        reconciliations: Tokens that two reports of one call disagree about, by reason.
        folded_cells: Keys that were folded into ``other``.
        journal_bytes: Bytes written to the journal.
        journal_errors: Writes that failed.
        degraded: Whether the journal misses records (a full or read-only disk).
    """

    started: int
    finished: int
    with_usage: int
    unattributed: int
    cached: int
    failed_attempts: int
    anomalies: Mapping[str, int]
    reconciliations: Mapping[str, int]
    folded_cells: int
    journal_bytes: int
    journal_errors: int
    degraded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The books at one revision.

    Attributes:
        incarnation: Whose books.
        started_ns: When the incarnation began, ns since 1970.
        revision: Every record up to this ordinal is in here; later ones may be.
        at_ns: Wall time, on a line that never runs back.
        cells: The cells that changed after ``since``, in the order of their last change.
        runs: The runs that did, in the order of their last change.
        cuts: The closed cuts that are kept, oldest first.
        open: Calls that have not ended.
        totals: The sum over all cells, whatever ``since`` was.
        books: The books about themselves.
    """

    incarnation: str
    started_ns: int
    revision: int
    at_ns: int
    cells: tuple[CellState, ...]
    runs: tuple[RunState, ...]
    cuts: tuple[Cut, ...]
    open: int
    totals: Counts
    books: BookCounts
