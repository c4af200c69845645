"""The counts of a cell: a plain vector of ints that only rises.

A vector and no class, because each call adds one to a cell and a fleet's control plane adds
millions: ``map`` over tuples is the cheapest exact addition that Python has.
"""

from __future__ import annotations

from operator import add as _add
from typing import TYPE_CHECKING, Final

from tokenbeat.usage.tokens import TOKEN_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable

Counts = tuple[int, ...]
"""One int for each name of `COUNT_FIELDS`."""

COUNT_FIELDS: Final[tuple[str, ...]] = (
    "ok",
    "error",
    "cancelled",
    "abandoned",
    "unfinished",
    "with_usage",
    "partial",
    "cached",
    "failed_attempts",
    "items",
    *TOKEN_FIELDS,
    "cached_input_tokens",
    "cached_output_tokens",
    "cached_unclassified_tokens",
)
"""Finished calls by outcome, calls with known usage, of those with partial usage, responses of a
local cache, attempts that failed without usage, prompts or inputs; then the billed tokens; then the
tokens of cached responses, which nobody billed."""

OK, ERROR, CANCELLED, ABANDONED, UNFINISHED = range(5)
WITH_USAGE, PARTIAL, CACHED, FAILED_ATTEMPTS, ITEMS = range(5, 10)
INPUT, OUTPUT, CACHE_READ, CACHE_WRITE, CACHE_WRITE_5M, CACHE_WRITE_1H = range(10, 16)
REASONING, UNCLASSIFIED = 16, 17
INPUT_TEXT, INPUT_AUDIO, INPUT_IMAGE, OUTPUT_TEXT, OUTPUT_AUDIO, OUTPUT_IMAGE = range(18, 24)
CACHED_INPUT, CACHED_OUTPUT, CACHED_UNCLASSIFIED = 24, 25, 26

FIRST_TOKEN: Final = INPUT
"""Where the billed tokens begin; they end before `CACHED_INPUT`."""

ZERO_COUNTS: Final[Counts] = (0,) * len(COUNT_FIELDS)

WIRE_NAMES: Final[dict[str, tuple[str | None, str]]] = {
    "ok": ("calls", "ok"),
    "error": ("calls", "error"),
    "cancelled": ("calls", "cancelled"),
    "abandoned": ("calls", "abandoned"),
    "unfinished": ("calls", "unfinished"),
    "with_usage": ("calls", "withUsage"),
    "partial": ("calls", "partial"),
    "cached": ("calls", "cached"),
    "failed_attempts": (None, "failedAttempts"),
    "items": ("calls", "items"),
    "input_tokens": ("tokens", "input"),
    "output_tokens": ("tokens", "output"),
    "cache_read_tokens": ("tokens", "cacheRead"),
    "cache_write_tokens": ("tokens", "cacheWrite"),
    "cache_write_5m_tokens": ("tokens", "cacheWrite5m"),
    "cache_write_1h_tokens": ("tokens", "cacheWrite1h"),
    "reasoning_tokens": ("tokens", "reasoning"),
    "unclassified_tokens": ("tokens", "unclassified"),
    "input_text_tokens": ("tokens", "inputText"),
    "input_audio_tokens": ("tokens", "inputAudio"),
    "input_image_tokens": ("tokens", "inputImage"),
    "output_text_tokens": ("tokens", "outputText"),
    "output_audio_tokens": ("tokens", "outputAudio"),
    "output_image_tokens": ("tokens", "outputImage"),
    "cached_input_tokens": ("tokens", "cachedInput"),
    "cached_output_tokens": ("tokens", "cachedOutput"),
    "cached_unclassified_tokens": ("tokens", "cachedUnclassified"),
}
"""Where a count stands in JSON: its group ("calls", "tokens", or the cell itself) and name."""


def add(left: Counts, right: Counts) -> Counts:
    """The sum of two vectors, component by component."""
    return tuple(map(_add, left, right))


def sum_counts(vectors: Iterable[Counts]) -> Counts:
    """The sum of any number of vectors."""
    columns = zip(*vectors, strict=True)
    return tuple(map(sum, columns)) or ZERO_COUNTS


def maximum(left: Counts, right: Counts) -> Counts:
    """The greater of each component: how a receiver takes what may be old or repeated."""
    return tuple(map(max, left, right))


def subtract(left: Counts, right: Counts) -> Counts:
    """``left`` less ``right``, component by component; negative where right is greater."""
    return tuple([a - b for a, b in zip(left, right, strict=True)])


def finished(counts: Counts) -> int:
    """Calls that ended, whatever their outcome; failed attempts are no calls."""
    return sum(counts[OK : UNFINISHED + 1])


def unknown_usage(counts: Counts) -> int:
    """Calls that ended and were billed an amount that nobody reported."""
    return finished(counts) - counts[WITH_USAGE] - counts[CACHED]


def total_tokens(counts: Counts) -> int:
    """Billed input + output + unclassified: the only total there is."""
    return counts[INPUT] + counts[OUTPUT] + counts[UNCLASSIFIED]
