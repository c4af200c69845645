"""How much the books keep, and how long they wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Limits of the books; the defaults are the product's, tests take smaller ones.

    Attributes:
        cells: Cells before a new key is folded into its caller ``other``.
        other_cells: Cells of caller ``other`` before all further keys share one.
        runs: Runs in memory before a new run is entered in the run ``other``.
        run_cells: Cells of all runs together before the same happens.
        hold_ns: How long a call without a caller waits for somebody to say who made it.
        envelope_ns: How long an ended envelope waits for a child that is still open.
        sweep_ns: Age at which an open call is given up: the last net for calls that never end.
        join_calls: Ended calls that can still be joined by response id.
        join_ns: How long they can.
        overlap_ns: How far apart two reports may lie and still be of one call.
        run_closed_ns: How long a closed run stays in memory for late usage once acknowledged.
        run_forgotten_ns: The same where nothing acknowledges runs.
        minute_cuts_ns: How far back windows are a minute long, then an hour.
        hour_cuts_ns: How far back they are an hour long, then a day.
        day_cuts_ns: How far back they are kept at all.
    """

    cells: int = 1_000
    other_cells: int = 100
    runs: int = 10_000
    run_cells: int = 20_000
    hold_ns: int = SECOND_NS
    envelope_ns: int = 5 * SECOND_NS
    sweep_ns: int = 3_600 * SECOND_NS
    join_calls: int = 10_000
    join_ns: int = 3_600 * SECOND_NS
    overlap_ns: int = SECOND_NS
    run_closed_ns: int = 300 * SECOND_NS
    run_forgotten_ns: int = 3_600 * SECOND_NS
    minute_cuts_ns: int = 3_600 * SECOND_NS
    hour_cuts_ns: int = 48 * 3_600 * SECOND_NS
    day_cuts_ns: int = 30 * 86_400 * SECOND_NS


DEFAULT_BOUNDS: Final = Bounds()
