"""Copies of the books that hold together: what a snapshot is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenbeat.ledger.snapshot import BookCounts, CellState, Snapshot
from tokenbeat.usage.counts import CACHED, FAILED_ATTEMPTS, WITH_USAGE, finished

if TYPE_CHECKING:
    from tokenbeat.ledger.accounts import Accounts
    from tokenbeat.ledger.journal import Journal


def view(  # noqa: PLR0913 a snapshot says that much
    accounts: Accounts,
    *,
    incarnation: str,
    started_ns: int,
    revision: int,
    at_ns: int,
    since: int,
    journal: Journal | None,
    journal_errors: int,
) -> Snapshot:
    """The books as they stand; called under their lock.

    Args:
        accounts: Their content. A cut whose minute is over is closed.
        incarnation: Whose books.
        started_ns: When the incarnation began, ns since 1970.
        revision: The last ordinal before the first that is not applied.
        at_ns: Now, on the line that never runs back.
        since: Only cells and runs that changed after this ordinal are listed.
        journal: Where records are written, or None.
        journal_errors: Writes that failed.
    """
    cuts = accounts.cuts
    if cuts is not None:
        cuts.close_before(at_ns, accounts.counts_of)
    cells = [
        CellState(key, counts, changed)
        for key, (counts, changed) in accounts.cells.items()
        if changed > since
    ]
    runs = [run.state(since=since) for run in accounts.runs.values() if run.changed > since]
    totals = accounts.totals
    return Snapshot(
        incarnation=incarnation,
        started_ns=started_ns,
        revision=revision,
        at_ns=at_ns,
        cells=tuple(sorted(cells, key=lambda cell: cell.changed)),
        runs=tuple(sorted(runs, key=lambda run: run.changed)),
        cuts=() if cuts is None else cuts.kept(),
        open=accounts.open_calls,
        totals=totals,
        books=BookCounts(
            started=accounts.started,
            finished=finished(totals),
            with_usage=totals[WITH_USAGE],
            unattributed=accounts.unattributed,
            cached=totals[CACHED],
            failed_attempts=totals[FAILED_ATTEMPTS],
            anomalies=dict(accounts.anomalies),
            reconciliations=dict(accounts.reconciliations),
            folded_cells=accounts.folded,
            journal_bytes=0 if journal is None else journal.bytes_written,
            journal_errors=journal_errors,
            degraded=journal_errors > 0,
        ),
    )
