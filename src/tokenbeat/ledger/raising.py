"""How an entered call may rise: the arithmetic of "only raise"."""

from __future__ import annotations

from typing import NamedTuple

from tokenbeat.usage.counts import (
    CACHE_READ,
    CACHE_WRITE,
    CACHE_WRITE_1H,
    CACHE_WRITE_5M,
    INPUT,
    INPUT_AUDIO,
    INPUT_IMAGE,
    INPUT_TEXT,
    OUTPUT,
    OUTPUT_AUDIO,
    OUTPUT_IMAGE,
    OUTPUT_TEXT,
    REASONING,
    UNCLASSIFIED,
    ZERO_COUNTS,
    Counts,
)

_PARTS: tuple[tuple[int, tuple[int, ...]], ...] = (
    (INPUT, (CACHE_READ, CACHE_WRITE)),
    (CACHE_WRITE, (CACHE_WRITE_5M, CACHE_WRITE_1H)),
    (OUTPUT, (REASONING,)),
    (INPUT, (INPUT_TEXT, INPUT_AUDIO, INPUT_IMAGE)),
    (OUTPUT, (OUTPUT_TEXT, OUTPUT_AUDIO, OUTPUT_IMAGE)),
)


class Rise(NamedTuple):
    """What a later report adds to an entered call.

    Attributes:
        counts: The increments; all zero where nothing rises.
        unused_tokens: What the later report has under a name that may not rise: the disagreement.
    """

    counts: Counts
    unused_tokens: int


def rise(entered: Counts, reported: Counts) -> Rise:
    """What ``reported`` adds to ``entered``, both the counts of one call.

    The total is computed first and rises by at most its difference; input and output share that
    rise, and parts rise by at most their whole's. So what stands as ``unclassified``, or as tokens
    of unknown modality, is never entered again under another name.

    Example:
        Entered 342 unclassified, reported later 200 input + 142 output: the total is the same,
        nothing rises, 342 tokens are unused. Entered 10 + 0, reported 10 + 5: output rises by 5.
    """
    counts = list(ZERO_COUNTS)
    whole = (INPUT, OUTPUT, UNCLASSIFIED)
    left = max(0, sum(reported[i] - entered[i] for i in whole))
    for index in whole:
        counts[index] = min(max(0, reported[index] - entered[index]), left)
        left -= counts[index]
    for index, parts in _PARTS:
        left = counts[index]
        for part in parts:
            counts[part] = min(max(0, reported[part] - entered[part]), left)
            left -= counts[part]
    unused = sum(max(0, reported[i] - entered[i]) - counts[i] for i in whole)
    return Rise(tuple(counts), unused)
