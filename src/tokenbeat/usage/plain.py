"""LangChain's usage as almost every call tells it, read without the general reader's machinery.

What is unusual in any way is left to `reported`, whose answer this one's always equals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from tokenbeat.usage.tokens import believed

if TYPE_CHECKING:
    from tokenbeat.usage.tokens import TokenUsage


def plain_usage(  # noqa: C901, PLR0911, PLR0912 one look at each field is what it is for
    raw: dict[str, Any], *, most: int
) -> TokenUsage | None:
    """The usage where everything is an int, known and consistent; None where anything is not.

    Args:
        raw: A usage, perhaps of LangChain's shape.
        most: The greatest believable count of tokens.
    """
    total = raw.get("total_tokens")
    tokens_in, tokens_out = raw.get("input_tokens"), raw.get("output_tokens")
    if (
        type(total) is not int
        or type(tokens_in) is not int
        or type(tokens_out) is not int
        or tokens_in < 0
        or tokens_out < 0
        or tokens_in + tokens_out != total
        or not 0 < total <= most
    ):
        return None
    names = 3
    read: int | None = None
    write: int | None = None
    reasoning: int | None = None
    if "input_token_details" in raw:
        names = 4
        details = raw["input_token_details"]
        if type(details) is not dict:
            return None
        for name, tokens in cast("dict[str, Any]", details).items():
            if type(tokens) is not int or tokens < 0:
                return None
            if name == "cache_read":
                read = tokens
            elif name == "cache_creation":
                write = tokens
            else:
                return None
        if (read or 0) + (write or 0) > tokens_in:
            return None
    if "output_token_details" in raw:
        names += 1
        details = raw["output_token_details"]
        if type(details) is not dict:
            return None
        for name, tokens in cast("dict[str, Any]", details).items():
            if name != "reasoning" or type(tokens) is not int or not 0 <= tokens <= tokens_out:
                return None
            reasoning = tokens
    if names != len(raw):
        return None
    return believed(tokens_in, tokens_out, read=read, write=write, reasoning=reasoning)
