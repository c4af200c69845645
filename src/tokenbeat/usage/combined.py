"""Several usages of one call made into one: chunks of a stream, candidates of a response."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING

from tokenbeat.usage.errors import ImpossibleUsage
from tokenbeat.usage.tokens import PARTS, TOKEN_FIELDS, TokenUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_fields = attrgetter(*TOKEN_FIELDS)


def add_usage(left: TokenUsage, right: TokenUsage) -> TokenUsage:
    """The sum, field by field; a field that neither told stays untold.

    Example:
        10 in, output untold + 4 in, 5 out = 14 in, 5 out.
    """
    return _combine(left, right, _plus)


def merge_stream(told: TokenUsage | None, chunk: TokenUsage) -> TokenUsage:
    """What a stream has told so far, with one more chunk's usage.

    Streams come in two kinds, and one chunk does not say which it is. A chunk that tells input
    again, and no less of it than was told, is a *snapshot* of a growing total: of each field the
    greater value holds. So is one that does not tell input at all (Anthropic's later events count
    output from the start of the message). Any other chunk is a *delta* and is added: its input is
    0, or less than was told (LangChain's convention: chunks add up to the message).

    Per stream: each of two interleaved streams has a ``told`` of its own.

    Example:
        10/1, 10/3, 10/3 (input/output) is 10/3; 10/0, 0/5 is 10/5; 10/1, 0/2, 0/3 is 10/6.

    Args:
        told: What the earlier chunks came to, None before the first.
        chunk: What this chunk tells.
    """
    if told is None:
        return chunk
    if chunk.input_tokens is None:
        snapshot = True
    else:
        snapshot = chunk.input_tokens > 0 and chunk.input_tokens >= (told.input_tokens or 0)
    if not snapshot:
        return add_usage(told, chunk)
    merged = _combine(told, chunk, max)
    if merged.unclassified_tokens:
        # What one snapshot could not classify the next one may tell by name: never both.
        greatest = max(told.total_tokens or 0, chunk.total_tokens or 0)
        named = (merged.input_tokens or 0) + (merged.output_tokens or 0)
        merged = replace(merged, unclassified_tokens=max(0, greatest - named))
    return merged


def usage_of_candidates(usages: Iterable[TokenUsage | None]) -> TokenUsage | None:
    """One response's usage from those on its candidates, where the response itself tells none.

    Identical usage on all candidates that tell any is the response's, repeated (langchain-openai
    does so with ``n=2``): it counts once. Different usage is each candidate's own: the sum.

    Example:
        100/40 on both of two candidates is 100/40; none and 20/10 is 20/10; 10/5 and 5/2 is 15/7.
    """
    told = [usage for usage in usages if usage is not None and usage.known]
    if not told:
        return None
    result = told[0]
    if any(usage != result for usage in told):
        for usage in told[1:]:
            result = add_usage(result, usage)
    return result


def _plus(left: int, right: int) -> int:
    return left + right


def _combine(left: TokenUsage, right: TokenUsage, combine: Callable[[int, int], int]) -> TokenUsage:
    combined: dict[str, int] = {}
    for field, ours, theirs in zip(TOKEN_FIELDS, _fields(left), _fields(right), strict=True):
        if ours is None:
            if theirs is not None:
                combined[field] = theirs
        else:
            combined[field] = ours if theirs is None else combine(ours, theirs)
    try:
        return TokenUsage(**combined)
    except ImpossibleUsage:
        # The greatest of each part, from different chunks, can be more than the whole: then the
        # wholes hold, and of the parts what the richer chunk says.
        return _with_parts_of(combined, max(left, right, key=lambda usage: sum(usage.vector())))


def _with_parts_of(combined: dict[str, int], richer: TokenUsage) -> TokenUsage:
    for _, parts in PARTS:
        for part in parts:
            tokens: int | None = getattr(richer, part)
            if tokens is None:
                combined.pop(part, None)
            else:
                combined[part] = tokens
    return TokenUsage(**combined)
