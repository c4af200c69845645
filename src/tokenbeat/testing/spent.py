"""What a ledger says that was spent, in the bill's words, so that both can be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenbeat.usage import counts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tokenbeat.ledger.books import Ledger
    from tokenbeat.ledger.snapshot import CellState
    from tokenbeat.usage.call import CellKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What calls have cost, as their client was told it. Tokens are counted once each."""

    calls: int
    """Finished calls, whatever their outcome."""
    unknown_calls: int
    """Those of them that cost something that nobody told."""
    failed_attempts: int
    """Requests that ended in an error without usage; they are no calls."""
    input_tokens: int
    """Cached input included."""
    output_tokens: int
    """Reasoning included."""
    total_tokens: int
    """Input + output + what a reported total has beyond both."""
    by_model: Mapping[str, int]
    """Total tokens by the answered model's name, else the requested one's, else ``unknown``."""
    by_caller: Mapping[str, int]
    """Total tokens by caller path, ``unattributed`` included."""


def spending(ledger: Ledger) -> Spending:
    """What the ledger's finished calls have cost so far.

    A call is in it from its end; one that is still open is not.
    """
    snapshot = ledger.snapshot()
    totals = snapshot.totals
    return Spending(
        calls=counts.finished(totals),
        unknown_calls=counts.unknown_usage(totals),
        failed_attempts=totals[counts.FAILED_ATTEMPTS],
        input_tokens=totals[counts.INPUT],
        output_tokens=totals[counts.OUTPUT],
        total_tokens=counts.total_tokens(totals),
        by_model=_sums(snapshot.cells, name=_model),
        by_caller=_sums(snapshot.cells, name=lambda key: key.caller),
    )


def _model(key: CellKey) -> str:
    return key.response_model or key.request_model or "unknown"


def _sums(cells: tuple[CellState, ...], *, name: Callable[[CellKey], str]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for cell in cells:
        sums[name(cell.key)] = sums.get(name(cell.key), 0) + counts.total_tokens(cell.counts)
    return sums
