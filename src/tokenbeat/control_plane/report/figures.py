"""Counts as JSON shows them: the names of the wire, zeros present, sums that readers want."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokenbeat.usage.counts import (
    COUNT_FIELDS,
    FAILED_ATTEMPTS,
    WIRE_NAMES,
    finished,
    total_tokens,
    unknown_usage,
)

if TYPE_CHECKING:
    from tokenbeat.usage.counts import Counts

_CALLS: Final = tuple(
    (WIRE_NAMES[name][1], index)
    for index, name in enumerate(COUNT_FIELDS)
    if WIRE_NAMES[name][0] == "calls"
)
_TOKENS: Final = tuple(
    (WIRE_NAMES[name][1], index)
    for index, name in enumerate(COUNT_FIELDS)
    if WIRE_NAMES[name][0] == "tokens"
)


def figures(counts: Counts) -> dict[str, Any]:
    """``calls``, ``failedAttempts`` and ``tokens`` of a row.

    ``calls.finished`` is the sum of the five outcomes, ``calls.unknownUsage`` those of them that
    billed an amount nobody told, ``tokens.total`` is billed input + output + unclassified.
    """
    calls: dict[str, int] = {name: counts[index] for name, index in _CALLS}
    calls["finished"] = finished(counts)
    calls["unknownUsage"] = unknown_usage(counts)
    tokens: dict[str, int] = {name: counts[index] for name, index in _TOKENS}
    tokens["total"] = total_tokens(counts)
    return {"calls": calls, "failedAttempts": counts[FAILED_ATTEMPTS], "tokens": tokens}
