"""Which cell a call is entered in, and with which counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenbeat.ledger.records import Entry
from tokenbeat.usage.call import OTHER, OUTCOMES, CellKey
from tokenbeat.usage.counts import (
    CACHED,
    CACHED_INPUT,
    CACHED_OUTPUT,
    CACHED_UNCLASSIFIED,
    FAILED_ATTEMPTS,
    FIRST_TOKEN,
    ITEMS,
    OK,
    PARTIAL,
    WITH_USAGE,
    ZERO_COUNTS,
    Counts,
)

if TYPE_CHECKING:
    from tokenbeat.ledger.bounds import Bounds
    from tokenbeat.ledger.report import Report
    from tokenbeat.usage.call import Outcome
    from tokenbeat.usage.tokens import TokenUsage

_OUTCOME_INDEX = {outcome: index for index, outcome in enumerate(OUTCOMES)}
NO_CACHED_TOKENS = (0,) * (len(ZERO_COUNTS) - CACHED_INPUT)
_ATTEMPT = (*ZERO_COUNTS[:FAILED_ATTEMPTS], 1, *ZERO_COUNTS[FAILED_ATTEMPTS + 1 :])
# What almost every call is: one that ended well, with one item and with known usage.
KNOWN_CALL = tuple(int(i in {OK, WITH_USAGE, ITEMS}) for i in range(FIRST_TOKEN))

EVERYTHING_ELSE = CellKey(OTHER, OTHER, None, None, None, OTHER)
"""The one cell that is left when there are too many of caller ``other``."""


class CellKeys:
    """The keys that have a cell. A key that has one keeps it for ever.

    Args:
        bounds: How many keys there may be before new ones are folded.
    """

    def __init__(self, *, bounds: Bounds) -> None:
        self._bounds = bounds
        # The key itself as value: everything that is kept shares one object for each cell.
        self._keys: dict[CellKey, CellKey] = {}
        self._other: set[CellKey] = set()

    def known(self, key: CellKey) -> CellKey | None:
        """The key itself where it has a cell, as the one object that is kept of it."""
        return self._keys.get(key)

    def admit(self, key: CellKey) -> CellKey:
        """The key to enter a call under: ``key`` itself, or what it is folded into."""
        known = self._keys.get(key)
        if known is not None:
            return known
        if len(self._keys) < self._bounds.cells:
            self._keys[key] = key
            return key
        folded = key._replace(caller=OTHER)
        if folded in self._other:
            return folded
        if len(self._other) < self._bounds.other_cells:
            self._other.add(folded)
            return folded
        return EVERYTHING_ELSE


def key_of(report: Report) -> CellKey:
    """The key that a report asks for, before folding."""
    return CellKey(
        report.operation,
        report.provider,
        report.request_model,
        report.response_model,
        report.agent,
        report.caller.path,
    )


def entry_of(report: Report, key: CellKey) -> Entry:
    """Where a report is entered under ``key``."""
    run = report.run
    return Entry(key, None if run is None else run.key, report.caller.instance_path)


def token_counts(usage: TokenUsage | None) -> Counts:
    """A count vector with the tokens of ``usage`` and nothing else."""
    if usage is None:
        return ZERO_COUNTS
    return ZERO_COUNTS[:FIRST_TOKEN] + usage.vector() + NO_CACHED_TOKENS


def finished_as(outcome: Outcome, *, items: int) -> Counts:
    """One finished call of unknown usage."""
    counts = list(ZERO_COUNTS)
    counts[_OUTCOME_INDEX[outcome]] = 1
    counts[ITEMS] = items
    return tuple(counts)


def counts_of(report: Report) -> Counts:
    """What an ended report adds to its cell."""
    usage, outcome, items = report.usage, report.outcome or "ok", report.items
    known = usage is not None and usage.known
    if report.cached:
        return _cached_counts(finished_as(outcome, items=items), usage)
    if usage is None or not known:
        return _ATTEMPT if outcome == "error" else finished_as(outcome, items=items)
    if outcome == "ok" and items == 1 and not report.partial:
        return KNOWN_CALL + usage.vector() + NO_CACHED_TOKENS
    head = list(finished_as(outcome, items=items)[:FIRST_TOKEN])
    head[WITH_USAGE] = 1
    head[PARTIAL] = int(report.partial)
    return tuple(head) + usage.vector() + NO_CACHED_TOKENS


def _cached_counts(finished: Counts, usage: TokenUsage | None) -> Counts:
    """A local cache answered: nobody billed it, so its tokens stand apart from every total."""
    counts = list(finished)
    counts[CACHED] = 1
    if usage is not None:
        counts[CACHED_INPUT] = usage.input_tokens or 0
        counts[CACHED_OUTPUT] = usage.output_tokens or 0
        counts[CACHED_UNCLASSIFIED] = usage.unclassified_tokens or 0
    return tuple(counts)
